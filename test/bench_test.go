package test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

const (
	benchFileSize = 64 << 20
	benchBlock    = 4096
)

// reader is an actor that keeps depth reads in flight until it has done n.
type reader struct {
	rm    *supervisor.Subsystem
	file  messages.Handle
	depth int

	ops     []readOp
	started int
	left    int
	done    chan error
}

type readOp struct {
	submit     messages.Submit
	read       messages.Read
	completion messages.Completion
}

// run has the reader do n reads.
type runReads struct {
	n    int
	done chan error
}

func (r *reader) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *setSelf:
		for k := range r.ops {
			r.ops[k].submit.ID.Owner = ctx.Self()
		}
	case *runReads:
		r.started, r.left, r.done = m.n, m.n, m.done
		for k := range min(r.depth, m.n) {
			r.next(ctx, k)
		}
	case *messages.Completion:
		if m.Err != nil || m.N != benchBlock {
			r.done <- fmt.Errorf("read of %d bytes: %w", m.N, m.Err)
			return
		}
		if r.left--; r.left == 0 {
			r.done <- nil
			return
		}
		if r.started > 0 {
			r.next(ctx, int(m.ID.Seq&0xffff))
		}
	case *messages.Refused:
		r.done <- m.Err
	}
}

func (r *reader) next(ctx actor.Context, k int) {
	r.started--
	op := &r.ops[k]
	op.read.Offset = rand.Int64N(benchFileSize/benchBlock) * benchBlock
	op.submit.ID.Seq += 1 << 16
	ctx.Send(r.rm.PID(), &op.submit)
}

func newReader(rm *supervisor.Subsystem, file messages.Handle, self *actor.PID, depth int) *reader {
	r := &reader{rm: rm, file: file, depth: depth, ops: make([]readOp, depth)}
	for k := range r.ops {
		op := &r.ops[k]
		op.read = messages.Read{Handle: file, Buf: make([]byte, benchBlock)}
		op.submit = messages.Submit{Op: &op.read, Into: &op.completion}
		op.submit.ID.Seq = uint64(k)
	}
	return r
}

func benchFile(b *testing.B) string {
	path := filepath.Join(b.TempDir(), "data")
	if err := os.WriteFile(path, make([]byte, benchFileSize), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

func BenchmarkRead(b *testing.B) {
	path := benchFile(b)
	b.Run("ReadAt", func(b *testing.B) {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		buf := make([]byte, benchBlock)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := f.ReadAt(buf, rand.Int64N(benchFileSize/benchBlock)*benchBlock); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, depth := range []int{1, 32, 128} {
		b.Run(fmt.Sprintf("actor-%d", depth), func(b *testing.B) { benchActor(b, path, depth) })
	}
}

func benchActor(b *testing.B, path string, depth int) {
	system := actor.NewActorSystem(quiet)
	rm, err := supervisor.Start(system)
	if err != nil {
		b.Fatal(err)
	}
	defer rm.Shutdown(b.Context())
	file, err := actors.Await(b.Context(), rm.Client(), &messages.Open{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	pid := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return newReader(rm, file, nil, depth) }))
	for k := range depth {
		_ = k
	}
	system.Root.Send(pid, &setSelf{})
	defer func() { _ = system.Root.StopFuture(pid).Wait() }()
	done := make(chan error, 1)
	system.Root.Send(pid, &runReads{n: 1000, done: done})
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	system.Root.Send(pid, &runReads{n: b.N, done: done})
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	in, _ := rm.Inspect(b.Context())
	b.ReportMetric(float64(in.Enters)/float64(in.Submitted), "enters/op")
	b.ReportMetric(float64(in.Inline)/float64(in.Submitted), "inline/op")
	b.ReportMetric(float64(in.Spawned)/float64(in.Submitted), "spawned/op")
}

type setSelf struct{}
