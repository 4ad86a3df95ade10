package actors_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// hanging is a kernel whose next Enter that submits hangs until it is let go.
type hanging struct {
	ring.Kernel
	armed   atomic.Bool
	in      chan struct{} // told when one hangs
	out     chan error    // what lets it go: nil has the kernel take what was pushed
	visits  atomic.Int32  // of Enter
	backlog atomic.Bool   // it says that only an Enter will bring more
}

func (k *hanging) Backlog() bool { return k.backlog.Load() || k.Kernel.Backlog() }

func (k *hanging) Enter() (int, error) {
	k.visits.Add(1)
	if k.armed.Swap(false) {
		k.in <- struct{}{}
		if err := <-k.out; err != nil {
			return 0, err
		}
	}
	return k.Kernel.Enter()
}

// hang has the first ring's next Enter hang when it is armed, and the watchdog
// look when it does, and not before.
func hang(k *hanging) rigOption {
	k.in, k.out = make(chan struct{}, 1), make(chan error)
	return func(r *rig, c *actors.Config) {
		open := c.OpenKernel
		c.StuckAfter = 2 * watchEvery
		c.OpenKernel = func(config actors.Config) (ring.Kernel, error) {
			inner, err := open(config)
			if err != nil || k.Kernel != nil {
				return inner, err
			}
			k.Kernel = inner
			return k, nil
		}
	}
}

// hangs waits until somebody hangs, and has the watchdog find him.
func (k *hanging) hangs(r *rig) {
	r.t.Helper()
	k.hung(r)
	r.clock.look()
	r.clock.look()
}

// hung waits until somebody hangs.
func (k *hanging) hung(r *rig) {
	r.t.Helper()
	select {
	case <-k.in:
	case <-time.After(patience):
		r.t.Fatal("nobody has entered the kernel")
	}
}

// TestStuckEnter: a holder of the token hangs in the kernel: a poster, the
// runner goroutine, or the pinned thread. Others are served by a new ring, and
// what the old one took is answered when it is let go, once.
func TestStuckEnter(t *testing.T) {
	for name, c := range map[string]struct {
		inline bool
		op     messages.Op
		code   ring.Code
	}{
		"poster": {true, &messages.Nop{}, ring.CodeNop},
		"runner": {false, &messages.Nop{}, ring.CodeNop},
		"pinned": {true, &messages.Timeout{After: time.Hour}, ring.CodeTimeout},
	} {
		for how, err := range map[string]error{"and takes it": nil, "and takes nothing": ring.ErrBusy} {
			t.Run(name+" "+how, func(t *testing.T) {
				k := new(hanging)
				r := newRig(t, hang(k), config(func(rc *actors.Config) { rc.Inline = c.inline }))
				q, other := r.requester(), r.requester()
				old := r.kernel(1)
				k.armed.Store(true)
				posted := make(chan messages.OpID, 1)
				go func() { posted <- q.send(c.op) }()
				k.hangs(r)
				young := r.kernel(2)

				id := other.send(&messages.Nop{})
				young.Complete(young.Next(t, ring.CodeNop).Name, 0, 0)
				other.succeeds(id)
				require.EqualValues(t, 1, r.inspect().Restarts)
				require.Equal(t, 1, r.inspect().Draining)
				q.silent()

				k.out <- err
				first := <-posted // nobody's failure is the poster's
				if err == nil {
					taken := old.Next(t, c.code)
					q.silent()
					old.Complete(taken.Name, 0, 0)
				} else { // it moves to the new ring
					young.Complete(young.Next(t, c.code).Name, 0, 0)
				}
				q.succeeds(first)
				old.AwaitClosed(t)
				require.EqualValues(t, 1, r.inspect().Restarts)
			})
		}
	}
}

// TestStuckEnterAtItsDeadline: what a stuck ring may have taken is given up at
// the end of the drain, and a Cancel of it told so, while the holder still hangs.
func TestStuckEnterAtItsDeadline(t *testing.T) {
	k := new(hanging)
	r := newRig(t, hang(k), config(func(c *actors.Config) { c.DrainTimeout, c.ShutdownGrace = quickly, quickly }))
	q := r.requester()
	old := r.kernel(1)
	k.armed.Store(true)
	posted := make(chan messages.OpID, 1)
	go func() { posted <- q.send(&messages.Nop{}) }()
	k.hangs(r)
	r.kernel(2)
	c := expect[*messages.Completion](q)
	require.ErrorIs(t, c.Err, messages.ErrOutcomeUnknown)
	require.Nil(t, c.Op)
	require.Equal(t, 1, r.inspect().Quarantined)
	k.out <- nil
	<-posted
	old.Complete(old.Next(t, ring.CodeNop).Name, 0, 0)
	r.until("the quarantine is over", func() bool { return r.inspect().Quarantined == 0 })
	old.AwaitClosed(t)
	q.silent()
}

// TestStuckIsSaid: the event says what happened.
func TestStuckIsSaid(t *testing.T) {
	k := new(hanging)
	r := newRig(t, hang(k))
	failed := events[*messages.OwnerFailedEvent](r)
	q := r.requester()
	k.armed.Store(true)
	go q.send(&messages.Nop{})
	k.hangs(r)
	reason, _ := failed().Reason.(error)
	require.ErrorIs(t, reason, ring.ErrStuck)
	require.ErrorContains(t, reason, "io_uring_enter")
	k.out <- errors.New("woken by a signal")
	young := r.kernel(2)
	young.Complete(young.Next(t, ring.CodeNop).Name, 0, 0)
	expect[*messages.Completion](q)
}

// TestStoppedIsNotStuck: a program that was stopped for a while, in the middle of
// a call into the kernel, is not one that hangs there.
func TestStoppedIsNotStuck(t *testing.T) {
	k := new(hanging)
	r := newRig(t, hang(k))
	q := r.requester()
	k.armed.Store(true)
	posted := make(chan messages.OpID, 1)
	go func() { posted <- q.send(&messages.Nop{}) }()
	k.hung(r)
	r.clock.look()
	r.clock.pass(time.Hour)
	r.clock.look()
	require.Len(t, r.all(), 1, "it is taken for one that hangs")
	k.out <- nil
	id := <-posted
	old := r.kernel(1)
	old.Complete(old.Next(t, ring.CodeNop).Name, 0, 0)
	q.succeeds(id)
	require.Zero(t, r.inspect().Failures)
}

// TestStuckRingIsNotEntered: while its holder hangs nobody follows him into his
// ring, not even for completions that only an enter would bring: he would hang
// as well.
func TestStuckRingIsNotEntered(t *testing.T) {
	k := new(hanging)
	r := newRig(t, hang(k))
	q, other := r.requester(), r.requester()
	old := r.kernel(1)
	k.armed.Store(true)
	posted := make(chan messages.OpID, 1)
	go func() { posted <- q.send(&messages.Nop{}) }()
	k.hung(r)
	k.backlog.Store(true)
	r.clock.look()
	r.clock.look()
	young := r.kernel(2)
	id := other.send(&messages.Nop{})
	young.Complete(young.Next(t, ring.CodeNop).Name, 0, 0)
	other.succeeds(id)
	require.EqualValues(t, 1, k.visits.Load(), "others are inside as well")
	k.backlog.Store(false)
	k.out <- nil
	first := <-posted
	old.Complete(old.Next(t, ring.CodeNop).Name, 0, 0)
	q.succeeds(first)
	old.AwaitClosed(t)
}

// delayed is a Crew whose next Hire does something first.
type delayed struct {
	actors.Crew
	first atomic.Pointer[func()]
}

func (c *delayed) Hire(pinned bool) actors.Worker {
	if f := c.first.Swap(nil); f != nil {
		(*f)()
	}
	return c.Crew.Hire(pinned)
}

// TestHolderIsBackAtOnce: a holder that hung may return when the token has just
// been taken from him, before his ring is marked as stuck. It is seen all the same
// that he is back: what he has not submitted goes to the new ring.
func TestHolderIsBackAtOnce(t *testing.T) {
	k, crew := new(hanging), new(delayed)
	r := newRig(t, hang(k), config(func(c *actors.Config) { crew.Crew, c.Crew = c.Crew, crew }))
	q := r.requester()
	old := r.kernel(1)
	posted := make(chan messages.OpID, 1)
	back := func() { // whoever takes over hires a runner first
		k.out <- ring.ErrBusy
		posted <- <-posted
	}
	k.armed.Store(true)
	crew.first.Store(&back)
	go func() { posted <- q.send(&messages.Nop{}) }()
	k.hangs(r)
	young := r.kernel(2)
	young.Complete(young.Next(t, ring.CodeNop).Name, 0, 0)
	q.succeeds(<-posted)
	old.AwaitClosed(t)
	require.Empty(t, old.Consumed())
}
