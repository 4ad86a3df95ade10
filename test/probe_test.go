//go:build linux

package test

import (
	"runtime"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/messages"
)

// probe is an actor that hands the test what it is sent. A func it runs, as
// its own code.
type probe struct {
	rig *rig
	pid *actor.PID
	got chan any
}

// probeRoom is how many messages a probe holds that the test has not taken.
const probeRoom = 1 << 16

// probe spawns one. It is stopped when the test ends, if it has not been.
func (r *rig) probe() *probe {
	p := &probe{rig: r, got: make(chan any, probeRoom)}
	p.pid = r.system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return p }))
	r.t.Cleanup(p.stop)
	return p
}

// Receive implements actor.Actor.
func (p *probe) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case func(actor.Context):
		m(ctx)
	case actor.SystemMessage, actor.AutoReceiveMessage, *actor.Started:
	default:
		p.got <- m
	}
}

// stop stops the actor and waits for its end.
func (p *probe) stop() {
	_ = p.rig.system.Root.StopFuture(p.pid).Wait() // it may have stopped before
}

// run has the actor run f, and waits for it.
func (p *probe) run(f func(actor.Context)) {
	done := make(chan struct{})
	p.rig.system.Root.Send(p.pid, func(ctx actor.Context) {
		defer close(done)
		f(ctx)
	})
	<-done
}

// next is the next message of the probe, which must be an M.
func next[M any](p *probe) M {
	p.rig.t.Helper()
	select {
	case m := <-p.got:
		want, ok := m.(M)
		require.True(p.rig.t, ok, "a %T came: %+v", m, m)
		return want
	case <-time.After(patience):
		stacks := make([]byte, 1<<20)
		var want M
		p.rig.t.Fatalf("no %T came\n%s", want, stacks[:runtime.Stack(stacks, true)])
		panic("unreachable")
	}
}

// completed is the next message, which must be a Completion of that number.
func (p *probe) completed(seq uint64) *messages.Completion {
	p.rig.t.Helper()
	c := next[*messages.Completion](p)
	require.Equal(p.rig.t, seq, c.ID.Seq)
	return c
}

// silent checks that nothing more has come. What was owed must have been
// awaited before, by an Inspect for instance.
func (p *probe) silent() {
	p.rig.t.Helper()
	p.run(func(actor.Context) {})
	require.Empty(p.rig.t, p.got)
}
