//go:build linux

package test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// TestStrangers sends what has no owner here, no reply address, or no sense.
func TestStrangers(t *testing.T) {
	r := start(t)
	p := r.probe()
	gone := r.probe()
	gone.stop()
	before, kernel := r.inspect(), r.seen()
	for _, owner := range []*actor.PID{gone.pid, actor.NewPID("elsewhere:1", p.pid.Id), {}} {
		r.system.Root.Send(r.rm.PID(), &messages.Submit{Op: &messages.Nop{}, ID: messages.OpID{Owner: owner, Seq: 1}, ReplyTo: p.pid})
		require.ErrorIs(t, next[*messages.Refused](p).Err, messages.ErrOwner)
	}
	for _, strange := range []any{
		(*messages.Submit)(nil), (*messages.SubmitBatch)(nil), (*messages.Cancel)(nil), (*messages.CancelOwner)(nil),
		(*messages.CancelHandle)(nil), (*messages.Inspect)(nil), 42, "read /etc/passwd", &messages.Completion{},
		&messages.SubmitBatch{Submits: []*messages.Submit{nil}},
	} {
		r.system.Root.Send(r.rm.PID(), strange)
	}
	r.system.Root.Send(r.rm.PID(), &messages.Submit{Op: &messages.Nop{}}) // nobody to answer
	r.system.Root.Send(r.rm.PID(), &messages.Inspect{})
	after := r.inspect()
	require.Equal(t, kernel, r.seen())
	require.Equal(t, before.Strange+10, after.Strange)
	require.Equal(t, before.Refused+4, after.Refused)
	require.Equal(t, before.Owners, after.Owners)
	p.silent()
}

// TestDuplicateID refuses a second operation under a number that is in use,
// and takes the number again afterwards.
func TestDuplicateID(t *testing.T) {
	r := start(t)
	p := r.probe()
	r.send(p, 7, &messages.Timeout{After: time.Hour})
	r.send(p, 7, &messages.Nop{})
	require.ErrorIs(t, next[*messages.Refused](p).Err, messages.ErrDuplicateID)
	r.system.Root.Send(r.rm.PID(), &messages.Cancel{ID: messages.OpID{Owner: p.pid, Seq: 7}})
	require.ErrorIs(t, p.completed(7).Err, unix.ECANCELED)
	require.Equal(t, messages.Cancelled, next[*messages.CancelResult](p).Outcome)
	r.send(p, 7, &messages.Nop{})
	require.NoError(t, p.completed(7).Err)
}

// TestDeadlinePast answers an operation whose deadline is over without the
// kernel.
func TestDeadlinePast(t *testing.T) {
	r := start(t)
	p := r.probe()
	r.inspect()
	before := r.seen()
	r.system.Root.Send(r.rm.PID(), &messages.Submit{
		Op: &messages.Nop{}, ID: messages.OpID{Owner: p.pid, Seq: 1}, Deadline: time.Now().Add(-time.Second),
	})
	c := p.completed(1)
	require.ErrorIs(t, c.Err, context.DeadlineExceeded)
	var timeout interface{ Timeout() bool }
	require.True(t, errors.As(c.Err, &timeout) && timeout.Timeout())
	require.Equal(t, before, r.seen())
}

// TestOverload refuses what is over a limit, at once, and says when there is
// room again.
func TestOverload(t *testing.T) {
	for _, c := range []struct {
		name   string
		option []supervisor.Option
		want   error
	}{
		{"queue", []supervisor.Option{supervisor.WithInFlight(4), supervisor.WithQueue(6)}, messages.ErrOverloaded}, // two are reserved
		{"quota", []supervisor.Option{supervisor.WithOwnerQuota(8)}, messages.ErrQuota},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, c.option...)
			p := r.probe()
			for k := range 8 {
				r.send(p, uint64(k+1), &messages.Timeout{After: time.Hour})
			}
			for k := range 3 {
				r.send(p, uint64(k+9), &messages.Nop{})
				require.ErrorIs(t, next[*messages.Refused](p).Err, c.want)
			}
			r.system.Root.Send(r.rm.PID(), &messages.CancelOwner{Owner: p.pid})
			requireReady(t, p, 8)
			r.send(p, 20, &messages.Nop{})
			require.NoError(t, p.completed(20).Err)
			p.silent()
		})
	}
}

// requireReady takes the answers of so many cancelled operations, their
// CancelResult and one Ready.
func requireReady(t *testing.T, p *probe, operations int) {
	t.Helper()
	count := map[string]int{}
	for range operations + 2 {
		switch m := next[any](p).(type) {
		case *messages.Completion:
			require.ErrorIs(t, m.Err, unix.ECANCELED)
			count["completion"]++
		case *messages.CancelResult:
			require.Equal(t, operations, m.Count)
			require.Equal(t, operations, count["completion"])
			count["result"]++
		case *messages.Ready:
			count["ready"]++
		}
	}
	require.Equal(t, map[string]int{"completion": operations, "result": 1, "ready": 1}, count)
}

// TestWorkers: what waits in the system's calls occupies no more threads, of whoever
// they are, than the subsystem may have.
func TestWorkers(t *testing.T) {
	const opens, least = 256, 64
	r := start(t, supervisor.WithWorkers(least))
	p, path := r.probe(), fifo(t)
	before := threads(t)
	for n := range opens {
		r.send(p, uint64(n+1), &messages.Open{Path: path}) // waits for somebody who writes
	}
	eventually(t, "an eighth of them has work, and the rest waits", func() bool {
		in := r.inspect()
		return in.InFlight == least/8 && in.Queued == opens-least/8
	})
	require.Less(t, threads(t), before+opens/2)
	writer, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	for range opens {
		require.NoError(t, next[*messages.Completion](p).Err)
	}
	require.NoError(t, writer.Close())
}

// threads is how many this process has, with those that the kernel added.
func threads(t *testing.T) int {
	tasks, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	return len(tasks)
}
