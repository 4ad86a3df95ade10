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
