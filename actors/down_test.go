package actors_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/fake"
)

// down has a ring owner that has failed and gets no ring, and waits an hour for
// the next try. It gives what lets it have one.
func down(t *testing.T) (r *rig, q *requester, held messages.OpID, taken *fake.Taken) {
	crash := newCrash()
	r = newRig(t, crash.option, manual, config(func(c *actors.Config) {
		c.BackOffFirst, c.BackOffLast = time.Hour, time.Hour
	}))
	q = r.requester()
	held = q.send(&messages.Nop{})
	taken = r.kernel(1).Next(t, ring.CodeNop)
	r.refuse.Store(1 << 30)
	crash.now(r, q)
	r.until("it is down", func() bool { return r.inspect().Failures >= 2 })
	return r, q, held, taken
}

// TestServedWhileDown: while there is no actor that works, what the old ring
// completes is answered, cancels are served, on the old ring and for what is
// queued, and what needs no ring is done.
func TestServedWhileDown(t *testing.T) {
	r, q, held, _ := down(t)
	old := r.kernel(1)
	queued := q.send(&messages.Nop{})
	q.silent()
	q.cancel(queued)
	c := q.cancelled(queued)
	require.ErrorIs(t, c.Err, unix.ECANCELED)
	require.NotNil(t, c.Op)

	q.cancel(held)
	cancel := old.Next(t, ring.CodeCancel)
	q.silent()
	old.Complete(ring.UserData(cancel.Off), canceled, 0)
	old.Complete(cancel.Name, 0, 0)
	requireCancelled(t, q.cancelled(held))

	dir := q.directory()
	q.succeeds(q.send(&messages.ReadDir{Handle: dir}))
	require.Empty(t, r.inspect().Backend)
	old.AwaitClosed(t)
}

// TestBadInputWhileDown is refused at once.
func TestBadInputWhileDown(t *testing.T) {
	r, q, held, taken := down(t)
	q.send(&messages.Open{Path: ""})
	require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrPath)
	r.kernel(1).Complete(taken.Name, 0, 0)
	q.succeeds(held)
}

// TestOwnerDiesWhileDown: its handles are closed and its operations undone.
func TestOwnerDiesWhileDown(t *testing.T) {
	r, other, held, taken := down(t)
	q := r.requester()
	q.regular()
	q.send(&messages.Nop{})
	require.Equal(t, 1, r.inspect().Handles)
	q.stop()
	r.until("nothing of it is left", func() bool { in := r.inspect(); return in.Handles+in.Queued == 0 })
	r.kernel(1).Complete(taken.Name, 0, 0)
	other.succeeds(held)
}

// TestPoisonedWhileDown: it stops, though there is nobody to be restarted.
func TestPoisonedWhileDown(t *testing.T) {
	r, q, held, _ := down(t)
	r.manual.Store(false)
	r.system.Root.Poison(r.pid)
	require.ErrorIs(t, q.completion(held).Err, messages.ErrStopped)
	answered, _ := r.glass.Answers()
	select {
	case <-answered:
	case <-time.After(patience):
		t.Fatal("it does not stop")
	}
	r.over = true
}
