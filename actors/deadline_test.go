package actors_test

import (
	"context"
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
	timer := k.Next(t, ring.CodeTimeout)
	require.Equal(t, ring.KindTimer, timer.Name.Kind())
	require.InDelta(t, time.Hour, timer.Duration(), float64(time.Minute))
	r.clock.pass(time.Hour)
	k.Complete(timer.Name, timerRang, 0)
	requireLate(t, q.completion(id))
	require.Len(t, k.Consumed(), 2, "the first, and the timer")
	k.Complete(name, 0, 0)
	q.succeeds(first)
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
			timer := k.Next(t, ring.CodeTimeout)
			r.clock.pass(time.Hour)
			q.silent()
			k.Complete(timer.Name, timerRang, 0)
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

// TestNearestDeadlineHasTheTimer: one timer at a time counts, for the nearest
// deadline; one that fires too early is started again.
func TestNearestDeadlineHasTheTimer(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	far := q.by(time.Now().Add(time.Hour), &messages.Nop{})
	farOp := k.Next(t, ring.CodeNop)
	first := k.Next(t, ring.CodeTimeout)
	require.InDelta(t, time.Hour, first.Duration(), float64(time.Minute))

	farther := q.by(time.Now().Add(2*time.Hour), &messages.Nop{})
	fartherOp := k.Next(t, ring.CodeNop)
	near := q.by(time.Now().Add(30*time.Minute), &messages.Nop{})
	nearOp := k.Next(t, ring.CodeNop)
	second := k.Next(t, ring.CodeTimeout)
	require.InDelta(t, 30*time.Minute, second.Duration(), float64(time.Minute))
	disarm := k.Next(t, ring.CodeCancel)
	require.EqualValues(t, first.Name, disarm.Off, "the timer that is not wanted any more")
	r.until("it is gone", func() bool { return k.Find(first.Name) == nil })

	k.Complete(second.Name, timerRang, 0) // too early, by this clock
	third := k.Next(t, ring.CodeTimeout)
	require.InDelta(t, 30*time.Minute, third.Duration(), float64(time.Minute))
	q.silent()

	for id, op := range map[messages.OpID]ring.UserData{near: nearOp.Name, far: farOp.Name, farther: fartherOp.Name} {
		k.Complete(op, 0, 0)
		q.succeeds(id)
	}
	require.Zero(t, r.glass.Look().Deadlines)
}

func TestManyDeadlines(t *testing.T) {
	const ops = 20
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	k.OnTaken(func(taken *fake.Taken) {
		if taken.Code == ring.CodeTimeout && taken.Name.Kind() == ring.KindTimer {
			time.AfterFunc(taken.Duration(), func() { k.TryComplete(taken.Name, timerRang, 0) })
			return
		}
		r.oblige(k, taken)
	})
	now := time.Now()
	for n := range ops {
		q.by(now.Add(time.Duration((n*7)%ops+1)*time.Millisecond), &messages.Timeout{After: time.Hour})
	}
	for _, m := range q.answers(ops) {
		requireLate(t, m.(*messages.Completion))
	}
	require.Zero(t, r.glass.Look().Deadlines)
}

// TestDeadlineAcrossARestart: the old ring's timer is stopped, or it would hold
// the ring open; the new one starts its own.
func TestDeadlineAcrossARestart(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option)
	q := r.requester()
	old := r.kernel(1)
	id := q.by(time.Now().Add(time.Hour), &messages.Nop{})
	op := old.Next(t, ring.CodeNop)
	timer := old.Next(t, ring.CodeTimeout)
	crash.now(r, q)
	young := r.kernel(2)
	young.Next(t, ring.CodeTimeout)
	require.EqualValues(t, timer.Name, old.Next(t, ring.CodeCancel).Off)
	old.Complete(op.Name, 0, 0)
	q.succeeds(id)
	old.AwaitClosed(t)
}

// TestBusyKernelWhenATimerIsStopped: the kernel is busy just when an old timer is to
// be stopped. Nobody may forget about it: it would hold its ring open for an
// hour.
func TestBusyKernelWhenATimerIsStopped(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option)
	q := r.requester()
	old := r.kernel(1)
	id := q.by(time.Now().Add(time.Hour), &messages.Nop{})
	op := old.Next(t, ring.CodeNop)
	timer := old.Next(t, ring.CodeTimeout)
	old.Script(fake.Enter{Err: ring.ErrBusy}, fake.Enter{Err: ring.ErrBusy})
	crash.now(r, q)
	require.EqualValues(t, timer.Name, old.Next(t, ring.CodeCancel).Off)
	old.Complete(op.Name, 0, 0)
	q.succeeds(id)
	old.AwaitClosed(t)
}

// TestDeadlineOfAClose does not stop it.
func TestDeadlineOfAClose(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	handle, isOpen := q.opened()
	q.succeeds(q.by(time.Now().Add(-time.Second), &messages.Close{Handle: handle}))
	require.False(t, isOpen())
}

// TestDeadlineWithoutRing: a deadline comes also while there is no ring to have a
// timer: of what is queued, and of what the last ring has in flight still.
func TestDeadlineWithoutRing(t *testing.T) {
	const soon = 20 * time.Millisecond
	r, q, held, taken := down(t)
	old := r.kernel(1)
	far := q.by(time.Now().Add(time.Hour), &messages.Nop{})
	near := q.by(time.Now().Add(soon), &messages.Nop{}) // nearer than the one that has a timer
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
		c.BackOffFirst, c.BackOffLast = time.Hour, time.Hour
	}))
	q, other := r.requester(), r.requester()
	old := r.kernel(1)
	id := q.by(time.Now().Add(time.Hour), &messages.Nop{})
	taken := old.Next(t, ring.CodeNop)
	old.Next(t, ring.CodeTimeout)
	r.refuse.Store(1 << 30)
	crash.now(r, other)
	r.until("it is down", func() bool { return r.inspect().Failures >= 2 })
	near := q.by(time.Now().Add(100*time.Millisecond), &messages.Nop{}) // whose timer is to be looked at after an hour
	r.glass.Look()
	r.clock.pass(time.Hour)
	requireLate(t, q.completion(near))
	cancel := old.Next(t, ring.CodeCancel)
	for cancel.Off != uint64(taken.Name) { // its timer's
		cancel = old.Next(t, ring.CodeCancel)
	}
	old.Complete(taken.Name, canceled, 0)
	requireLate(t, q.completion(id))
}
