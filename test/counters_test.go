//go:build linux

package test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// TestCountersAgainstKernel holds our counters against the kernel's own: how
// many entries it took, and how many completions were given back to it.
func TestCountersAgainstKernel(t *testing.T) {
	for _, inline := range []bool{true, false} {
		t.Run(fmt.Sprintf("inline=%v", inline), func(t *testing.T) {
			r := start(t, supervisor.WithInline(inline))
			r.needsRing()
			require.NoError(t, mixedWork(r.ctx, r.c, t.TempDir()))
			p := r.probe()
			reader, _ := r.pipe()
			pipe := r.adopt(reader)
			for seq := range uint64(50) {
				r.send(p, seq+1, &messages.Poll{Handle: pipe, Events: messages.Readable})
			}
			r.system.Root.Send(r.rm.PID(), &messages.CancelOwner{Owner: p.pid})
			for range 50 {
				next[*messages.Completion](p)
			}
			next[*messages.CancelResult](p)
			var in *messages.Inspection
			eventually(t, "the kernel counts as we do", func() bool { // the answers to the cancels may be to come
				in = r.inspect()
				return theRing(t) == kernelView{in.Published, in.Published, in.Reaped, in.Reaped}
			})
			require.Equal(t, in.Submitted, in.Completed+in.Refused)
			require.Positive(t, in.Pinned)
			t.Logf("%+v", in.Counters)
		})
	}
}

// mixedWork performs a few hundred operations, inline ones, pinned ones and
// blocking ones among them.
func mixedWork(ctx context.Context, c *actors.Client, dir string) error {
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _, _ = reader.Close(), writer.Close() }()
	stream, err := actors.Await(ctx, c, &messages.Adopt{File: reader})
	if err != nil {
		return err
	}
	for k := range 20 {
		path := filepath.Join(dir, fmt.Sprint(k))
		if err := mixedRound(ctx, c, path); err != nil {
			return err
		}
		if _, err := writer.WriteString("x"); err != nil {
			return err
		}
		if _, err := actors.Await(ctx, c, &messages.Read{Handle: stream, Buf: make([]byte, 9)}); err != nil {
			return err
		}
		if _, err := actors.Await(ctx, c, &messages.Timeout{After: time.Microsecond}); err != nil {
			return err
		}
	}
	_, err = actors.Await(ctx, c, &messages.Close{Handle: stream})
	return err
}

func mixedRound(ctx context.Context, c *actors.Client, path string) error {
	if err := actors.WriteFile(ctx, c, path, []byte(path), 0o600); err != nil {
		return err
	}
	content, err := actors.ReadFile(ctx, c, path)
	if err != nil || string(content) != path {
		return fmt.Errorf("read %q: %w", content, err)
	}
	if _, err := actors.Await(ctx, c, &messages.SetTimes{Path: path, Modified: time.Unix(1, 0)}); err != nil {
		return err
	}
	late, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	if _, err := actors.Await(late, c, &messages.Timeout{After: time.Hour}); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("a timeout of an hour: %w", err)
	}
	return nil
}

// TestEntersAgainstStrace has strace count the calls of io_uring_enter that a
// child makes, restarts among its work, and holds the counter against it.
func TestEntersAgainstStrace(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace: ", err)
	}
	start(t).needsRing()
	trace := filepath.Join(t.TempDir(), "trace")
	out := runInChild(t, "enters", strace, "-f", "--seccomp-bpf", "-e", "trace=io_uring_enter", "-o", trace)
	var counted, restarts int
	_, err = fmt.Sscanf(out, "enters %d restarts %d", &counted, &restarts)
	require.NoError(t, err, out)
	require.Equal(t, entersIn(t, trace), counted)
	require.Positive(t, restarts)
	t.Logf("%d calls of io_uring_enter, %d restarts", counted, restarts)
}

func entersIn(t *testing.T, trace string) (calls int) {
	f, err := os.Open(trace)
	require.NoError(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.Contains(lines.Text(), " io_uring_enter(") { // not "resumed"
			calls++
		}
	}
	require.NoError(t, lines.Err())
	return calls
}

// childEnters works, crashes now and then, and prints how often it says to
// have entered the kernel.
func childEnters() error {
	var passed atomic.Int64
	crash := func(p actors.Failpoint, inFlight int) {
		if p == actors.FailAfterEnter && inFlight > 0 && passed.Add(1)%20 == 0 {
			panic(fmt.Errorf("injected at %s", p))
		}
	}
	rm, err := supervisor.Start(actor.NewActorSystem(quiet), supervisor.WithFailpoint(crash))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := inChildDir(func(dir string) error { return mixedWork(ctx, rm.Client(), dir) }); err != nil {
		return err
	}
	in, err := rm.Inspect(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("enters %d restarts %d\n", in.Enters, in.Restarts)
	return nil
}
