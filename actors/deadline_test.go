package actors_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/fake"
)

// by submits an operation with a deadline.
func (q *requester) by(deadline time.Time, op messages.Op) messages.OpID {
	return q.post(&messages.Submit{Op: op, Deadline: deadline})
}

func requireLate(t *testing.T, c *messages.Completion) {
	t.Helper()
	require.ErrorIs(t, c.Err, context.DeadlineExceeded)
	require.NotErrorIs(t, c.Err, messages.ErrRefused)
	var failed *messages.OpError
	require.ErrorAs(t, c.Err, &failed)
	require.True(t, failed.Timeout())
	require.NotNil(t, c.Op)
}

func TestDeadlineThatIsPast(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	requireLate(t, q.completion(q.by(time.Now().Add(-time.Second), &messages.Nop{})))
	requireLate(t, q.completion(q.by(time.Unix(1, 0), &messages.Timeout{After: time.Hour})))
	require.Empty(t, r.kernel(1).Consumed())
	require.EqualValues(t, 2, r.inspect().Cancelled)
	require.Zero(t, r.glass.Look().Deadlines)
}

// TestDeadlineWhileQueued: it is answered without ever reaching the kernel.
func TestDeadlineWhileQueued(t *testing.T) {
	r := newRig(t, config(func(c *actors.Config) { c.InFlight = 1 }))
	q := r.requester()
	k := r.kernel(1)
	first := q.send(&messages.Nop{})
	name := k.Next(t, ring.CodeNop).Name
	id := q.by(time.Now().Add(time.Hour), &messages.Nop{})
	r.hasDeadlines(1)
	r.clock.pass(time.Hour)
	requireLate(t, q.completion(id))
	require.Len(t, k.Consumed(), 1, "the first")
	k.Complete(name, 0, 0)
	q.succeeds(first)
}

// hasDeadlines waits until so many are known.
func (r *rig) hasDeadlines(n int) {
	r.until("deadlines are known", func() bool { return r.glass.Look().Deadlines == n })
}

// TestDeadlineInFlight only asks the kernel.
func TestDeadlineInFlight(t *testing.T) {
	for name, c := range map[string]struct {
		res  int32
		late bool
	}{"and it stops": {canceled, true}, "and it succeeds": {0, false}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, manual)
			q := r.requester()
			k := r.kernel(1)
			id := q.by(time.Now().Add(time.Hour), &messages.Nop{})
			op := k.Next(t, ring.CodeNop)
			q.silent()
			r.clock.pass(time.Hour)
			cancel := k.Next(t, ring.CodeCancel)
			require.EqualValues(t, op.Name, cancel.Off)
			q.silent()
			k.Complete(op.Name, c.res, 0)
			done := q.completion(id)
			if c.late {
				requireLate(t, done)
			} else {
				require.NoError(t, done.Err, "the true result, if late")
			}
			k.Complete(cancel.Name, notFound, 0)
			q.silent()
		})
	}
}

// TestNearestDeadline: each comes in its time, whichever was the nearest when it
// was set, and those that ended before bring nothing about.
func TestNearestDeadline(t *testing.T) {
	r := newRig(t, manual)
	q := r.requester()
	k := r.kernel(1)
	now := time.Now()
	ids, taken := make(map[int]messages.OpID), make(map[int]*fake.Taken)
	for _, minutes := range []int{60, 120, 30, 45} {
		ids[minutes] = q.by(now.Add(time.Duration(minutes)*time.Minute), &messages.Nop{})
		taken[minutes] = k.Next(t, ring.CodeNop)
	}
	late := func(minutes int) {
		t.Helper()
		cancel := k.Next(t, ring.CodeCancel)
		require.EqualValues(t, taken[minutes].Name, cancel.Off)
		k.Complete(taken[minutes].Name, canceled, 0)
		requireLate(t, q.completion(ids[minutes]))
		k.Complete(cancel.Name, notFound, 0)
	}
	k.Complete(taken[45].Name, 0, 0)
	q.succeeds(ids[45])
	r.hasDeadlines(3)
	r.clock.pass(30 * time.Minute)
	late(30)
	r.hasDeadlines(2)
	r.clock.pass(15 * time.Minute) // it rings for the one that is over, at most
	r.hasDeadlines(2)
	r.clock.pass(15 * time.Minute)
	late(60)
	r.hasDeadlines(1)
	r.clock.pass(time.Hour)
	late(120)
	r.hasDeadlines(0)
	q.silent()
}

func TestManyDeadlines(t *testing.T) {
	const ops = 20
	r := newRig(t)
	q := r.requester()
	now := time.Now()
	for n := range ops {
		q.by(now.Add(time.Duration((n*7)%ops+1)*time.Millisecond), &messages.Timeout{After: time.Hour})
	}
	for _, m := range q.answers(ops) {
		requireLate(t, m.(*messages.Completion))
	}
	require.Zero(t, r.glass.Look().Deadlines)
}

// TestDeadlineAcrossARestart: what an old ring has in flight is asked to stop.
func TestDeadlineAcrossARestart(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option, manual, config(func(c *actors.Config) { c.DrainTimeout = time.Hour }))
	q := r.requester()
	old := r.kernel(1)
	id := q.by(time.Now().Add(time.Minute), &messages.Nop{})
	op := old.Next(t, ring.CodeNop)
	crash.now(r, q)
	r.kernel(2)
	r.hasDeadlines(1)
	r.clock.pass(time.Minute)
	cancel := old.Next(t, ring.CodeCancel)
	require.EqualValues(t, op.Name, cancel.Off)
	old.Complete(op.Name, canceled, 0)
	requireLate(t, q.completion(id))
	old.Complete(cancel.Name, notFound, 0)
	old.AwaitClosed(t)
}

// TestDeadlineWithABusyKernel: what cannot be issued ends in time all the same.
func TestDeadlineWithABusyKernel(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	k.Script(slices.Repeat([]fake.Enter{{Err: ring.ErrBusy}}, 1<<20)...)
	id := q.by(time.Now().Add(time.Hour), &messages.Nop{})
	r.hasDeadlines(1)
	r.clock.pass(time.Hour)
	requireLate(t, q.completion(id))
	require.Empty(t, k.Consumed())
}

// TestDeadlineOfAClose does not stop it.
func TestDeadlineOfAClose(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	handle, isOpen := q.opened()
	q.succeeds(q.by(time.Now().Add(-time.Second), &messages.Close{Handle: handle}))
	require.False(t, isOpen())
}

// TestDeadlineWithoutRing: a deadline comes also while there is no ring, of what is
// queued, and of what the last ring has in flight still.
func TestDeadlineWithoutRing(t *testing.T) {
	const soon = 20 * time.Millisecond
	r, q, held, taken := down(t)
	old := r.kernel(1)
	far := q.by(time.Now().Add(time.Hour), &messages.Nop{})
	near := q.by(time.Now().Add(soon), &messages.Nop{})
	requireLate(t, q.completion(near))
	next := q.by(time.Now().Add(soon), &messages.Nop{})
	requireLate(t, q.completion(next))
	old.Complete(taken.Name, 0, 0)
	q.succeeds(held)
	q.cancel(far)
	requireCancelled(t, q.cancelled(far))
	require.Zero(t, r.glass.Look().Deadlines)
}

// TestDeadlineOfLostRing: what a ring has in flight is asked to stop, although
// there is no other.
func TestDeadlineOfLostRing(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option, manual, config(func(c *actors.Config) {
		c.BackOffFirst, c.BackOffLast, c.DrainTimeout = 2*time.Hour, 2*time.Hour, 2*time.Hour
	}))
	q, other := r.requester(), r.requester()
	old := r.kernel(1)
	id := q.by(time.Now().Add(time.Hour), &messages.Nop{})
	taken := old.Next(t, ring.CodeNop)
	r.refuse.Store(1 << 30)
	crash.now(r, other)
	r.until("it is down", func() bool { return r.inspect().Failures >= 2 })
	near := q.by(time.Now().Add(100*time.Millisecond), &messages.Nop{})
	r.glass.Look()
	r.clock.pass(time.Hour)
	requireLate(t, q.completion(near))
	cancel := old.Next(t, ring.CodeCancel)
	require.EqualValues(t, taken.Name, cancel.Off)
	old.Complete(taken.Name, canceled, 0)
	requireLate(t, q.completion(id))
}
