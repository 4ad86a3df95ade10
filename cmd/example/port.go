package main

import (
	"errors"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// port is an actor's side of the protocol: it sends the actor's Submits to the
// ring owner and brings each answer to whoever asked. An actor that embeds one
// hands it the messages that it does not know itself, and ends each turn with
// flush.
//
// What is asked for in one turn goes to the ring owner in one message, and the
// answers come several in one message. So with much in flight, both sides are
// woken seldom, and the kernel is entered once for many operations.
type port struct {
	owner *actor.PID // the ring owner
	self  *actor.PID // the actor, on whose behalf everything runs
	// asked in this turn and not sent.
	asked []*messages.Submit
	// parked requests were refused for want of room and wait for Ready.
	parked []*request
}

// request is the storage of one exchange with the ring owner, used again and
// again. It belongs to the subsystem from ask to answered.
type request struct {
	submit messages.Submit
	answer messages.Completion // lent with the Submit
	asker  asker
	step   step
	seq    uint64 // 0, unless it is to be cancelled by name
}

// asker is what a request was made for.
type asker interface {
	// answered is called once for each ask, when the operation and its buffers
	// are the actor's again. The result, or the error, is in r.answer.
	answered(ctx actor.Context, r *request)
}

// step says what a request was for, in the words of its asker.
type step uint8

// ask submits an operation, at the end of the turn.
func (p *port) ask(r *request, step step, op messages.Op) {
	r.step = step
	r.submit = messages.Submit{
		Op:      op,
		ID:      messages.OpID{Owner: p.self, Seq: r.seq},
		Token:   r,
		Into:    &r.answer,
		Batched: true,
	}
	p.asked = append(p.asked, &r.submit)
}

// flush sends what was asked for.
func (p *port) flush(ctx actor.Context) {
	switch len(p.asked) {
	case 0:
	case 1:
		ctx.Send(p.owner, p.asked[0])
		p.asked = p.asked[:0]
	default:
		ctx.Send(p.owner, &messages.SubmitBatch{Submits: p.asked})
		p.asked = make([]*messages.Submit, 0, cap(p.asked)) // the slice went with the message
	}
}

// receive takes the answers of the ring owner. It says whether the message was
// one.
func (p *port) receive(ctx actor.Context) bool {
	switch m := ctx.Message().(type) {
	case *messages.Completion:
		answered(ctx, m)
	case *messages.CompletionBatch:
		for _, c := range m.Completions {
			answered(ctx, c)
		}
	case *messages.Refused:
		p.refused(ctx, m)
	case *messages.Ready:
		p.retry()
	default:
		return false
	}
	return true
}

// answered tells the asker. The completion is the request's own.
func answered(ctx actor.Context, c *messages.Completion) {
	r := c.Token.(*request)
	r.asker.answered(ctx, r)
}

// refused submits again what was refused for a reason that passes, and makes
// a failed answer of the rest.
func (p *port) refused(ctx actor.Context, m *messages.Refused) {
	r := m.Token.(*request)
	switch {
	case errors.Is(m.Err, messages.ErrRestarted):
		// The ring owner crashed while it took the message: nothing of it has
		// reached the kernel, and its next incarnation is there already.
		p.asked = append(p.asked, &r.submit)
	case errors.Is(m.Err, messages.ErrOverloaded), errors.Is(m.Err, messages.ErrQuota):
		p.parked = append(p.parked, r)
	default:
		r.answer = messages.Completion{ID: m.ID, Token: r, Op: m.Op, Err: m.Err}
		r.asker.answered(ctx, r)
	}
}

func (p *port) retry() {
	for _, r := range p.parked {
		p.asked = append(p.asked, &r.submit)
	}
	p.parked = p.parked[:0]
}
