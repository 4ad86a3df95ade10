package actors

import (
	"errors"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// OpDone is what an operation actor sends to its parent, once, when its
// operation has ended.
type OpDone[R any] struct {
	// PID is the operation actor's; it has stopped or is about to.
	PID   *actor.PID
	Token any
	// Op is the operation with its buffers, the caller's again. It is nil when
	// Err is messages.ErrOutcomeUnknown.
	Op    messages.Op
	Value R
	Err   error
}

// CancelOp, sent to an operation actor, asks for its operation's cancellation.
// The OpDone says how it ended.
type CancelOp struct{}

// IgnoreDeadLetterLogging: an operation actor may have finished just before.
func (*CancelOp) IgnoreDeadLetterLogging() {}

// opState is where an operation actor stands, in Tokio's words.
type opState uint8

const (
	// opInitialize: nothing is submitted before the actor's first turn.
	opInitialize opState = iota
	// opPolled: the operation is with the ring owner.
	opPolled
	// opGiving: it has ended, and its handle is on its way to the parent.
	opGiving
	// opComplete: it has ended; the actor never submits again.
	opComplete
)

// SpawnOp starts an operation actor as a child of the calling actor: it submits
// op in its first turn, sends the parent one [OpDone], and stops. Stopping it,
// or its parent, abandons the operation: it is cancelled, and what a late
// success brings is undone.
//
// As with any child, the parent also gets a Terminated, which may overtake the
// OpDone: wait for the OpDone only.
//
// The operation is performed once: if the actor is restarted, by a middleware
// that fails or along with its siblings, the OpDone says
// [messages.ErrOutcomeUnknown].
//
// The options are for the actor. It costs an actor for each operation; where
// that matters, send [messages.Submit] to [Client.PID] instead.
func SpawnOp[R any](ctx actor.Context, c *Client, op messages.Operation[R], token any, options ...actor.PropsOption) *actor.PID {
	parent, life := ctx.Self(), new(opLife)
	return ctx.Spawn(actor.PropsFromProducer(func() actor.Actor {
		return &operationActor[R]{client: c, parent: parent, op: op, token: token, life: life}
	}, options...))
}

// opLife is what the incarnations of one operation actor share. Its own code does
// not fail, but a middleware of it may, or a sibling under a strategy that
// restarts all.
type opLife struct {
	begun bool // the operation has been submitted, and is not again
	told  bool // the parent has been told of its end
}

// operationActor is Op[R]. It owns its operation itself, so that a handle that
// arrives when it has already stopped is closed with it; a handle it did
// receive it gives to its parent before it says so.
type operationActor[R any] struct {
	client *Client
	parent *actor.PID
	op     messages.Operation[R]
	token  any
	life   *opLife
	state  opState
	done   *OpDone[R]
	handle messages.Handle // while opGiving

	submit     messages.Submit
	completion messages.Completion
}

// Receive implements actor.Actor.
func (a *operationActor[R]) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.poll(ctx)
	case *messages.Completion:
		if a.state != opComplete { // it may be one that an earlier incarnation waited for
			a.completed(ctx, m)
		}
	case *messages.Refused:
		if a.state != opComplete {
			a.finish(ctx, &OpDone[R]{Op: m.Op, Err: m.Err})
		}
	case *CancelOp:
		a.cancel(ctx, false)
	case *actor.Stopping, *actor.Restarting:
		a.cancel(ctx, true)
	}
}

func (a *operationActor[R]) poll(ctx actor.Context) {
	if a.state != opInitialize {
		return
	}
	if a.life.begun {
		// What the operation was answered, or will be, is lost with the incarnation
		// that submitted it; the kernel may still have its buffers.
		a.finish(ctx, &OpDone[R]{Err: &messages.OpError{Op: a.op.Name(), Path: pathOf(a.op), Err: messages.ErrOutcomeUnknown, Why: errOpRestarted}})
		return
	}
	a.life.begun = true
	a.state = opPolled
	a.send(ctx, a.op, 1)
}

func (a *operationActor[R]) send(ctx actor.Context, op messages.Op, seq uint64) {
	a.submit = messages.Submit{
		Op:   op,
		ID:   messages.OpID{Owner: ctx.Self(), Seq: seq},
		Into: &a.completion,
	}
	ctx.Send(a.client.owner, &a.submit)
}

func (a *operationActor[R]) completed(ctx actor.Context, c *messages.Completion) {
	if a.state == opGiving {
		a.given(ctx, c)
		return
	}
	done := &OpDone[R]{Op: c.Op}
	done.Value, done.Err = messages.Result[R](c)
	if c.Err == nil && !c.Handle.IsZero() {
		a.state, a.done, a.handle = opGiving, done, c.Handle
		a.send(ctx, &messages.Give{Handle: c.Handle, To: a.parent}, 2)
		return
	}
	a.finish(ctx, done)
}

func (a *operationActor[R]) given(ctx actor.Context, c *messages.Completion) {
	if c.Err != nil {
		var none R
		a.done.Value, a.done.Err = none, c.Err
	}
	a.finish(ctx, a.done)
}

func (a *operationActor[R]) finish(ctx actor.Context, done *OpDone[R]) {
	if a.state == opGiving && done != a.done { // the Give was refused
		done.Op = a.done.Op
	}
	a.state = opComplete
	done.PID, done.Token = ctx.Self(), a.token
	if !a.life.told {
		a.life.told = true
		ctx.ActorSystem().Root.Send(a.parent, done) // past the actor's own middleware, which may fail
	}
	ctx.Stop(ctx.Self())
}

// errOpRestarted is why a restarted operation actor does not know how its
// operation ended.
var errOpRestarted = errors.New("operation actor was restarted")

func (a *operationActor[R]) cancel(ctx actor.Context, abandon bool) {
	switch {
	case a.state == opPolled:
	case a.state == opGiving && abandon:
		a.takeBack(ctx)
		return
	default:
		return
	}
	ctx.Send(a.client.owner, &messages.Cancel{ID: a.submit.ID, Abandon: abandon})
}

// takeBack closes a handle that is the parent's by now, or on its way to be,
// and of which the parent will not be told. The client is the owner of the
// Close: it outlives both.
func (a *operationActor[R]) takeBack(ctx actor.Context) {
	ctx.Send(a.client.owner, &messages.Submit{
		Op: &messages.Close{Handle: a.handle},
		ID: messages.OpID{Owner: a.client.self},
	})
}
