package actors_test

import (
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/fake"
)

// impatient degrades after three failures, and tries for a ring all the time.
func impatient(c *actors.Config) {
	c.RestartLimit = 3
	c.BackOffFirst, c.BackOffLast, c.RingRetry = 100*time.Microsecond, time.Millisecond, time.Millisecond
}

// events collects what is published of one kind.
func events[E any](r *rig) func() E {
	all := make(chan E, 64)
	s := r.system.EventStream.Subscribe(func(event any) {
		if event, ok := event.(E); ok {
			all <- event
		}
	})
	r.t.Cleanup(func() { r.system.EventStream.Unsubscribe(s) })
	return func() (event E) {
		r.t.Helper()
		select {
		case event = <-all:
		case <-time.After(patience):
			r.t.Fatalf("no %T", event)
		}
		return event
	}
}

// TestDegradedWithoutFallback: what waits is answered and what comes is
// refused, at once and with the reason; closes and the like go on. When there
// is a ring again all goes on.
func TestDegradedWithoutFallback(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option, config(impatient))
	degraded, restored := events[*messages.DegradedEvent](r), events[*messages.RestoredEvent](r)
	q := r.requester()
	handle, isOpen := q.opened()
	held := q.send(&messages.Nop{})
	taken := r.kernel(1).Next(t, ring.CodeNop)
	r.refuse.Store(1 << 30)
	crash.arm(actors.FailEncoded, 0)
	queued := q.send(&messages.Nop{})
	require.Error(t, degraded().Reason.(error))
	c := q.completion(queued)
	require.ErrorIs(t, c.Err, messages.ErrUnavailable)
	require.NotErrorIs(t, c.Err, messages.ErrRefused)
	require.NotNil(t, c.Op)

	q.send(&messages.Nop{})
	require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrUnavailable)
	q.succeeds(q.send(&messages.Close{Handle: handle}))
	r.until("the descriptor is closed", func() bool { return !isOpen() })
	r.kernel(1).Complete(taken.Name, 0, 0)
	q.succeeds(held)
	in := r.inspect()
	require.True(t, in.Degraded)
	require.ErrorIs(t, in.Why, errNoKernel)

	r.refuse.Store(0)
	require.NotZero(t, restored().Epoch)
	id := q.send(&messages.Nop{})
	r.kernel(2).Complete(r.kernel(2).Next(t, ring.CodeNop).Name, 0, 0)
	q.succeeds(id)
	require.False(t, r.inspect().Degraded)
}

// TestDegradedToFallback: the fallback takes over what waits and what comes,
// and a new ring takes over from it, without an operation lost.
func TestDegradedToFallback(t *testing.T) {
	crash := newCrash()
	fallback := fake.New(64)
	r := newRig(t, crash.option, config(impatient), config(func(c *actors.Config) {
		c.OpenFallback = func(actors.Config) (ring.Kernel, error) { return fallback, nil }
	}))
	restored := events[*messages.RestoredEvent](r)
	fallback.OnTaken(func(taken *fake.Taken) { r.oblige(fallback, taken) })
	q := r.requester()
	held := q.send(&messages.Nop{})
	taken := r.kernel(1).Next(t, ring.CodeNop)
	r.refuse.Store(1 << 30)
	crash.arm(actors.FailEncoded, 0)
	queued := q.send(&messages.Nop{})
	fallback.Complete(fallback.Next(t, ring.CodeNop).Name, 0, 0)
	q.succeeds(queued)
	in := r.inspect()
	require.Equal(t, "portable", in.Backend)
	require.True(t, in.Degraded)
	r.kernel(1).Complete(taken.Name, 0, 0)
	q.succeeds(held)

	slow := q.send(&messages.Nop{})
	slowly := fallback.Next(t, ring.CodeNop)
	r.refuse.Store(0)
	restored()
	require.Equal(t, "io_uring", r.inspect().Backend)
	id := q.send(&messages.Nop{})
	r.kernel(2).Complete(r.kernel(2).Next(t, ring.CodeNop).Name, 0, 0)
	q.succeeds(id)
	fallback.Complete(slowly.Name, 0, 0)
	q.succeeds(slow)
	fallback.AwaitClosed(t)
	require.Empty(t, fallback.Faults())
}

// TestFallbackFromTheStart: where there never was a ring.
func TestFallbackFromTheStart(t *testing.T) {
	fallback := fake.New(64)
	r := newRig(t, func(r *rig, c *actors.Config) {
		r.refuse.Store(1)
		c.OpenFallback = func(actors.Config) (ring.Kernel, error) { return fallback, nil }
	})
	q := r.requester()
	id := q.send(&messages.Nop{})
	fallback.Complete(fallback.Next(t, ring.CodeNop).Name, 0, 0)
	q.succeeds(id)
	in := r.inspect()
	require.Equal(t, "portable", in.Backend)
	require.ErrorIs(t, in.Why, errNoKernel)
	require.False(t, in.Degraded)
}

// TestFallbackRestarts: where there never was a ring, a ring owner that fails is
// restarted on the fallback at once, however often. That is not degraded: nothing
// has gone. When there is a ring at a restart, it serves.
func TestFallbackRestarts(t *testing.T) {
	crash := newCrash()
	var fallbacks []*fake.Kernel
	r := newRig(t, crash.option, func(r *rig, c *actors.Config) {
		r.refuse.Store(1 << 30)
		c.BackOffFirst, c.BackOffLast = time.Hour, time.Hour // who waits for it waits in vain
		c.OpenFallback = func(actors.Config) (ring.Kernel, error) {
			k := fake.New(64)
			k.OnTaken(func(taken *fake.Taken) { k.Complete(taken.Name, 0, 0) })
			fallbacks = append(fallbacks, k)
			return k, nil
		}
	})
	q := r.requester()
	for range 20 {
		crash.now(r, q)
		q.succeeds(q.send(&messages.Nop{}))
		in := r.inspect()
		require.Equal(t, "portable", in.Backend)
		require.ErrorIs(t, in.Why, errNoKernel)
		require.False(t, in.Degraded)
	}
	require.Len(t, fallbacks, 21)

	r.refuse.Store(0)
	crash.now(r, q)
	id := q.send(&messages.Nop{})
	r.kernel(1).Complete(r.kernel(1).Next(t, ring.CodeNop).Name, 0, 0)
	q.succeeds(id)
	in := r.inspect()
	require.Equal(t, "io_uring", in.Backend)
	require.NoError(t, in.Why)
	require.EqualValues(t, 21, in.Restarts)
	for _, k := range fallbacks {
		require.Empty(t, k.Faults())
	}
}

// TestFallbackFailsToo: a fallback that is not to be had at a restart is tried for
// again, first by the restarts that back off, and then by what is degraded.
func TestFallbackFailsToo(t *testing.T) {
	for _, test := range []struct {
		name     string
		failures int32
		degraded bool
	}{{"until it is degraded", 2, false}, {"beyond that", 6, true}} {
		t.Run(test.name, func(t *testing.T) {
			crash := newCrash()
			var fail atomic.Int32
			r := newRig(t, crash.option, config(impatient), func(r *rig, c *actors.Config) {
				r.refuse.Store(1 << 30)
				c.OpenFallback = func(actors.Config) (ring.Kernel, error) {
					if fail.Add(-1) >= 0 {
						return nil, errNoKernel
					}
					k := fake.New(64)
					k.OnTaken(func(taken *fake.Taken) { k.Complete(taken.Name, 0, 0) })
					return k, nil
				}
			})
			opened := events[*messages.RingOpenedEvent](r)
			q := r.requester()
			q.succeeds(q.send(&messages.Nop{}))
			fail.Store(test.failures)
			crash.now(r, q)
			for event := opened(); event.Epoch == 1; event = opened() { // the first may be told of late
			}
			q.succeeds(q.send(&messages.Nop{}))
			require.Equal(t, test.degraded, r.inspect().Degraded)
		})
	}
}

// TestWhatTheRingLacks is performed by the fallback beside it.
func TestWhatTheRingLacks(t *testing.T) {
	crash := newCrash()
	fallback := fake.New(64)
	r := newRig(t, crash.option, func(r *rig, c *actors.Config) {
		r.setUp = func(_ int, k *fake.Kernel) { k.Lacks(ring.CodeTruncate) }
		c.OpenFallback = func(actors.Config) (ring.Kernel, error) { return fallback, nil }
	})
	q := r.requester()
	file := q.regular()
	for epoch := 1; epoch <= 2; epoch++ {
		size := q.send(&messages.Truncate{Handle: file, Size: 5})
		fallback.Complete(fallback.Next(t, ring.CodeTruncate).Name, 0, 0)
		q.succeeds(size)
		nop := q.send(&messages.Nop{})
		r.kernel(epoch).Complete(r.kernel(epoch).Next(t, ring.CodeNop).Name, 0, 0)
		q.succeeds(nop)
		in := r.inspect()
		require.Equal(t, "io_uring", in.Backend)
		require.Equal(t, []string{"truncate"}, in.Missing)
		if epoch == 1 {
			crash.now(r, q)
		}
	}
}

// TestWhatTheRingLacksWithoutFallback is refused.
func TestWhatTheRingLacksWithoutFallback(t *testing.T) {
	r := newRig(t, func(r *rig, c *actors.Config) {
		r.setUp = func(_ int, k *fake.Kernel) { k.Lacks(ring.CodeTruncate) }
	})
	q := r.requester()
	q.send(&messages.Truncate{Handle: q.regular(), Size: 5})
	require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrUnsupported)
}

func TestBackendNames(t *testing.T) {
	for _, b := range [...]actors.Backend{actors.BackendAuto, actors.BackendRing, actors.BackendPortable} {
		parsed, err := actors.ParseBackend(b.String())
		require.NoError(t, err)
		require.Equal(t, b, parsed)
	}
	_, err := actors.ParseBackend("epoll")
	require.ErrorIs(t, err, messages.ErrArgument)
	t.Setenv(actors.BackendVariable, "portable")
	c := actors.DefaultConfig()
	require.NoError(t, c.ObeyEnvironment())
	require.Equal(t, actors.BackendPortable, c.Backend)
	t.Setenv(actors.BackendVariable, "epoll")
	require.ErrorContains(t, c.ObeyEnvironment(), actors.BackendVariable)
}

// TestWhatIsNoWork: while no ring can be had there are operations that end all the
// same. None of them shows that a restart was of use: it is degraded as soon as it
// would be without them.
func TestWhatIsNoWork(t *testing.T) {
	for _, test := range []struct {
		name string
		work func(r *rig, q *requester)
	}{
		{"cancelled", func(_ *rig, q *requester) { q.cancel(q.send(&messages.Nop{})) }},
		{"in the lane", func(_ *rig, q *requester) { q.send(&messages.ReadLink{Path: "/none"}) }},
		{"by the ring owner", func(_ *rig, q *requester) { q.send(&messages.Adopt{File: os.Stdin}) }},
		{"drained", func(r *rig, _ *requester) { r.ends(r.kernel(1)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			crash := newCrash()
			tries, proceed := make(chan struct{}, 64), make(chan struct{})
			r := newRig(t, crash.option, config(impatient), func(r *rig, c *actors.Config) {
				c.OpenKernel = func(c actors.Config) (ring.Kernel, error) {
					if r.refuse.Load() > 0 {
						tries <- struct{}{}
						<-proceed // which is closed when the test is over
					}
					return r.openKernel(c)
				}
				c.RingRetry = time.Hour
			})
			t.Cleanup(func() { close(proceed) })
			degraded := events[*messages.DegradedEvent](r)
			q, other := r.requester(), r.requester()
			q.idle(5, time.Hour)
			r.has(r.kernel(1), 5)
			r.refuse.Store(1 << 30)
			crash.now(r, other)
			for range 3 { // the failures that are granted, and one
				<-tries
				test.work(r, q) // it ends before the next
				proceed <- struct{}{}
			}
			degraded()
			require.True(t, r.inspect().Degraded)
		})
	}
}
