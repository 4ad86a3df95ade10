package actors_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/fake"
)

// manual leaves cancels to the test.
func manual(r *rig, _ *actors.Config) { r.manual.Store(true) }

// requireCancelled checks a Completion that says that nothing was done.
func requireCancelled(t *testing.T, c *messages.Completion) {
	t.Helper()
	require.ErrorIs(t, c.Err, unix.ECANCELED)
	require.ErrorIs(t, c.Err, context.Canceled)
	require.NotNil(t, c.Op, "the operation comes back")
}

// TestCancelOfQueued: an operation that the kernel has not seen is answered at
// once, and the kernel never sees it.
func TestCancelOfQueued(t *testing.T) {
	r := newRig(t, config(func(c *actors.Config) { c.InFlight = 1 }))
	q := r.requester()
	k := r.kernel(1)
	first := q.send(&messages.Nop{})
	taken := k.Next(t, ring.CodeNop)
	second, third := q.send(&messages.Nop{}), q.send(&messages.Nop{})
	q.cancel(second)
	requireCancelled(t, q.cancelled(second))
	require.Len(t, k.Consumed(), 1, "neither the operation nor a cancel")
	k.Complete(taken.Name, 0, 0)
	q.succeeds(first)
	k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	q.succeeds(third)
	require.Len(t, k.Consumed(), 2)
	require.EqualValues(t, 1, r.inspect().Cancelled)
}

// TestCancelInFlight goes through the orders in which the two completions of a
// cancellation can come, and what the cancel's own can say. Nothing of that
// changes what the requester is told, or when.
func TestCancelInFlight(t *testing.T) {
	for name, c := range map[string]struct {
		op, cancel  int32
		cancelFirst bool
		succeeds    bool
	}{
		"target first":                    {op: canceled, cancel: 0},
		"cancel first":                    {op: canceled, cancel: 0, cancelFirst: true},
		"EINTR":                           {op: -int32(unix.EINTR), cancel: 0},
		"ENOENT first, and it succeeds":   {op: 0, cancel: notFound, cancelFirst: true, succeeds: true},
		"EALREADY first, and it succeeds": {op: 0, cancel: already, cancelFirst: true, succeeds: true},
		"it succeeds, then ENOENT":        {op: 0, cancel: notFound, succeeds: true},
		"found, and yet it succeeds":      {op: 0, cancel: 0, cancelFirst: true, succeeds: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, manual)
			q := r.requester()
			k := r.kernel(1)
			id := q.send(&messages.Nop{})
			op := k.Next(t, ring.CodeNop)
			q.cancel(id)
			cancel := k.Next(t, ring.CodeCancel)
			require.EqualValues(t, op.Name, cancel.Off, "the target")
			require.Equal(t, ring.KindCancel, cancel.Name.Kind())
			require.Equal(t, ring.Cancelling, r.glass.Look().Slots[op.Name.Slot()])

			if c.cancelFirst {
				k.Complete(cancel.Name, c.cancel, 0)
				require.Equal(t, ring.Cancelling, r.glass.Look().Slots[op.Name.Slot()], "a cancel's result retires nothing")
				q.silent()
			}
			k.Complete(op.Name, c.op, 0)
			done := q.cancelled(id)
			if c.succeeds {
				require.NoError(t, done.Err, "the true result")
			} else {
				require.ErrorIs(t, done.Err, context.Canceled)
			}
			if !c.cancelFirst {
				require.Equal(t, ring.Settling, r.glass.Look().Slots[op.Name.Slot()], "the cancel is outstanding")
				k.Complete(cancel.Name, c.cancel, 0)
			}
			q.silent()
			r.until("the slot is free", func() bool { r.letGo(); return r.glass.Look().Live == 0 })
		})
	}
}

// TestCancelIsAskedAgain: a cancel that found nothing may come too early, and
// the operation then goes on for ever.
func TestCancelIsAskedAgain(t *testing.T) {
	r := newRig(t, manual)
	q := r.requester()
	k := r.kernel(1)
	id := q.send(&messages.Nop{})
	op := k.Next(t, ring.CodeNop)
	q.cancel(id)
	for _, res := range [...]int32{notFound, already, notFound} {
		cancel := k.Next(t, ring.CodeCancel)
		require.EqualValues(t, op.Name, cancel.Off)
		k.Complete(cancel.Name, res, 0)
	}
	last := k.Next(t, ring.CodeCancel)
	k.Complete(op.Name, canceled, 0)
	k.Complete(last.Name, 0, 0)
	requireCancelled(t, q.cancelled(id))
}

func TestCancelOfTheDoneAndTheUnknown(t *testing.T) {
	r := newRig(t)
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	id := q.send(&messages.Nop{})
	name := k.Next(t, ring.CodeNop).Name

	// It is open, but not the other's.
	other.cancel(messages.OpID{Owner: other.pid, Seq: id.Seq})
	require.Equal(t, messages.NotFound, expect[*messages.CancelResult](other).Outcome)

	k.Complete(name, 0, 0)
	q.succeeds(id)
	for _, c := range []struct {
		id   messages.OpID
		want messages.CancelOutcome
	}{
		{id, messages.AlreadyDone},
		{messages.OpID{Owner: q.pid, Seq: id.Seq + 1}, messages.NotFound},
		{messages.OpID{Owner: q.pid}, messages.NotFound},
		{messages.OpID{Owner: q.pid, Seq: 1 << 63}, messages.NotFound},
	} {
		q.cancel(c.id)
		result := expect[*messages.CancelResult](q)
		require.Equal(t, c.want, result.Outcome, "%v", c.id)
		require.Equal(t, "cancel", result.Token)
		require.Zero(t, result.Count)
	}
	require.Len(t, k.Consumed(), 1)
	q.silent()
	other.silent()
}

func TestTwoCancellers(t *testing.T) {
	r := newRig(t, manual)
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	id := q.send(&messages.Nop{})
	op := k.Next(t, ring.CodeNop)
	q.cancel(id)
	cancel := k.Next(t, ring.CodeCancel)
	r.system.Root.Send(r.pid, &messages.Cancel{ID: id, ReplyTo: other.pid})
	q.cancel(id)
	q.silent()
	other.silent()
	k.Complete(op.Name, canceled, 0)
	requireCancelled(t, q.cancelled(id))
	require.Equal(t, messages.Cancelled, expect[*messages.CancelResult](q).Outcome)
	require.Equal(t, messages.Cancelled, expect[*messages.CancelResult](other).Outcome)
	k.Complete(cancel.Name, 0, 0)
	require.Len(t, k.Consumed(), 2, "the kernel was asked once")
	q.silent()
	other.silent()
}

// TestCancelOwner: with several operations it comes after the terminal
// answers of all of them.
func TestCancelOwner(t *testing.T) {
	r := newRig(t, manual)
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	kept := other.send(&messages.Nop{})
	keptName := k.Next(t, ring.CodeNop).Name
	var ops []*fake.Taken
	for range 3 {
		q.send(&messages.Nop{})
		ops = append(ops, k.Next(t, ring.CodeNop))
	}
	r.system.Root.Send(r.pid, &messages.CancelOwner{Owner: q.pid, Token: "all"})
	for _, op := range ops {
		require.EqualValues(t, op.Name, k.Next(t, ring.CodeCancel).Off, "the oldest first")
	}
	for n := len(ops) - 1; n >= 0; n-- {
		q.silent()
		k.Complete(ops[n].Name, canceled, 0)
		requireCancelled(t, expect[*messages.Completion](q))
	}
	result := expect[*messages.CancelResult](q)
	require.Equal(t, messages.CancelResult{ID: messages.OpID{Owner: q.pid}, Token: "all", Outcome: messages.Cancelled, Count: 3}, *result)
	k.Complete(keptName, 0, 0)
	other.succeeds(kept)

	r.system.Root.RequestWithCustomSender(r.pid, &messages.CancelOwner{}, q.pid)
	require.Equal(t, messages.NotFound, expect[*messages.CancelResult](q).Outcome)
	nobody := r.requester()
	r.system.Root.RequestWithCustomSender(r.pid, &messages.CancelOwner{}, nobody.pid)
	require.Equal(t, messages.NotFound, expect[*messages.CancelResult](nobody).Outcome)
}

func TestCancelHandle(t *testing.T) {
	r := newRig(t)
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	in, _ := q.pipe()
	elsewhere, _ := q.pipe()
	mine := q.send(&messages.Read{Handle: in, Buf: make([]byte, 8)})
	k.Next(t, ring.CodeRead)
	theirs := other.send(&messages.Read{Handle: in, Buf: make([]byte, 8)}) // waits for its turn
	poll := other.send(&messages.Poll{Handle: in, Events: messages.Readable})
	k.Next(t, ring.CodePoll)
	kept := q.send(&messages.Read{Handle: elsewhere, Buf: make([]byte, 8)})
	keptTaken := k.Next(t, ring.CodeRead)

	canceller := r.requester()
	r.system.Root.RequestWithCustomSender(r.pid, &messages.CancelHandle{Handle: in, Token: 7}, canceller.pid)
	requireCancelled(t, q.completion(mine))
	got := map[uint64]bool{}
	for range 2 {
		c := expect[*messages.Completion](other)
		requireCancelled(t, c)
		got[c.ID.Seq] = true
	}
	require.True(t, got[theirs.Seq] && got[poll.Seq])
	result := expect[*messages.CancelResult](canceller)
	require.Equal(t, messages.CancelResult{Token: 7, Outcome: messages.Cancelled, Count: 3}, *result)
	k.CompleteRead(keptTaken, "kept")
	q.succeeds(kept)

	forged := messages.NewHandle(in.ID(), in.Key()^2)
	r.system.Root.RequestWithCustomSender(r.pid, &messages.CancelHandle{Handle: forged}, canceller.pid)
	require.Equal(t, messages.NotFound, expect[*messages.CancelResult](canceller).Outcome)
	r.system.Root.RequestWithCustomSender(r.pid, &messages.CancelHandle{Handle: in}, canceller.pid)
	require.Equal(t, messages.NotFound, expect[*messages.CancelResult](canceller).Outcome)
}

// TestCancelHandleComesLast: what has ended and is not answered yet when the
// CancelHandle comes is answered before it.
func TestCancelHandleComesLast(t *testing.T) {
	for _, ends := range []func(q *requester, in messages.Handle) messages.OpID{
		func(q *requester, in messages.Handle) messages.OpID {
			id := q.send(&messages.Read{Handle: in, Buf: make([]byte, 8)})
			q.r.system.Root.Send(q.r.pid, &messages.Cancel{ID: id, ReplyTo: q.r.requester().pid})
			return id
		},
		func(q *requester, in messages.Handle) messages.OpID {
			return q.send(&messages.Give{Handle: in, To: q.pid})
		},
	} {
		r := newRig(t, config(func(c *actors.Config) { c.Inline = false }))
		q := r.requester()
		in, _ := q.pipe()
		var id messages.OpID
		r.glass.Hold(func() { // so that they are taken in one burst
			id = ends(q, in)
			r.system.Root.Send(r.pid, &messages.CancelHandle{Handle: in, ReplyTo: q.pid})
		})
		q.completion(id)
		result := expect[*messages.CancelResult](q)
		require.Equal(t, messages.CancelResult{Outcome: messages.Cancelled, Count: 1}, *result)
	}
}

// TestAbandon: the operation's own answer is dropped, the CancelResult comes
// when the kernel is done with it.
func TestAbandon(t *testing.T) {
	r := newRig(t, manual, config(func(c *actors.Config) { c.InFlight = 1 }))
	q := r.requester()
	k := r.kernel(1)
	id := q.send(&messages.Write{Handle: q.regular(), Buf: []byte("precious")})
	op := k.Next(t, ring.CodeWrite)
	queued := q.send(&messages.Nop{})

	r.system.Root.Send(r.pid, &messages.Cancel{ID: queued, Abandon: true})
	result := expect[*messages.CancelResult](q)
	require.Equal(t, queued, result.ID)
	require.Equal(t, messages.Cancelled, result.Outcome)

	r.system.Root.Send(r.pid, &messages.Cancel{ID: id, Abandon: true})
	cancel := k.Next(t, ring.CodeCancel)
	q.silent()
	require.Equal(t, ring.Cancelled, r.glass.Look().Slots[op.Name.Slot()])
	k.Complete(cancel.Name, 0, 0)
	q.silent()
	k.Complete(op.Name, 8, 0)
	result = expect[*messages.CancelResult](q)
	require.Equal(t, id, result.ID)
	require.Equal(t, messages.Cancelled, result.Outcome)
	q.silent()
	require.EqualValues(t, 2, r.inspect().Orphaned)
}

// TestLateOpenIsClosed: a descriptor that nobody waits for does not stay open,
// whoever stopped waiting, and how.
func TestLateOpenIsClosed(t *testing.T) {
	for name, giveUp := range map[string]func(*rig, *requester, messages.OpID){
		"owner's death": func(_ *rig, q *requester, _ messages.OpID) { q.stop() },
		"abandoned": func(r *rig, _ *requester, id messages.OpID) {
			r.system.Root.Send(r.pid, &messages.Cancel{ID: id, Abandon: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, manual)
			q := r.requester()
			k := r.kernel(1)
			id := q.send(&messages.Open{Path: "/slow", Flags: os.O_RDONLY})
			op := k.Next(t, ring.CodeOpen)
			giveUp(r, q, id)
			cancel := k.Next(t, ring.CodeCancel)
			require.EqualValues(t, op.Name, cancel.Off)
			fd, isOpen := r.descriptor()
			k.Complete(op.Name, fd, 0)
			r.until("the late descriptor is closed", func() bool { return !isOpen() })
			require.EqualValues(t, 1, r.inspect().LateClosed)
			k.Complete(cancel.Name, notFound, 0)
			require.Zero(t, r.glass.Look().Handles)
		})
	}
}

// TestLateOpenAfterCancelIsDelivered: whoever only cancelled still waits, and
// is told the truth.
func TestLateOpenAfterCancelIsDelivered(t *testing.T) {
	r := newRig(t, manual)
	q := r.requester()
	k := r.kernel(1)
	id := q.send(&messages.Open{Path: "/slow", Flags: os.O_RDONLY})
	op := k.Next(t, ring.CodeOpen)
	q.cancel(id)
	k.Complete(k.Next(t, ring.CodeCancel).Name, already, 0)
	fd, isOpen := r.descriptor()
	k.Complete(op.Name, fd, 0)
	c := q.cancelled(id)
	require.NoError(t, c.Err)
	require.True(t, isOpen())
	q.succeeds(q.send(&messages.Close{Handle: c.Handle}))
	require.False(t, isOpen())
}

// TestOwnerDiesWithOperationsOfEachKind: in flight, queued, and behind others.
func TestOwnerDiesWithOperationsOfEachKind(t *testing.T) {
	r := newRig(t, config(func(c *actors.Config) { c.InFlight = 3 }))
	q := r.requester()
	k := r.kernel(1)
	in, _ := q.pipe()
	file := q.regular()
	q.send(&messages.Read{Handle: in, Buf: make([]byte, 8)})
	k.Next(t, ring.CodeRead)
	q.send(&messages.Read{Handle: in, Buf: make([]byte, 8)}) // behind it
	q.send(&messages.Write{Handle: file, Buf: []byte("x")})
	k.Next(t, ring.CodeWrite)
	q.send(&messages.Timeout{After: 1 << 40})
	k.Next(t, ring.CodeTimeout)
	q.send(&messages.Nop{})               // no room
	q.send(&messages.Close{Handle: file}) // waits for the write
	require.Equal(t, 6, r.glass.Look().Live)
	q.stop()
	r.until("nothing is left of the owner", func() bool { return r.glass.Look().Empty() })
	in2 := r.inspect()
	require.EqualValues(t, 6, in2.Orphaned)
	require.Equal(t, in2.Submitted, in2.Completed)
}

// TestOwnerDiesAndAnotherIsAnswered: whoever else is to be told of a dead owner's
// operations is told of each. What is in flight, queued or ended is cancelled, a
// Close goes on, and a descriptor is closed that an operation brings.
func TestOwnerDiesAndAnotherIsAnswered(t *testing.T) {
	r := newRig(t, manual, config(func(c *actors.Config) { c.InFlight, c.Inline = 3, false }))
	owner, other := r.requester(), r.requester()
	k := r.kernel(1)
	file, given := owner.regular(), other.regular()
	send := func(op messages.Op) messages.OpID {
		return owner.post(&messages.Submit{Op: op, ReplyTo: other.pid})
	}
	send(&messages.Open{Path: "/file", Flags: os.O_RDONLY})
	open := k.Next(t, ring.CodeOpen)
	write := send(&messages.Write{Handle: file, Buf: []byte("x")})
	writing := k.Next(t, ring.CodeWrite)
	closed := send(&messages.Close{Handle: file})
	send(&messages.Timeout{After: time.Hour})
	timer := k.Next(t, ring.CodeTimeout)
	queued := send(&messages.Nop{})
	owner.send(&messages.Fsync{Handle: given}) // of which nobody else is to be told
	require.Equal(t, 3, r.inspect().Queued)
	owner.stop()
	c := other.completion(queued)
	require.ErrorIs(t, c.Err, messages.ErrOwner)
	require.ErrorIs(t, c.Err, unix.ECANCELED)
	other.silent()
	fd, isOpen := r.descriptor()
	k.Complete(open.Name, fd, 0)
	c = expect[*messages.Completion](other)
	require.ErrorIs(t, c.Err, messages.ErrOwner)
	require.True(t, c.Handle.IsZero())
	r.until("nobody's descriptor is closed", func() bool { return !isOpen() })
	k.Complete(timer.Name, canceled, 0)
	require.ErrorIs(t, expect[*messages.Completion](other).Err, messages.ErrOwner)
	k.Complete(writing.Name, 1, 0)
	require.Equal(t, 1, other.succeeds(write).N)
	other.succeeds(closed)
	require.EqualValues(t, 1, r.inspect().Orphaned)
	require.NotEmpty(t, k.InFlight(), "its cancels")
}

// TestOwnerAndHeirDie: nothing is left when nobody is.
func TestOwnerAndHeirDie(t *testing.T) {
	r := newRig(t, manual)
	owner, other := r.requester(), r.requester()
	k := r.kernel(1)
	for range 2 {
		owner.post(&messages.Submit{Op: &messages.Open{Path: "/file", Flags: os.O_RDONLY}, ReplyTo: other.pid})
	}
	first, second := k.Next(t, ring.CodeOpen), k.Next(t, ring.CodeOpen)
	owner.stop()
	fd, isOpen := r.descriptor()
	k.Complete(first.Name, fd, 0)
	expect[*messages.Completion](other)
	r.until("it is closed", func() bool { return !isOpen() })
	other.stop()
	fd, isOpen = r.descriptor()
	k.Complete(second.Name, fd, 0)
	r.until("it is closed as well", func() bool { return !isOpen() })
}

// TestOrphansMemoryIsKept: the buffer and the slot of an orphan are nobody
// else's until the kernel is done; see fake.Kernel for how the memory is
// watched.
func TestOrphansMemoryIsKept(t *testing.T) {
	r := newRig(t, manual)
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	q.send(&messages.Write{Handle: q.regular(), Buf: []byte("precious")})
	orphan := k.Next(t, ring.CodeWrite)
	q.stop()
	cancel := k.Next(t, ring.CodeCancel)
	k.Complete(cancel.Name, already, 0)
	for range 100 {
		id := other.send(&messages.Nop{})
		taken := k.Next(t, ring.CodeNop)
		require.NotEqual(t, orphan.Name.Slot(), taken.Name.Slot(), "its slot is in use again")
		k.Complete(taken.Name, 0, 0)
		other.succeeds(id)
	}
	require.Equal(t, 1, r.glass.Look().Handles, "its file is open still")
	k.Complete(orphan.Name, 8, 0)
	r.until("the orphan is gone", func() bool { r.letGo(); p := r.glass.Look(); return p.Live == 0 && p.Handles == 0 })
}

// TestStaleCompletions: a completion of an earlier generation, or of nothing,
// is counted and reaches nobody. (The rig's own check of the count at the end
// does not apply, so the subsystem is stopped here.)
func TestStaleCompletions(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	id := q.send(&messages.Nop{})
	old := k.Next(t, ring.CodeNop)
	k.Complete(old.Name, 0, 0)
	q.succeeds(id)
	id = q.send(&messages.Nop{})
	young := k.Next(t, ring.CodeNop)
	require.Equal(t, old.Name.Slot(), young.Name.Slot())
	forged := []ring.UserData{old.Name, ring.MakeUserData(ring.KindCancel, old.Name.Slot(), young.Name.Generation()), ring.MakeUserData(ring.KindOp, ring.SlotMax-1, 1)}
	for _, name := range forged {
		k.Forge(ring.CQE{UserData: name, Res: -5})
	}
	r.until("they are counted", func() bool { return r.inspect().Stale == uint64(len(forged)) })
	q.silent()
	k.Complete(young.Name, 0, 0)
	q.succeeds(id)
	_, err := r.rm.Shutdown(context.Background())
	require.NoError(t, err)
	r.over = true
}

// TestCancelOfAClose: a Close is not stopped by anything, or the descriptor
// would stay behind.
func TestCancelOfAClose(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	file := q.regular()
	write := q.send(&messages.Write{Handle: file, Buf: []byte("x")})
	taken := k.Next(t, ring.CodeWrite)
	id := q.send(&messages.Close{Handle: file})
	q.cancel(id)
	q.silent()
	k.Complete(taken.Name, 1, 0)
	q.succeeds(write)
	require.NoError(t, q.cancelled(id).Err)
	require.Zero(t, r.glass.Look().Handles)
}

// TestCancelledReadThatWouldHaveWaited: the kernel's answer to a read that was
// not to wait is our business, not the caller's.
func TestCancelledReadThatWouldHaveWaited(t *testing.T) {
	for _, res := range [...]int32{again, -int32(unix.EOPNOTSUPP)} {
		r := newRig(t, manual)
		q := r.requester()
		k := r.kernel(1)
		id := q.send(&messages.Read{Handle: q.regular(), Buf: make([]byte, 8)})
		op := k.Next(t, ring.CodeRead)
		require.True(t, op.NoWait)
		q.cancel(id)
		cancel := k.Next(t, ring.CodeCancel)
		k.Complete(op.Name, res, 0)
		k.Complete(cancel.Name, notFound, 0)
		requireCancelled(t, q.cancelled(id))
	}
}
