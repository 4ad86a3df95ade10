//go:build linux

package test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
	"github.com/ringmaster-io/ringmaster/test/leak"
)

// hung starts an open and a read that hang, on behalf of a probe.
func hung(r *rig, fs *hungFS, p *probe) (buf []byte) {
	r.t.Helper()
	r.send(p, 1, &messages.Open{Path: fs.opens})
	require.Equal(r.t, "open", fs.hear())
	r.send(p, 2, &messages.Open{Path: fs.read})
	file := p.completed(2)
	require.NoError(r.t, file.Err)
	buf = poisoned(100)
	r.send(p, 3, &messages.Read{Handle: file.Handle, Buf: buf})
	require.Equal(r.t, "read", fs.hear())
	return buf
}

// TestHungDevice has operations hang in a file system. Others go on, a
// cancellation waits, and the requester's death leaves nothing once the device
// answers.
func TestHungDevice(t *testing.T) {
	fs := mountHungFS(t)
	r := start(t)
	before := r.footprint()
	p := r.probe()
	buf := hung(r, fs, p)
	workload(r, 2, 5) // nobody is held up
	r.system.Root.Send(r.rm.PID(), &messages.Cancel{ID: messages.OpID{Owner: p.pid, Seq: 3}})
	workload(r, 2, 5)
	p.silent()      // the kernel has the buffer: neither an answer nor a CancelResult
	if r.onRing() { // otherwise the race detector sees who has it
		requirePoisoned(t, buf)
	}
	require.Equal(t, 2, r.inspect().InFlight)
	p.stop()
	workload(r, 2, 5)
	require.Equal(t, 2, r.inspect().InFlight)
	fs.answer()
	r.comesBackTo(before)
	in := r.inspect()
	require.EqualValues(t, 1, in.LateClosed)
	require.Empty(t, openOn(fs.opens))
	require.Empty(t, openOn(fs.read))
}

// TestPollOfHungDevice has a device hang when it is asked whether it is ready:
// the first time, and when it is asked again since it was not. Nobody else is
// held up, whether he uses the subsystem or not.
func TestPollOfHungDevice(t *testing.T) {
	for name, path := range map[string]func(*hungFS) string{
		"at once": func(fs *hungFS) string { return fs.polled },
		"later":   func(fs *hungFS) string { return fs.polledLater },
	} {
		t.Run(name, func(t *testing.T) {
			fs := mountHungFS(t)
			r := start(t)
			if name == "later" && r.onRing() {
				t.Skip("a ring does not ask again until it is told of something")
			}
			p := r.probe()
			r.send(p, 1, &messages.Open{Path: path(fs)})
			file := p.completed(1)
			require.NoError(t, file.Err)
			begun := time.Now()
			r.send(p, 2, &messages.Poll{Handle: file.Handle, Events: messages.Readable})
			require.Equal(t, "poll", fs.hear())
			workload(r, 2, 5)
			reader, writer := r.pipe()
			_, err := writer.WriteString("x") // these wait on Go's netpoller
			require.NoError(t, err)
			_, err = reader.Read(make([]byte, 1))
			require.NoError(t, err)
			r.system.Root.Send(r.rm.PID(), &messages.Cancel{ID: messages.OpID{Owner: p.pid, Seq: 2}})
			workload(r, 2, 5)
			require.Less(t, time.Since(begun), patience, "all has stood still until the server ended itself")
			fs.answer()
			if c := p.completed(2); c.Err != nil {
				require.ErrorIs(t, c.Err, context.Canceled)
			}
			next[*messages.CancelResult](p)
			p.stop()
		})
	}
}

// TestAwaitOnHungDevice returns only when the device has answered, however
// long ago the context has ended, and with the true result.
func TestAwaitOnHungDevice(t *testing.T) {
	fs := mountHungFS(t)
	r := start(t)
	file := do(r, &messages.Open{Path: fs.read})
	ctx, cancel := context.WithCancel(r.ctx)
	ended := make(chan string)
	go func() {
		got, err := actors.Await(ctx, r.c, &messages.Read{Handle: file, Buf: make([]byte, 100)})
		if err != nil {
			t.Error(err)
		}
		ended <- string(got)
	}()
	require.Equal(t, "read", fs.hear())
	cancel()
	workload(r, 1, 5)
	select {
	case <-ended:
		t.Fatal("Await has returned while the kernel has its buffer")
	default:
	}
	fs.answer()
	require.Equal(t, "late", <-ended)
	do(r, &messages.Close{Handle: file})
}

// TestShutdownWithHungDevice does not hang on operations that nothing can
// cancel: they are reported as abandoned, their memory is kept, and everything
// is released when the device answers after all.
func TestShutdownWithHungDevice(t *testing.T) {
	files := leak.OpenFiles()
	fs := mountHungFS(t)
	mounted := len(leak.OpenFiles())
	r := startUnchecked(t, supervisor.WithShutdownGrace(20*time.Millisecond))
	p := r.probe()
	hung(r, fs, p)
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	report, err := r.rm.Shutdown(ctx)
	require.ErrorIs(t, err, messages.ErrOutcomeUnknown)
	require.Equal(t, 2, report.Abandoned)
	require.EqualValues(t, 2, report.Unknown)
	require.Equal(t, report.Submitted, report.Completed+report.Refused)
	for range 2 {
		c := next[*messages.Completion](p)
		require.ErrorIs(t, c.Err, messages.ErrOutcomeUnknown)
		require.ErrorIs(t, c.Err, messages.ErrStopped)
		require.Nil(t, c.Op)
	}
	requireStopped(r, p)
	if report.Backend == actors.BackendRing.String() {
		require.Len(t, rings(t), 1)
	}
	again, err := r.rm.Shutdown(r.ctx)
	require.ErrorIs(t, err, messages.ErrOutcomeUnknown)
	require.Equal(t, report, again)

	fs.answer()
	eventually(t, "everything is released", func() bool { return len(leak.OpenFiles()) == mounted })
	p.silent()
	fs.unmount()
	require.Equal(t, files, leak.OpenFiles())
}

// TestRestartWithHungDevice gives up what a failed ring does not end in time:
// it is answered as unknown, and later closed. The new ring works meanwhile.
func TestRestartWithHungDevice(t *testing.T) {
	for _, policy := range []actors.Policy{actors.Drain, actors.CancelInFlight} {
		t.Run(policy.String(), func(t *testing.T) {
			fs := mountHungFS(t)
			c := &crasher{point: actors.FailTaken, every: 4, most: 1, always: true}
			r := startUnchecked(t, supervisor.WithPolicy(policy), supervisor.WithFailpoint(c.hook),
				supervisor.WithDrainTimeout(20*time.Millisecond), supervisor.WithShutdownGrace(time.Second))
			before := r.footprint()
			p := r.probe()
			hung(r, fs, p)
			require.ErrorIs(t, fails(r, &messages.Nop{}), messages.ErrRestarted)
			for range 2 {
				c := next[*messages.Completion](p)
				require.ErrorIs(t, c.Err, messages.ErrOutcomeUnknown)
				require.Nil(t, c.Op)
			}
			workload(r, 2, 5)
			in := r.inspect()
			require.Equal(t, 2, in.Quarantined)
			require.Equal(t, 1, in.Draining)
			require.EqualValues(t, 2, in.Epoch)
			fs.answer()
			p.stop()
			eventually(t, "the old ring is closed", func() bool { return r.inspect().Draining == 0 })
			require.Zero(t, r.inspect().Quarantined)
			require.EqualValues(t, 1, r.inspect().LateClosed)
			eventually(t, "the descriptors are closed", func() bool { return len(leak.OpenFiles()) == len(before.Files) })
			report, err := r.rm.Shutdown(r.ctx)
			require.NoError(t, err)
			require.Equal(t, report.Submitted, report.Completed+report.Refused)
			require.Zero(t, report.Stale)
		})
	}
}

// TestShutdownWithHungOrphan: an operation that nobody waits for any more hangs
// in a device. The shutdown gives it up as any other.
func TestShutdownWithHungOrphan(t *testing.T) {
	fs := mountHungFS(t)
	mounted := leak.OpenFiles()
	r := startUnchecked(t, supervisor.WithShutdownGrace(50*time.Millisecond))
	p := r.probe()
	r.send(p, 1, &messages.Open{Path: fs.opens})
	require.Equal(t, "open", fs.hear())
	p.stop()
	eventually(t, "it is an orphan", func() bool { return r.inspect().Orphaned == 1 })
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	report, err := r.rm.Shutdown(ctx)
	require.ErrorIs(t, err, messages.ErrOutcomeUnknown)
	require.Equal(t, 1, report.Abandoned)
	require.Equal(t, report.Submitted, report.Completed+report.Refused)
	fs.answer()
	eventually(t, "the late descriptor and the ring are closed", func() bool { return slices.Equal(leak.OpenFiles(), mounted) })
}
