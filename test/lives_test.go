//go:build linux

package test

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// TestStartAgain starts a second subsystem where the first has ended. Each
// Submit after that is answered once.
func TestStartAgain(t *testing.T) {
	r := startUnchecked(t)
	_, err := supervisor.Start(r.system)
	require.ErrorIs(t, err, supervisor.ErrRunning)
	for range 3 {
		_, err := r.rm.Shutdown(r.ctx)
		require.NoError(t, err)
		rm, err := supervisor.Start(r.system)
		require.NoError(t, err)
		r = rigFor(t, r.system, rm)
		do(r, &messages.Nop{})
		found, running := supervisor.Get(r.system)
		require.True(t, running)
		require.Same(t, rm, found)
	}
	_, err = r.rm.Shutdown(r.ctx)
	require.NoError(t, err)
	requireStopped(r, r.probe())
}

// TestChild stops the actor that a subsystem is a child of, with something in
// flight.
func TestChild(t *testing.T) {
	system := actor.NewActorSystem(quiet)
	a := &parentActor{started: make(chan *supervisor.Subsystem, 1)}
	pid := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return a }))
	r := rigFor(t, system, <-a.started)
	p := r.probe()
	r.send(p, 1, &messages.Timeout{After: time.Hour})
	eventually(t, "it is in flight", func() bool { return r.inspect().InFlight == 1 })
	require.NoError(t, system.Root.StopFuture(pid).Wait())
	require.ErrorIs(t, p.completed(1).Err, messages.ErrStopped)
	report, err := r.rm.Shutdown(r.ctx)
	require.NoError(t, err)
	requireLedger(t, report)
	requireStopped(r, p)
}
