package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// The reads of these benchmarks are of one block each, at random places of a
// file that is in the page cache.
const (
	benchFileSize = 64 << 20
	benchBlock    = 4096
)

func benchOffset() int64 { return rand.Int64N(benchFileSize/benchBlock) * benchBlock }

// loop performs n reads in some way.
type loop interface {
	read(n int) error
	close()
}

// BenchmarkRead gives each way of reading on its own. To compare them, see
// BenchmarkReadRatio: this machine's speed may change between two of them.
func BenchmarkRead(b *testing.B) {
	path := benchFile(b)
	for _, way := range benchWays {
		b.Run(way.name, func(b *testing.B) {
			l, err := way.open(path, way.depth)
			if err != nil {
				b.Fatal(err)
			}
			defer l.close()
			b.ReportAllocs()
			b.ResetTimer()
			if err := l.read(b.N); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if a, ok := l.(*actorLoop); ok {
				a.report(b)
			}
		})
	}
}

// benchWay is one way to read, with so many reads in flight.
type benchWay struct {
	name  string
	depth int
	open  func(path string, depth int) (loop, error)
}

var benchWays = []benchWay{
	{"ReadAt", 1, openFileLoop},
	{"ring-1", 1, openRingLoop},
	{"ring-128", 128, openRingLoop},
	{"actor-1", 1, openActorLoop},
	{"actor-32", 32, openActorLoop},
	{"actor-128", 128, openActorLoop},
}

// BenchmarkReadRatio compares one actor that reads through the ring owner with
// (*os.File).ReadAt, one in flight, and with a bare ring loop, 128 in flight.
// The two of a pair take turns of a few milliseconds, and the median of the
// turns' ratios is reported.
func BenchmarkReadRatio(b *testing.B) {
	path := benchFile(b)
	for _, pair := range []struct{ ours, theirs int }{{3, 0}, {3, 1}, {5, 2}} {
		ours, theirs := benchWays[pair.ours], benchWays[pair.theirs]
		b.Run(ours.name+"-to-"+theirs.name, func(b *testing.B) {
			benchPair(b, path, ours, theirs)
		})
	}
}

// benchPair reports how long one way takes, in the other's time, and how much of
// the processors it uses: what runs on two of them takes half the time for the
// same cost.
func benchPair(b *testing.B, path string, ours, theirs benchWay) {
	x, err := ours.open(path, ours.depth)
	if err != nil {
		b.Fatal(err)
	}
	defer x.close()
	y, err := theirs.open(path, theirs.depth)
	if err != nil {
		b.Fatal(err)
	}
	defer y.close()
	for b.Loop() {
		times, cpu := benchRatio(b, x, y)
		b.ReportMetric(times, "times")
		b.ReportMetric(cpu, "cpu-times")
	}
	b.ReportMetric(0, "ns/op") // says nothing here
}

// benchRatio is the median over some turns of how long x takes, in y's time, and
// the same of the processors' time.
func benchRatio(b *testing.B, x, y loop) (times, cpu float64) {
	const turns, reads = 101, 4000
	var all, allCPU [turns]float64
	for k := range turns {
		xTime, xCPU := benchTime(b, x, reads)
		yTime, yCPU := benchTime(b, y, reads)
		all[k], allCPU[k] = xTime.Seconds()/yTime.Seconds(), xCPU.Seconds()/yCPU.Seconds()
	}
	slices.Sort(all[:])
	slices.Sort(allCPU[:])
	return all[turns/2], allCPU[turns/2]
}

func benchTime(b *testing.B, l loop, n int) (took, cpu time.Duration) {
	began, used := time.Now(), processorTime(b)
	if err := l.read(n); err != nil {
		b.Fatal(err)
	}
	return time.Since(began), processorTime(b) - used
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func benchFile(b *testing.B) string {
	path := filepath.Join(b.TempDir(), "data")
	if err := os.WriteFile(path, make([]byte, benchFileSize), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// fileLoop is (*os.File).ReadAt.
type fileLoop struct {
	file *os.File
	buf  []byte
}

func openFileLoop(path string, _ int) (loop, error) {
	f, err := os.Open(path)
	return &fileLoop{f, make([]byte, benchBlock)}, err
}

func (l *fileLoop) read(n int) error {
	for range n {
		if _, err := l.file.ReadAt(l.buf, benchOffset()); err != nil {
			return err
		}
	}
	return nil
}

func (l *fileLoop) close() { l.file.Close() }

// ringLoop is a bare ring: no actors, no lifecycle map, no handles, one
// goroutine. All that have completed are pushed again, then the kernel is
// entered once.
type ringLoop struct {
	file     *os.File
	ring     *ring.Ring
	requests []ring.Request
}

func openRingLoop(path string, depth int) (loop, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := ring.Open(ring.Options{Entries: 256})
	if err != nil {
		return nil, err
	}
	r.Mask()
	l := &ringLoop{f, r, make([]ring.Request, depth)}
	for k := range l.requests {
		l.requests[k] = ring.PrepRead(int32(f.Fd()), make([]byte, benchBlock), 0)
	}
	return l, nil
}

func (l *ringLoop) push(k int) {
	l.requests[k].Off = uint64(benchOffset())
	if !l.ring.Push(ring.UserData(k), &l.requests[k]) {
		panic("submission queue is full")
	}
}

func (l *ringLoop) read(n int) error {
	pushed := min(len(l.requests), n)
	for k := range pushed {
		l.push(k)
	}
	for done := 0; done < n; {
		if _, err := l.ring.Enter(); err != nil {
			return err
		}
		for cqe, ok := l.ring.Peek(); ok; cqe, ok = l.ring.Peek() {
			if cqe.Res != benchBlock {
				return fmt.Errorf("read gives %d", cqe.Res)
			}
			l.ring.Advance()
			done++
			if pushed < n {
				pushed++
				l.push(int(cqe.UserData))
			}
		}
	}
	return nil
}

func (l *ringLoop) close() {
	l.ring.Close()
	l.file.Close()
}

// actorLoop is one actor that keeps some reads in flight through a ring owner.
type actorLoop struct {
	system *actor.ActorSystem
	rm     *supervisor.Subsystem
	pid    *actor.PID
	done   chan error
}

func openActorLoop(path string, depth int) (loop, error) { return openActorLoopWith(path, depth) }

func openActorLoopWith(path string, depth int, options ...supervisor.Option) (loop, error) {
	system := actor.NewActorSystem(quiet)
	rm, err := supervisor.Start(system, options...)
	if err != nil {
		return nil, err
	}
	return startActorLoop(system, rm, path, depth)
}

// startActorLoop has a new actor of the system read through a subsystem.
func startActorLoop(system *actor.ActorSystem, rm *supervisor.Subsystem, path string, depth int) (loop, error) {
	file, err := actors.Await(context.Background(), rm.Client(), &messages.Open{Path: path})
	if err != nil {
		return nil, err
	}
	l := &actorLoop{system: system, rm: rm, done: make(chan error, 1)}
	l.pid = system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
		return newReader(rm.PID(), file, depth, l.done)
	}))
	return l, l.read(1000) // what is made once is made
}

func (l *actorLoop) read(n int) error {
	l.system.Root.Send(l.pid, readMore(n))
	return <-l.done
}

func (l *actorLoop) close() {
	_ = l.system.Root.StopFuture(l.pid).Wait()
	_, _ = l.rm.Shutdown(context.Background())
}

// report adds how the ring owner was run.
func (l *actorLoop) report(b *testing.B) {
	in, err := l.rm.Inspect(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(in.Enters)/float64(in.Submitted), "enters/op")
	b.ReportMetric(float64(in.Inline)/float64(in.Submitted), "inline/op")
}

// reader is the actor: it performs as many reads as it is told, and says when
// they are done.
type reader struct {
	owner   *actor.PID
	reads   []benchRead
	seq     uint64
	batch   []*messages.Submit
	unasked int // to be submitted
	open    int // to be done
	done    chan<- error
}

// readMore tells the reader how many.
type readMore int

// benchRead is one read in flight, with the storage of its whole exchange.
type benchRead struct {
	submit     messages.Submit
	read       messages.Read
	completion messages.Completion
}

func newReader(owner *actor.PID, file messages.Handle, depth int, done chan<- error) *reader {
	r := &reader{owner: owner, reads: make([]benchRead, depth), done: done}
	for k := range r.reads {
		op := &r.reads[k]
		op.read = messages.Read{Handle: file, Buf: make([]byte, benchBlock)}
		op.submit = messages.Submit{Op: &op.read, Token: op, Into: &op.completion, Batched: depth > 1}
	}
	return r
}

// Receive implements actor.Actor.
func (r *reader) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case readMore:
		r.unasked, r.open = int(m), int(m)
		for k := range min(len(r.reads), r.unasked) {
			r.next(ctx, &r.reads[k])
		}
		r.send(ctx)
	case *messages.Completion:
		r.completed(ctx, m)
	case *messages.CompletionBatch:
		for _, c := range m.Completions {
			r.completed(ctx, c)
		}
		r.send(ctx)
	case *messages.Refused:
		r.done <- m.Err
	}
}

// next submits a read anew: at once if it is the only one, and otherwise with
// the others that can be.
func (r *reader) next(ctx actor.Context, op *benchRead) {
	r.unasked--
	r.seq++
	op.read.Offset = benchOffset()
	op.submit.ID = messages.OpID{Owner: ctx.Self(), Seq: r.seq}
	if !op.submit.Batched {
		ctx.Send(r.owner, &op.submit)
		return
	}
	r.batch = append(r.batch, &op.submit)
}

func (r *reader) send(ctx actor.Context) {
	if len(r.batch) > 0 {
		ctx.Send(r.owner, &messages.SubmitBatch{Submits: r.batch})
		r.batch = make([]*messages.Submit, 0, len(r.reads))
	}
}

func (r *reader) completed(ctx actor.Context, c *messages.Completion) {
	if c.Err != nil || c.N != benchBlock {
		r.done <- fmt.Errorf("read of %d bytes: %w", c.N, c.Err)
		return
	}
	if r.open--; r.open == 0 {
		r.done <- nil
		return
	}
	if r.unasked > 0 {
		r.next(ctx, c.Token.(*benchRead))
	}
}
