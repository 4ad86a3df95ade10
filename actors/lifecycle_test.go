package actors_test

import (
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// lifecycleMessages are protoactor's own, which nobody is to send and anybody can.
func lifecycleMessages(pid *actor.PID) []any {
	return []any{
		&actor.Started{}, &actor.Restarting{}, &actor.Stopping{}, &actor.Stopped{}, &actor.ReceiveTimeout{},
		&actor.Terminated{}, &actor.Terminated{Who: pid}, (*actor.Terminated)(nil),
		&actor.Watch{}, &actor.Unwatch{}, &actor.Restart{}, &actor.Stop{}, &actor.Failure{},
		&actor.SuspendMailbox{}, &actor.ResumeMailbox{}, &actor.MessageEnvelope{}, (*actor.MessageEnvelope)(nil),
	}
}

// TestLifecycleMessagesFromUsers are nothing that has happened.
func TestLifecycleMessagesFromUsers(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	held := q.send(&messages.Nop{})
	taken := k.Next(t, ring.CodeNop)
	for _, m := range lifecycleMessages(q.pid) {
		r.system.Root.Send(r.pid, m)
		requireUntouched(t, r, q, fmt.Sprintf("%T", m))
	}
	k.Complete(taken.Name, 0, 0)
	q.succeeds(held)
}

// requireUntouched: the ring owner is on its first ring, and serves.
func requireUntouched(t *testing.T, r *rig, q *requester, after string) {
	t.Helper()
	in := r.inspect()
	require.EqualValues(t, 1, in.Epoch, after)
	require.Zero(t, in.Failures, after)
	require.Zero(t, in.Draining, after)
	q.does(r.kernel(1))
}

// TestForwarder: an actor that forwards all that it gets forwards its own end, too.
func TestForwarder(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	forwarder := r.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) { ctx.Forward(r.pid) }))
	require.NoError(t, r.system.Root.StopFuture(forwarder).Wait())
	requireUntouched(t, r, q, "a forwarder has stopped")
}

// TestTouched: protoactor answers a Touch by itself, and a future is answered once.
func TestTouched(t *testing.T) {
	r := newRig(t)
	answer, err := r.system.Root.RequestFuture(r.pid, &actor.Touch{}, patience).Result()
	require.NoError(t, err)
	require.IsType(t, &actor.Touched{}, answer)
}
