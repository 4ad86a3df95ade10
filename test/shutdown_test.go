//go:build linux

package test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// TestShutdownTwice reports the same to all who shut down, at once or one
// after the other.
func TestShutdownTwice(t *testing.T) {
	r := startUnchecked(t)
	do(r, &messages.Nop{})
	reports := make([]supervisor.Report, 8)
	var wg sync.WaitGroup
	for k := range reports {
		wg.Go(func() {
			var err error
			reports[k], err = r.rm.Shutdown(r.ctx)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, report := range reports {
		require.Equal(t, reports[0], report)
	}
	requireLedger(t, reports[0])
	require.EqualValues(t, 1, reports[0].Completed)
	_, running := supervisor.Get(r.system)
	require.False(t, running)
}

// TestShutdownLetsEnd waits for what is in flight, and refuses what comes
// later.
func TestShutdownLetsEnd(t *testing.T) {
	r := startUnchecked(t)
	reader, writer := r.pipe()
	pipe := r.adopt(reader)
	p := r.probe()
	r.send(p, 1, &messages.Read{Handle: pipe, Buf: make([]byte, 10)})
	ended := make(chan supervisor.Report)
	go func() {
		report, err := r.rm.Shutdown(r.ctx)
		if err != nil {
			t.Error(err)
		}
		ended <- report
	}()
	eventually(t, "the intake is closed", func() bool {
		r.send(p, 2, &messages.Nop{})
		switch m := next[any](p).(type) {
		case *messages.Refused:
			require.ErrorIs(t, m.Err, messages.ErrStopped)
			return true
		default:
			return false
		}
	})
	_, err := writer.WriteString("in time")
	require.NoError(t, err)
	got, err := messages.Result[[]byte](p.completed(1))
	require.NoError(t, err)
	require.Equal(t, "in time", string(got))
	requireLedger(t, <-ended)
}

// TestShutdownCancels asks for the cancellation of what is in flight when the
// context ends, and answers it.
func TestShutdownCancels(t *testing.T) {
	r := startUnchecked(t)
	reader, _ := r.pipe()
	pipe := r.adopt(reader)
	p := r.probe()
	r.send(p, 1, &messages.Read{Handle: pipe, Buf: make([]byte, 10)})
	r.send(p, 2, &messages.Read{Handle: pipe, Buf: make([]byte, 10)})
	r.send(p, 3, &messages.Timeout{After: time.Hour})
	r.inspect()
	requireShutdownCancels(r, p, 3)
}

// TestShutdownCancelsOpen does so with an open that waits in the kernel.
func TestShutdownCancelsOpen(t *testing.T) {
	start(t).needsCancelledOpens()
	r := startUnchecked(t)
	named := fifo(t)
	p := r.probe()
	r.openBlocks(p, 1, named)
	requireShutdownCancels(r, p, 1)
	requireNoReader(t, named)
}

// requireShutdownCancels shuts down with no time for what is in flight, and
// takes the answers.
func requireShutdownCancels(r *rig, p *probe, operations int) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	report, err := r.rm.Shutdown(ctx)
	require.NoError(r.t, err)
	requireLedger(r.t, report)
	for range operations {
		c := next[*messages.Completion](p)
		require.ErrorIs(r.t, c.Err, messages.ErrStopped)
		require.NotNil(r.t, c.Op)
	}
}

// TestShutdownWhileRestarting shuts down a ring owner that fails all the time.
func TestShutdownWhileRestarting(t *testing.T) {
	c := &crasher{point: actors.FailStarted, every: 1, most: 1 << 30, always: true}
	first := &crasher{point: actors.FailTaken, every: 1, most: 1, always: true}
	failing := make(chan struct{}, 1<<16)
	r := startUnchecked(t, supervisor.WithFailpoint(func(p actors.Failpoint, n int) {
		first.hook(p, n)
		if first.struck.Load() > 0 {
			if p == c.point {
				failing <- struct{}{}
			}
			c.hook(p, n)
		}
	}))
	require.ErrorIs(t, fails(r, &messages.Nop{}), messages.ErrRestarted)
	for range 4 {
		<-failing
	}
	p := r.probe()
	for seq := range uint64(10) {
		r.send(p, seq+1, &messages.Nop{})
	}
	ctx, cancel := context.WithTimeout(r.ctx, 10*time.Millisecond)
	defer cancel()
	report, err := r.rm.Shutdown(ctx)
	require.NoError(t, err)
	requireLedger(t, report)
	for range 10 {
		switch m := next[any](p).(type) {
		case *messages.Refused:
			require.ErrorIs(t, m.Err, messages.ErrStopped)
		case *messages.Completion:
			require.ErrorIs(t, m.Err, unix.ECANCELED)
		}
	}
	p.silent()
}

// TestShutdownAfterStop shuts down when somebody else has stopped the
// supervisor, or the whole actor system.
func TestShutdownAfterStop(t *testing.T) {
	for name, stop := range map[string]func(*rig){
		"stopped":  func(r *rig) { _ = r.system.Root.StopFuture(supervisorOf(r)).Wait() },
		"poisoned": func(r *rig) { _ = r.system.Root.PoisonFuture(supervisorOf(r)).Wait() },
		"stopping": func(r *rig) { r.system.Root.Stop(supervisorOf(r)) },
		"owner":    func(r *rig) { _ = r.system.Root.StopFuture(r.rm.PID()).Wait() },
		"system":   func(r *rig) { r.system.Shutdown() },
	} {
		t.Run(name, func(t *testing.T) {
			r := startUnchecked(t)
			p := r.probe()
			r.send(p, 1, &messages.Timeout{After: time.Hour})
			r.inspect()
			stop(r)
			ctx, cancel := context.WithCancel(r.ctx)
			cancel()
			report, err := r.rm.Shutdown(ctx)
			require.NoError(t, err)
			requireLedger(t, report)
			require.ErrorIs(t, p.completed(1).Err, messages.ErrStopped)
			requireStopped(r, p)
		})
	}
}

// supervisorOf is the ring owner's parent.
func supervisorOf(r *rig) *actor.PID {
	pid := r.rm.PID()
	return actor.NewPID(pid.Address, pid.Id[:len(pid.Id)-len("/ring-owner")])
}

// requireStopped checks that whatever is sent to a subsystem that has stopped
// is answered, once.
func requireStopped(r *rig, p *probe) {
	r.t.Helper()
	for seq := range uint64(5) {
		nop := &messages.Nop{}
		r.send(p, 100+seq, nop)
		refused := next[*messages.Refused](p)
		require.ErrorIs(r.t, refused.Err, messages.ErrStopped)
		require.ErrorIs(r.t, refused.Err, messages.ErrRefused)
		require.Equal(r.t, 100+seq, refused.ID.Seq)
		require.Same(r.t, nop, refused.Op)
	}
	r.system.Root.Send(r.rm.PID(), &messages.SubmitBatch{Submits: []*messages.Submit{
		{Op: &messages.Nop{}, ID: messages.OpID{Owner: p.pid, Seq: 200}},
		nil,
		{Op: &messages.Nop{}, ID: messages.OpID{Owner: p.pid, Seq: 201}},
	}})
	require.EqualValues(r.t, 200, next[*messages.Refused](p).ID.Seq)
	require.EqualValues(r.t, 201, next[*messages.Refused](p).ID.Seq)
	require.ErrorIs(r.t, fails(r, &messages.Nop{}), messages.ErrStopped)
	_, err := r.rm.Inspect(r.ctx)
	require.ErrorIs(r.t, err, messages.ErrStopped)
	p.silent()
}

// TestStopWithRequesters stops a subsystem under actors that go on asking:
// each of their Submits is answered once.
func TestStopWithRequesters(t *testing.T) {
	const requesters, together = 4, 50
	r := startUnchecked(t)
	var wg sync.WaitGroup
	var sent, refused atomic.Uint64
	probes := make([]*probe, requesters)
	for k := range probes {
		p := r.probe()
		probes[k] = p
		wg.Go(func() {
			for stopped := 0; stopped < 3; { // it goes on for a while after the end
				for range together {
					r.send(p, sent.Add(1), &messages.Nop{})
				}
				none := uint64(0)
				for range together {
					select {
					case m := <-p.got:
						if _, isRefused := m.(*messages.Refused); isRefused {
							none++
						}
					case <-r.ctx.Done():
						t.Error("an answer is missing")
						return
					}
				}
				refused.Add(none)
				if none == together {
					stopped++
				}
			}
		})
	}
	eventually(t, "they are at it", func() bool { return r.inspect().Submitted > 1000 })
	report, err := r.rm.Shutdown(r.ctx)
	require.NoError(t, err)
	requireLedger(t, report)
	wg.Wait()
	for _, p := range probes {
		p.silent()
	}
	require.Equal(t, sent.Load(), report.Completed+refused.Load())
	t.Logf("%d asked for, %d refused", sent.Load(), refused.Load())
}
