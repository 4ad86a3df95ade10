package actors_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/fake"
)

// short is for what does not end by itself.
func short(c *actors.Config) {
	c.DrainTimeout, c.ShutdownGrace = quickly, quickly
}

// shutdownNow shuts down with no time to drain, and reports whether that ended.
func (r *rig) shutdownNow(t *testing.T) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := r.rm.Shutdown(ctx)
		t.Log("shutdown:", err)
	}()
	select {
	case <-done:
		return true
	case <-time.After(patience):
		t.Logf("after %v: %+v", patience, r.glass.Look())
		return false
	}
}

// TestShutdownWithOrphanThatHangs gives it up as any other.
func TestShutdownWithOrphanThatHangs(t *testing.T) {
	r := newRig(t, manual, config(short))
	q := r.requester()
	k := r.kernel(1)
	q.send(&messages.Nop{})
	op := k.Next(t, ring.CodeNop)
	q.stop()
	cancel := k.Next(t, ring.CodeCancel)
	k.Complete(cancel.Name, 0, 0)
	ok := r.shutdownNow(t)
	k.TryComplete(op.Name, canceled, 0)
	r.over = true
	require.True(t, ok, "Shutdown did not return within the grace")
}

// TestAbandonedAndGivenUp: who has abandoned an operation is told when it is
// given up; there is nothing more to wait for.
func TestAbandonedAndGivenUp(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option, manual, config(short))
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	id := q.send(&messages.Nop{})
	op := k.Next(t, ring.CodeNop)
	r.system.Root.Send(r.pid, &messages.Cancel{ID: id, Abandon: true})
	cancel := k.Next(t, ring.CodeCancel)
	k.Complete(cancel.Name, 0, 0)
	crash.now(r, other)
	r.kernel(2)
	r.until("it is quarantined", func() bool { return r.glass.Look().Quarantined == 1 })
	expect[*messages.CancelResult](q)
	k.Complete(op.Name, canceled, 0)
	r.until("the quarantine is over", func() bool { return r.inspect().Quarantined == 0 })
	q.silent()
}

// TestAbandonedEndsBeforeItsCancel: who has abandoned an operation is told as
// soon as it has ended: what becomes of the cancel that the kernel was sent is
// nothing to wait for.
func TestAbandonedEndsBeforeItsCancel(t *testing.T) {
	r := newRig(t, manual)
	q := r.requester()
	k := r.kernel(1)
	id := q.send(&messages.Nop{})
	op := k.Next(t, ring.CodeNop)
	r.system.Root.Send(r.pid, &messages.Cancel{ID: id, Abandon: true})
	cancel := k.Next(t, ring.CodeCancel)
	k.Complete(op.Name, 0, 0)
	result := expect[*messages.CancelResult](q)
	require.Equal(t, id, result.ID)
	require.Equal(t, messages.Cancelled, result.Outcome)
	require.Equal(t, ring.Settling, r.glass.Look().Slots[op.Name.Slot()], "the cancel is outstanding")
	k.Complete(cancel.Name, notFound, 0)
	r.until("the slot is free", func() bool { return r.glass.Look().Live == 0 })
	q.silent()
}

// TestCancelHandleOfQuarantined: what is in quarantine has been answered.
func TestCancelHandleOfQuarantined(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option, manual, config(short))
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	h := q.regular()
	q.send(&messages.Write{Handle: h, Buf: []byte("x")})
	op := k.Next(t, ring.CodeWrite)
	crash.now(r, other)
	r.kernel(2)
	c := expect[*messages.Completion](q)
	require.ErrorIs(t, c.Err, messages.ErrOutcomeUnknown)
	r.system.Root.Send(r.pid, &messages.CancelHandle{Handle: h, ReplyTo: q.pid})
	expect[*messages.CancelResult](q)
	k.Complete(op.Name, canceled, 0)
	r.letGo()
	r.until("the quarantine is over", func() bool { return r.inspect().Quarantined == 0 })
	q.silent()
}

// TestRingFailsAtShutdown: when it is to be asked to cancel what it has.
func TestRingFailsAtShutdown(t *testing.T) {
	r := newRig(t, manual, config(short))
	q := r.requester()
	k := r.kernel(1)
	q.send(&messages.Nop{})
	op := k.Next(t, ring.CodeNop)
	lost := &ring.FatalError{Doing: "io_uring_enter"}
	for range 5000 {
		k.Script(fake.Enter{Consume: 0, Err: lost})
	}
	ok := r.shutdownNow(t)
	k.TryComplete(op.Name, canceled, 0)
	r.over = true
	require.True(t, ok, "Shutdown did not return within the grace")
}

// TestStuckEnterTakesNothing: a holder that hung returns when all that he had
// is given up, and the kernel has taken nothing of it.
func TestStuckEnterTakesNothing(t *testing.T) {
	k := new(hanging)
	r := newRig(t, hang(k), config(short))
	q := r.requester()
	old := r.kernel(1)
	k.armed.Store(true)
	go q.send(&messages.Nop{})
	k.hangs(r)
	r.kernel(2)
	c := expect[*messages.Completion](q)
	require.ErrorIs(t, c.Err, messages.ErrOutcomeUnknown)
	failures := r.inspect().Failures
	k.out <- ring.ErrBusy
	r.until("the quarantine is over", func() bool { return r.inspect().Quarantined == 0 })
	old.AwaitClosed(t)
	require.Equal(t, failures, r.inspect().Failures, "the engine failed over a take-back")
	q.silent()
}

// TestCloseWithUnknownOutcome: it is not done again. The number may be somebody
// else's by now.
func TestCloseWithUnknownOutcome(t *testing.T) {
	r := newRig(t, manual, config(short))
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	h, isOpen := q.opened()
	var fd int32
	k.OnTaken(func(taken *fake.Taken) {
		if taken.Code == ring.CodeClose { // performed, and the completion lost
			fd = taken.FD
			_ = unix.Close(int(fd))
		}
	})
	q.send(&messages.Close{Handle: h})
	k.Next(t, ring.CodeClose)
	require.False(t, isOpen())
	k.Script(fake.Enter{Consume: 0, Err: &ring.FatalError{Doing: "io_uring_enter", Err: completionLost}})
	other.send(&messages.Nop{})
	young := r.kernel(2)
	young.Complete(young.Next(t, ring.CodeNop).Name, 0, 0)
	expect[*messages.Completion](other)
	require.ErrorIs(t, expect[*messages.Completion](q).Err, messages.ErrOutcomeUnknown)
	n := -1
	for int32(n) != fd { // somebody else's file gets the number
		var err error
		n, err = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(n)
		require.LessOrEqual(t, int32(n), fd, "the number is not free")
	}
	k.AwaitClosed(t)
	k.Vanish()
	r.until("the quarantine is over", func() bool { return r.glass.Look().Live == 0 })
	r.until("closes are over", func() bool { return r.inspect().Handles == 0 })
	var st unix.Stat_t
	require.NoError(t, unix.Fstat(n, &st), "somebody else's file was closed")
}

// TestCancelledHalfway: what a read has done counts, though it is cancelled while
// it waits for the rest.
func TestCancelledHalfway(t *testing.T) {
	r := newRig(t, manual)
	q := r.requester()
	k := r.kernel(1)
	id := q.send(&messages.Read{Handle: q.regular(), Buf: make([]byte, 8)})
	first := k.Next(t, ring.CodeRead)
	for range 10000 {
		k.Script(fake.Enter{Err: ring.ErrBusy})
	}
	before := k.Enters()
	k.CompleteRead(first, "123")
	k.Await(t, before+2) // it was pushed again, and taken back
	q.cancel(id)
	require.Equal(t, 3, q.cancelled(id).N)
}
