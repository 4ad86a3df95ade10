package actors_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// TestQuarantineLeavesRoom: what a hung ring keeps for ever does not count
// against what the next one may have in flight.
func TestQuarantineLeavesRoom(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option, manual, config(func(c *actors.Config) {
		c.InFlight, c.DrainTimeout, c.ShutdownGrace = 2, quickly, quickly
	}))
	q, other := r.requester(), r.requester()
	old := r.kernel(1)
	q.send(&messages.Nop{})
	one := old.Next(t, ring.CodeNop)
	q.send(&messages.Nop{})
	two := old.Next(t, ring.CodeNop)
	crash.now(r, other)
	q.answers(2) // as unknown

	q.send(&messages.Nop{})
	q.send(&messages.Nop{})
	young := r.kernel(2)
	three, four := young.Next(t, ring.CodeNop), young.Next(t, ring.CodeNop)
	young.Complete(three.Name, 0, 0)
	young.Complete(four.Name, 0, 0)
	q.answers(2)
	old.Complete(one.Name, 0, 0)
	old.Complete(two.Name, 0, 0)
	r.until("the quarantine is over", func() bool { return r.glass.Look().Quarantined == 0 })
}

// TestOrphanLetsGoAtItsEnd: a handle that an orphan was the last to hold is
// closed when the orphan has ended, not when the answer to its cancel comes.
func TestOrphanLetsGoAtItsEnd(t *testing.T) {
	r := newRig(t, manual)
	q := r.requester()
	k := r.kernel(1)
	file := q.regular()
	q.send(&messages.Write{Handle: file, Buf: []byte("x")})
	write := k.Next(t, ring.CodeWrite)
	q.stop()
	cancel := k.Next(t, ring.CodeCancel)
	require.Equal(t, 1, r.inspect().Handles)
	k.Complete(write.Name, canceled, 0)
	r.until("the handle is closed", func() bool { return r.inspect().Handles == 0 })
	k.Complete(cancel.Name, 0, 0)
	r.until("the slot is free", func() bool { return r.glass.Look().Live == 0 })
}

// TestDrainedInTime: a ring owner that comes back after the deadline of a
// drain looks at what the old ring has before it gives it up.
func TestDrainedInTime(t *testing.T) {
	const timeout = 20 * time.Millisecond
	crash := newCrash()
	restarting := make(chan struct{})
	late := make(chan struct{})
	first := true
	r := newRig(t, manual, config(func(c *actors.Config) {
		c.DrainTimeout = timeout
		c.Failpoint = func(p actors.Failpoint, n int) {
			if p == actors.FailStarted && !first {
				close(restarting)
				<-late
			}
			first = first && p != actors.FailStarted
			crash.pass(p, n)
		}
	}))
	q, other := r.requester(), r.requester()
	old := r.kernel(1)
	id := q.send(&messages.Nop{})
	nop := old.Next(t, ring.CodeNop)
	crash.now(r, other)
	<-restarting
	old.Complete(nop.Name, 0, 0)
	<-time.After(2 * timeout) // the deadline is the event
	close(late)
	require.NoError(t, q.completion(id).Err)
	require.Zero(t, r.inspect().Unknown)
}
