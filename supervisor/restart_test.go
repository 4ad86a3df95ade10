package supervisor_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/fake"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// alarms is a crew that leaves to the test when a wait of an hour or more is over.
// It never shortens one.
type alarms struct {
	actors.Crew
	set chan *alarm
}

type alarm struct {
	after time.Duration
	ring  func()
	off   chan struct{} // closed when it is stopped
}

func newAlarms() *alarms { return &alarms{Crew: actors.NewCrew(), set: make(chan *alarm, 64)} }

func (a *alarms) option(c *actors.Config) { c.Crew = a }

// Random implements actors.Crew.
func (*alarms) Random() uint64 { return 0 }

// AfterFunc implements actors.Crew.
func (a *alarms) AfterFunc(d time.Duration, f func()) actors.Timer {
	if d < time.Hour {
		return a.Crew.AfterFunc(d, f)
	}
	one := &alarm{after: d, ring: f, off: make(chan struct{})}
	a.set <- one
	return one
}

// Stop implements actors.Timer: it comes too late.
func (a *alarm) Stop() bool {
	close(a.off)
	return false
}

// next waits for the next alarm that is set.
func (a *alarms) next(t *testing.T) *alarm {
	t.Helper()
	select {
	case one := <-a.set:
		return one
	case <-time.After(patience):
		t.Fatal("no alarm is set")
		return nil
	}
}

// TestBackOffEndsWithItsSubsystem: the next one of that name is not restarted for it.
func TestBackOffEndsWithItsSubsystem(t *testing.T) {
	b, clock := newBench(t), newAlarms()
	first, _ := b.start(clock.option, supervisor.WithBackOff(time.Hour, time.Hour), supervisor.WithFailpoint(func(point actors.Failpoint, _ int) {
		if point == actors.FailTaken {
			panic("injected")
		}
	}))
	q := b.requester()
	submit(q, first, 1)
	expect[*messages.Refused](q)
	<-b.opened // the first restart is at once
	submit(q, first, 2)
	expect[*messages.Refused](q)
	backOff := clock.next(t)
	_, err := shutDown(t.Context(), first).wait(t)
	require.NoError(t, err)
	select {
	case <-backOff.off:
	default:
		t.Error("its timer goes on")
	}

	second, _ := b.start()
	backOff.ring()
	b.settled(second)
	in, err := second.Inspect(t.Context())
	require.NoError(t, err)
	require.Zero(t, in.Restarts)
	require.EqualValues(t, 1, in.Epoch)
	_, err = shutDown(t.Context(), second).wait(t)
	require.NoError(t, err)
}

// TestRingThatFailsAtOnce: a ring can be opened, and fails when it is first entered.
// What was degraded goes back to the fallback with the first failure, and waits
// longer before it tries again; until a ring has worked.
func TestRingThatFailsAtOnce(t *testing.T) {
	b, clock := newBench(t), newAlarms()
	var broken atomic.Bool
	s, _ := b.start(clock.option, supervisor.WithBackOff(time.Microsecond, time.Microsecond), supervisor.WithRestartLimit(3, time.Hour), func(c *actors.Config) {
		open := c.OpenKernel
		c.OpenKernel = func(c actors.Config) (ring.Kernel, error) {
			k, err := open(c)
			if broken.Load() {
				k.(*fake.Kernel).Script(fake.Enter{Err: &ring.FatalError{Doing: "io_uring_enter", Err: unix.EPERM}})
			}
			return k, err
		}
		c.OpenFallback = func(actors.Config) (ring.Kernel, error) {
			k := fake.New(16)
			k.OnTaken(func(taken *fake.Taken) { k.TryComplete(taken.Name, 0, 0) })
			return k, nil
		}
	})
	q := b.requester()
	seq := uint64(0)
	works := func() {
		seq++
		submit(q, s, seq)
		require.NoError(t, expect[*messages.Completion](q).Err)
	}
	inspect := func() *messages.Inspection {
		in, err := s.Inspect(t.Context())
		require.NoError(t, err)
		return in
	}
	fails := func() { // the ring that is there, which worked for so long as it may have
		broken.Store(true)
		b.last().Script(fake.Enter{Err: &ring.FatalError{Doing: "io_uring_enter", Err: unix.EPERM}})
		works()
		require.True(t, inspect().Degraded)
	}
	try := func() {
		before := inspect().Epoch
		clock.next(t).ring()
		b.until("there is a ring", func() bool { in := inspect(); return in.Epoch > before })
		clock.next(t) // for the next try, if there is no ring then
	}
	fails()
	require.EqualValues(t, 4, inspect().Failures)
	for n := range 10 {
		failures := inspect().Failures
		a := clock.next(t)
		require.Equal(t, time.Duration(min(1<<n, 64))*time.Hour, a.after)
		clock.set <- a
		try()
		works()
		in := inspect()
		require.True(t, in.Degraded)
		require.Equal(t, failures+1, in.Failures)
	}

	broken.Store(false)
	try()
	seq++
	submit(q, s, seq)
	k := b.last()
	k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	expect[*messages.Completion](q)
	require.False(t, inspect().Degraded)
	failures := inspect().Failures
	fails()
	require.Equal(t, failures+5, inspect().Failures, "it had worked: the first restart is for nothing")
	require.Equal(t, time.Hour, clock.next(t).after)
	_, err := shutDown(t.Context(), s).wait(t)
	require.NoError(t, err)
}

// last is the kernel that was opened last.
func (b *bench) last() *fake.Kernel {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kernels[len(b.kernels)-1]
}
