//go:build linux

package test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
	"github.com/ringmaster-io/ringmaster/test/refuse"
)

// crasher panics at one failpoint, every so many times that it is passed, up
// to a bound.
type crasher struct {
	point          actors.Failpoint
	every, most    int64
	always         bool // even with nothing in flight
	passed, struck atomic.Int64
	enough         atomic.Bool // no more
}

func (c *crasher) hook(p actors.Failpoint, inFlight int) {
	if p != c.point || inFlight == 0 && !c.always || c.struck.Load() == c.most || c.enough.Load() {
		return
	}
	if c.passed.Add(1)%c.every == 0 {
		c.struck.Add(1)
		panic(fmt.Errorf("injected at %s", p))
	}
}

// patient has a ring owner restarted however often it fails: where each fifth
// completion is a crash, many a ring is lost before it has achieved anything.
var patient = supervisor.WithRestartLimit(1<<16, time.Second)

// TestCrashes crashes the ring owner again and again at each of its failpoints
// in turn, while goroutines write and read files. Every byte and the books must
// be right.
func TestCrashes(t *testing.T) {
	for _, policy := range []actors.Policy{actors.Drain, actors.CancelInFlight} {
		for _, point := range actors.Failpoints() {
			if point >= actors.FailStarted {
				continue // see TestCrashesInLifecycle
			}
			t.Run(policy.String()+"/"+point.String(), func(t *testing.T) { crashWhileWorking(t, policy, point) })
		}
	}
}

func crashWhileWorking(t *testing.T, policy actors.Policy, point actors.Failpoint) {
	c := &crasher{point: point, every: 5, most: 100}
	r := startUnchecked(t, supervisor.WithFailpoint(c.hook), supervisor.WithPolicy(policy), patient)
	workload(r, 4, 15)
	c.enough.Store(true)
	require.Zero(t, r.inspect().Handles, "a handle is left")
	report, err := r.rm.Shutdown(r.ctx)
	require.NoError(t, err)
	requireLedger(t, report)
	require.Positive(t, c.struck.Load(), "the failpoint was never met")
	if refuse.ByMemlock(t) {
		require.GreaterOrEqual(t, int64(report.Failures), c.struck.Load())
	} else {
		require.EqualValues(t, c.struck.Load(), report.Failures)
	}
}

// workload has so many goroutines write and read so many files each.
func workload(r *rig, workers, files int) {
	dir := r.t.TempDir()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for k := range files {
				write := actors.WriteFile
				if k%2 == 1 {
					write = actors.ReplaceFile
				}
				if err := roundTrip(r.ctx, r.c, filepath.Join(dir, fmt.Sprintf("%d-%d", w, k)), write); err != nil {
					r.t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.Len(r.t, names(r.t, dir), workers*files, "a temporary file is left")
}

// fileWriter is actors.WriteFile or actors.ReplaceFile.
type fileWriter = func(context.Context, *actors.Client, string, []byte, fs.FileMode) error

// roundTrip writes a file and reads it back, as often as crashes make it.
func roundTrip(ctx context.Context, c *actors.Client, path string, write fileWriter) error {
	want := make([]byte, 1+rand.IntN(100_000))
	for i := range want {
		want[i] = byte(rand.Uint32())
	}
	if err := again(func() error { return write(ctx, c, path, want, 0o600) }); err != nil {
		return err
	}
	got, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if string(got) != string(want) {
		return fmt.Errorf("%s: wrong content", path)
	}
	return again(func() error {
		got, err := actors.ReadFile(ctx, c, path)
		if err == nil && string(got) != string(want) {
			return fmt.Errorf("%s: read wrong content", path)
		}
		return err
	})
}

// again repeats what a crash has refused or cancelled.
func again(f func() error) error {
	for {
		err := f()
		if !errors.Is(err, messages.ErrRestarted) && !errors.Is(err, messages.ErrRingLost) { // these files may be written twice
			return err
		}
	}
}

// TestCrashesInLifecycle crashes the ring owner while it is being restarted,
// with something in flight.
func TestCrashesInLifecycle(t *testing.T) {
	for _, policy := range []actors.Policy{actors.Drain, actors.CancelInFlight} {
		for _, point := range []actors.Failpoint{actors.FailRestarting, actors.FailStarted} {
			t.Run(policy.String()+"/"+point.String(), func(t *testing.T) { crashWhileRestarting(t, policy, point) })
		}
	}
}

func crashWhileRestarting(t *testing.T, policy actors.Policy, point actors.Failpoint) {
	first := &crasher{point: actors.FailTaken, every: 10, most: 5}
	second := &crasher{point: point, every: 1, most: 8}
	r := startUnchecked(t, patient, supervisor.WithPolicy(policy), supervisor.WithFailpoint(func(p actors.Failpoint, n int) {
		first.hook(p, n)
		second.hook(p, n)
	}))
	reader, writer := r.pipe()
	pipe := r.adopt(reader)
	read := make(chan string)
	go func() { // it is in flight all the time, on an old ring sooner or later
		var got []byte
		err := again(func() (err error) {
			got, err = actors.Await(r.ctx, r.c, &messages.Read{Handle: pipe, Buf: make([]byte, 100)})
			return err
		})
		read <- fmt.Sprint(string(got), err)
	}()
	eventually(t, "the read is in flight", func() bool { return r.inspect().InFlight == 1 })
	workload(r, 2, 10)
	_, err := writer.WriteString("at last")
	require.NoError(t, err)
	require.Equal(t, "at last<nil>", <-read)
	report, err := r.rm.Shutdown(r.ctx)
	require.NoError(t, err)
	requireLedger(t, report)
	require.EqualValues(t, 5, first.struck.Load())
	require.Positive(t, second.struck.Load())
	t.Logf("%d restarts, %d of them failed", report.Restarts, second.struck.Load())
}

// TestCrashesWhileStopping crashes the ring owner when it stops with something
// in flight: it stops all the same, and answers.
func TestCrashesWhileStopping(t *testing.T) {
	for _, point := range []actors.Failpoint{actors.FailStopping, actors.FailStopped, actors.FailDelivering, actors.FailReaping} {
		t.Run(point.String(), func(t *testing.T) {
			c := &crasher{point: point, every: 1, most: 3, always: true}
			var armed atomic.Bool
			r := startUnchecked(t, supervisor.WithFailpoint(func(p actors.Failpoint, n int) {
				if armed.Load() {
					c.hook(p, n)
				}
			}))
			p := r.probe()
			for seq := range uint64(10) {
				r.send(p, seq+1, &messages.Timeout{After: time.Hour})
			}
			eventually(t, "the kernel has them", func() bool { return r.inspect().InFlight == 10 })
			armed.Store(true)
			ctx, cancel := context.WithCancel(r.ctx)
			cancel() // cancel what is in flight at once
			report, err := r.rm.Shutdown(ctx)
			require.NoError(t, err)
			requireLedger(t, report)
			for range 10 {
				answer := next[*messages.Completion](p)
				require.ErrorIs(t, answer.Err, unix.ECANCELED)
				require.NotNil(t, answer.Op)
			}
			p.silent()
			require.Positive(t, c.struck.Load())
		})
	}
}
