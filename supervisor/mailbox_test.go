package supervisor_test

import (
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// pidOf is the supervisor's own address.
func pidOf(s *supervisor.Subsystem) *actor.PID {
	return actor.NewPID(s.PID().Address, strings.TrimSuffix(s.PID().Id, "/ring-owner"))
}

// settled waits until the supervisor has taken all that was sent to it.
func (b *bench) settled(s *supervisor.Subsystem) {
	b.t.Helper()
	answer, err := b.system.Root.RequestFuture(pidOf(s), &actor.Touch{}, patience).Result()
	require.NoError(b.t, err)
	require.IsType(b.t, &actor.Touched{}, answer)
}

// TestLifecycleMessagesFromUsers: what somebody sends to the supervisor has not
// happened to it.
func TestLifecycleMessagesFromUsers(t *testing.T) {
	b := newBench(t)
	s, k := b.start()
	q := b.requester()
	forwarder := b.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) { ctx.Forward(pidOf(s)) }))
	for _, m := range []any{
		&actor.Started{}, &actor.Restarting{}, &actor.Stopping{}, &actor.Stopped{},
		&actor.Terminated{}, &actor.Terminated{Who: s.PID()}, (*actor.Terminated)(nil), nil,
	} {
		b.system.Root.Send(pidOf(s), m)
	}
	require.NoError(t, b.system.Root.StopFuture(forwarder).Wait())
	b.settled(s)
	submit(q, s, 1)
	k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	require.NoError(t, expect[*messages.Completion](q).Err)
	_, ok := supervisor.Get(b.system)
	require.True(t, ok)

	require.NoError(t, b.system.Root.PoisonFuture(pidOf(s)).Wait()) // which is a user's to send
	b.until("the last answer is given", func() bool {
		_, there := supervisor.Get(b.system)
		return !there
	})
	_, err := shutDown(t.Context(), s).wait(t)
	require.NoError(t, err)
}
