package actors_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/fake"
)

// hasty has a failed ring given up almost at once.
func hasty(c *actors.Config) {
	c.DrainTimeout, c.ShutdownGrace = quickly, quickly
}

// completionLost is EBADR, which other systems lack.
const completionLost = unix.Errno(53)

func fatally(errno unix.Errno) fake.Enter {
	return fake.Enter{Err: &ring.FatalError{Doing: "io_uring_enter", Err: errno}}
}

// TestLostCompletion: the kernel has lost a completion, so the ring will never
// be empty. What is owed is answered as unknown, the ring is closed, and the
// memory is free when the kernel says so, not before.
func TestLostCompletion(t *testing.T) {
	r := newRig(t, config(hasty))
	q := r.requester()
	old := r.kernel(1)
	write := q.send(&messages.Write{Handle: q.regular(), Buf: []byte("precious")})
	old.Next(t, ring.CodeWrite)
	open := q.send(&messages.Open{Path: "/slow", Flags: os.O_RDONLY})
	old.Next(t, ring.CodeOpen)
	r.manual.Store(true) // cancels of these are never answered
	old.Script(fatally(completionLost))
	nop := q.send(&messages.Nop{})
	young := r.kernel(2)
	young.Complete(young.Next(t, ring.CodeNop).Name, 0, 0)
	for seq, m := range q.answers(3) {
		c := m.(*messages.Completion)
		if seq == nop.Seq {
			require.NoError(t, c.Err, "it was taken back in time")
			continue
		}
		require.Contains(t, []uint64{write.Seq, open.Seq}, seq)
		require.ErrorIs(t, c.Err, messages.ErrOutcomeUnknown)
		require.Nil(t, c.Op)
	}
	old.AwaitClosed(t)
	in := r.inspect()
	require.Equal(t, 2, in.Quarantined)
	require.EqualValues(t, 1, in.Lost, "the open may have brought a descriptor")
	require.Equal(t, 1, in.Draining)

	old.Vanish()
	r.until("the quarantine is over", func() bool { return r.inspect().Quarantined == 0 })
	require.Zero(t, r.inspect().Draining)
	require.Zero(t, r.glass.Look().Live)
	q.silent()
}

// TestDeadRing: a ring that cannot be entered any more is reaped as long as it
// may bring a descriptor, and closed when it may not.
func TestDeadRing(t *testing.T) {
	r := newRig(t, config(hasty), manual)
	q := r.requester()
	old := r.kernel(1)
	q.send(&messages.Write{Handle: q.regular(), Buf: []byte("precious")})
	old.Next(t, ring.CodeWrite)
	q.send(&messages.Open{Path: "/slow", Flags: os.O_RDONLY})
	opening := old.Next(t, ring.CodeOpen)
	old.Script(fatally(unix.ENXIO), fatally(unix.ENXIO), fatally(unix.ENXIO))
	nop := q.send(&messages.Nop{})
	young := r.kernel(2)
	young.Complete(young.Next(t, ring.CodeNop).Name, 0, 0)
	require.NoError(t, q.answers(3)[nop.Seq].(*messages.Completion).Err)
	require.Equal(t, 2, r.inspect().Quarantined)
	require.False(t, old.Closed())

	fd, isOpen := r.descriptor()
	old.Complete(opening.Name, fd, 0)
	r.until("the late descriptor is closed", func() bool { return !isOpen() })
	old.AwaitClosed(t)
	require.Equal(t, 1, r.inspect().Quarantined)
	require.Zero(t, r.inspect().Lost)
	old.Vanish()
	r.until("the quarantine is over", func() bool { return r.inspect().Quarantined == 0 })
}

// TestQuarantineIsBounded: over the limit the subsystem says so, and takes
// nothing more until the kernel has let go of something.
func TestQuarantineIsBounded(t *testing.T) {
	const limit = 3
	crash := newCrash()
	r := newRig(t, crash.option, manual, config(hasty), config(func(c *actors.Config) { c.QuarantineMax = limit }))
	full := events[*messages.QuarantineFullEvent](r)
	q := r.requester()
	old := r.kernel(1)
	var hung []*fake.Taken
	for range limit {
		q.send(&messages.Nop{})
		hung = append(hung, old.Next(t, ring.CodeNop))
	}
	handle := q.regular()
	crash.now(r, q)
	for _, m := range q.answers(limit) {
		require.ErrorIs(t, m.(*messages.Completion).Err, messages.ErrOutcomeUnknown)
	}
	require.Equal(t, limit, full().Operations)
	q.send(&messages.Nop{})
	require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrQuarantine)
	q.succeeds(q.send(&messages.Close{Handle: handle})) // giving up is always allowed

	old.Complete(hung[0].Name, 0, 0)
	r.until("there is room", func() bool { return r.inspect().Quarantined < limit })
	id := q.send(&messages.Nop{})
	young := r.kernel(2)
	young.Complete(young.Next(t, ring.CodeNop).Name, 0, 0)
	q.succeeds(id)
}
