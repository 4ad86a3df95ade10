package supervisor_test

import (
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// TestSubscribersThatFail: whoever listens to what happens to a ring owner may
// panic or block, and it is restarted all the same.
func TestSubscribersThatFail(t *testing.T) {
	b := newBench(t)
	gate := make(chan struct{})
	var told atomic.Int32
	subscription := b.system.EventStream.Subscribe(func(event any) {
		switch event.(type) {
		case *actor.SupervisorEvent:
			told.Add(1)
			panic("the subscriber's own")
		case *messages.OwnerFailedEvent:
			<-gate
		}
	})
	defer b.system.EventStream.Unsubscribe(subscription)
	defer close(gate)
	var crash atomic.Bool
	s, _ := b.start(supervisor.WithFailpoint(func(point actors.Failpoint, _ int) {
		if point == actors.FailTaken && crash.Swap(false) {
			panic("injected")
		}
	}))
	q := b.requester()
	crash.Store(true)
	submit(q, s, 1)
	require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrRestarted)
	young := <-b.opened
	submit(q, s, 2)
	young.Complete(young.Next(t, ring.CodeNop).Name, 0, 0)
	require.NoError(t, expect[*messages.Completion](q).Err)
	b.until("it was told", func() bool { return told.Load() == 1 })
	_, err := shutDown(t.Context(), s).wait(t)
	require.NoError(t, err)
}

// staff counts the goroutines of a crew.
type staff struct {
	actors.Crew
	atWork atomic.Int32
}

// Go implements actors.Crew.
func (s *staff) Go(f func()) {
	s.atWork.Add(1)
	s.Crew.Go(func() {
		defer s.atWork.Add(-1)
		f()
	})
}

// TestSubscriberThatBlocks costs one goroutine, however often the ring owner fails;
// and when it goes on it is told everything, in order.
func TestSubscriberThatBlocks(t *testing.T) {
	const failures = 40
	b := newBench(t)
	gate, told := make(chan struct{}), make(chan int, failures)
	subscription := b.system.EventStream.Subscribe(func(event any) {
		if event, ok := event.(*messages.OwnerFailedEvent); ok {
			<-gate
			told <- event.Barren
		}
	})
	defer b.system.EventStream.Unsubscribe(subscription)
	crew := &staff{Crew: actors.NewCrew()}
	s, _ := b.start(
		supervisor.WithBackOff(1, 1), supervisor.WithRestartLimit(2*failures, patience),
		supervisor.WithFailpoint(func(point actors.Failpoint, _ int) {
			if point == actors.FailTaken {
				panic("injected")
			}
		}),
		func(c *actors.Config) { c.Crew = crew },
	)
	q := b.requester()
	before := crew.atWork.Load()
	for n := range failures {
		submit(q, s, uint64(n))
		expect[*messages.Refused](q)
		<-b.opened
	}
	b.until("only one waits at the gate", func() bool { return crew.atWork.Load() <= before+1 })
	close(gate)
	for n := range failures {
		require.Equal(t, n+1, <-told)
	}
	_, err := shutDown(t.Context(), s).wait(t)
	require.NoError(t, err)
}
