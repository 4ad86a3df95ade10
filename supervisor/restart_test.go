package supervisor_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
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
