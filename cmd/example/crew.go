package main

import (
	"errors"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// crew is the operation actors of an actor. Each is one operation: it can be
// stopped or cancelled on its own, its life ends with its parent's, and the
// parent needs to know nothing of the protocol. It costs an actor for each
// operation, so here it does what is seldom.
type crew struct {
	client *actors.Client
	out    int // operation actors that have not reported
}

// mission is an operation actor's operation and what comes after it, in the
// parent's turn.
type mission[R any] struct {
	op   messages.Operation[R]
	then func(actor.Context, R, error)
}

// delegate starts an operation actor.
func delegate[R any](ctx actor.Context, c *crew, op messages.Operation[R], then func(actor.Context, R, error)) {
	c.out++
	actors.SpawnOp(ctx, c.client, op, &mission[R]{op, then})
}

// receive takes the last words of the operation actors. It says whether the
// message was one.
func (c *crew) receive(ctx actor.Context) bool {
	switch m := ctx.Message().(type) {
	case *actors.OpDone[*messages.Attributes]:
		back(ctx, c, m)
	case *actors.OpDone[string]:
		back(ctx, c, m)
	case *actors.OpDone[messages.None]:
		back(ctx, c, m)
	default:
		return false
	}
	return true
}

func back[R any](ctx actor.Context, c *crew, m *actors.OpDone[R]) {
	c.out--
	t := m.Token.(*mission[R])
	if errors.Is(m.Err, messages.ErrRestarted) {
		delegate(ctx, c, t.op, t.then) // nothing of it reached the kernel
		return
	}
	t.then(ctx, m.Value, m.Err)
}
