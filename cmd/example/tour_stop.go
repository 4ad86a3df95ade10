package main

import (
	"context"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// stopReader stops an actor in the middle of a read on a pipe that it owns.
func (g *guide) stopReader() error {
	g.say("\nStopping an actor in the middle of a read")
	pipe, err := g.pipe()
	if err != nil {
		return err
	}
	defer pipe.close()
	reading := make(chan struct{})
	pid := g.system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
		return &reader{port: port{owner: g.subsystem.PID()}, pipe: pipe.handle, reading: reading}
	}))
	select {
	case <-reading:
	case <-g.ctx.Done():
		return context.Cause(g.ctx)
	}
	before, err := g.client.Inspect(g.ctx)
	if err != nil {
		return err
	}
	if err := g.system.Root.StopFuture(pid).Wait(); err != nil {
		return err
	}
	after, err := g.until(func(now *messages.Inspection) bool {
		return now.InFlight+now.Queued == 0 && !pipe.isRead()
	})
	if err != nil {
		return fmt.Errorf("waiting for the end of the read and of its pipe: %w", err)
	}
	g.promised(before.InFlight+before.Queued > 0, "the read is in flight before", "%d in flight", before.InFlight+before.Queued)
	g.promised(after.Orphaned > before.Orphaned, "it is cancelled when its actor stops", "%d orphaned", after.Orphaned-before.Orphaned)
	g.promised(!pipe.isRead(), "and its handles are closed", "writing to its pipe fails")
	return nil
}

// reader is an actor that reads from a pipe that never has data.
type reader struct {
	port
	pipe    messages.Handle
	reading chan<- struct{}
	give    request
	read    request
}

// Receive implements actor.Actor.
func (r *reader) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
		r.self = ctx.Self()
		r.give.asker, r.read.asker = r, r
		// Whoever holds a handle may use it and give it away. Given to this
		// actor, it is closed when this actor stops.
		r.ask(&r.give, 0, &messages.Give{Handle: r.pipe, To: r.self})
	default:
		r.receive(ctx)
	}
	r.flush(ctx)
}

// answered implements asker: it goes on to the read once the handle is its own.
func (r *reader) answered(ctx actor.Context, q *request) {
	if q == &r.give && q.answer.Err == nil {
		r.ask(&r.read, 0, &messages.Read{Handle: r.pipe, Buf: make([]byte, 16)})
		r.flush(ctx)
		close(r.reading)
	}
}
