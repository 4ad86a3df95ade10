package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// script is a performer as its role sees it: a role asks for operations, and
// waits, as if it were a goroutine. See performer.
type script struct {
	*performer
	ctx   actor.Context
	dice  diceBox
	yield func(struct{}) bool
	isCut bool
}

// errCut ends a role whose actor was stopped in the midst.
var errCut = errors.New("stopped in the midst")

// wait yields to the actor until something holds.
func (s *script) wait(until func() bool) error {
	for !s.isCut && !until() {
		s.isCut = !s.yield(struct{}{})
	}
	if s.isCut {
		return errCut
	}
	return nil
}

// begin asks for an operation, at the end of the turn: what is begun together
// goes to the ring owner in one message.
func (s *script) begin(op messages.Op) *deed { return s.beginBy(op, time.Time{}) }

// beginBy is begin with a deadline.
func (s *script) beginBy(op messages.Op, deadline time.Time) *deed {
	s.seq++
	d := &deed{by: s.performer, op: op, spans: spansOf(op), began: time.Now()}
	d.asker, d.seq = d, s.seq
	if s.isCut {
		return d
	}
	if give, ok := op.(*messages.Give); ok {
		delete(s.handles, give.Handle)
	}
	s.open[d] = struct{}{}
	s.chaos.ledger.asked.Add(1)
	s.ask(&d.request, 0, op)
	d.submit.Deadline = deadline
	return d
}

// end waits for the end of some deeds.
func (s *script) end(deeds ...*deed) error {
	return s.wait(func() bool {
		for _, d := range deeds {
			if !d.ended {
				return false
			}
		}
		return true
	})
}

// do performs an operation. It is asked for again when the ring owner has
// crashed over it, or when it was cancelled with its ring. In the latter case it
// may have been performed: done is how it fails then, the second time.
func do[R any](s *script, op messages.Operation[R], done ...error) (R, error) {
	for lost := false; ; {
		d := s.begin(op)
		d.prompt = true
		if err := s.end(d); err != nil {
			var none R
			return none, err
		}
		result, err := messages.Result[R](&d.answer)
		switch {
		case d.again:
			continue
		case errors.Is(err, messages.ErrRingLost):
			lost = true
			continue
		case lost && isOneOf(err, done):
			err = nil
		}
		return result, err
	}
}

// wants performs an operation that is to fail, and how.
func wants[R any](s *script, op messages.Operation[R], errs ...error) error {
	_, err := do(s, op)
	if errors.Is(err, errCut) || isOneOf(err, errs) {
		return errIfCut(err)
	}
	return fmt.Errorf("%s ends with %v instead of %v", op.Name(), err, errs)
}

func errIfCut(err error) error {
	if errors.Is(err, errCut) {
		return err
	}
	return nil
}

func isOneOf(err error, errs []error) bool {
	for _, e := range errs {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// all performs operations that are begun together. Those that are to be asked
// for again are so in their order, and together, when the others have ended: so
// they keep their order on a stream.
func (s *script) all(ops ...messages.Op) ([]*deed, error) {
	deeds := make([]*deed, len(ops))
	for {
		var begun []*deed
		for i, op := range ops {
			if d := deeds[i]; d == nil || d.again || errors.Is(d.err, messages.ErrRingLost) {
				deeds[i] = s.begin(op)
				deeds[i].prompt = true
				begun = append(begun, deeds[i])
			}
		}
		if len(begun) == 0 {
			return deeds, nil
		}
		if err := s.end(begun...); err != nil {
			return nil, err
		}
	}
}

// succeed is the same for operations that all have to.
func (s *script) succeed(ops ...messages.Op) ([]*deed, error) {
	deeds, err := s.all(ops...)
	for _, d := range deeds {
		if err == nil {
			err = d.err
		}
	}
	return deeds, err
}

// cancel asks for the cancellation of a deed.
func (s *script) cancel(d *deed) *cancelling {
	c := s.cancelling(d)
	c.single = true
	s.send(&messages.Cancel{ID: messages.OpID{Owner: s.self, Seq: d.seq}, Abandon: d.abandoned, Token: c})
	return c
}

// abandon is cancel for a deed whose end does not matter.
func (s *script) abandon(d *deed) *cancelling {
	d.abandoned = true
	return s.cancel(d)
}

// cancelAll asks for the cancellation of all that is open.
func (s *script) cancelAll() *cancelling {
	c := s.cancelling()
	for d := range s.open {
		c.deeds = append(c.deeds, d)
	}
	s.send(&messages.CancelOwner{Owner: s.self, Token: c})
	return c
}

// cancelOn asks for the cancellation of all deeds on a handle.
func (s *script) cancelOn(h messages.Handle, deeds ...*deed) *cancelling {
	c := s.cancelling(deeds...)
	s.send(&messages.CancelHandle{Handle: h, ReplyTo: s.self, Token: c})
	return c
}

func (s *script) cancelling(deeds ...*deed) *cancelling {
	s.chaos.ledger.cancels.Add(1)
	return &cancelling{by: s.performer, deeds: deeds}
}

// send sends a message to the ring owner, after what was asked for.
func (s *script) send(message any) {
	if s.isCut {
		return
	}
	s.flush(s.ctx)
	s.ctx.Send(s.owner, message)
}

// answers waits for the answers to cancellations.
func (s *script) answers(cs ...*cancelling) error {
	return s.wait(func() bool {
		for _, c := range cs {
			if !c.done {
				return false
			}
		}
		return true
	})
}

// sleep lets some time pass, unless the end comes first.
func (s *script) sleep(d time.Duration) error {
	timer := s.begin(&messages.Timeout{After: d})
	if err := s.wait(func() bool { return timer.ended || s.curtain }); err != nil {
		return err
	}
	if !timer.ended {
		return s.answers(s.cancel(timer))
	}
	return nil
}

// ping waits until all that was sent to the actor so far has come.
func (s *script) ping() error {
	s.echoes++
	if !s.isCut {
		s.ctx.Send(s.self, &echo{})
	}
	return s.wait(func() bool { return s.echoes == 0 })
}
