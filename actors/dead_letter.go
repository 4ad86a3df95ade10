package actors

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// RefuseDeadLetters answers what is sent to ring owners that are no more: each
// Submit gets its Refused, with its operation inside, as the protocol
// promises. The function find says whose PID is one of a ring owner's, and
// reports false for others; it lasts as long as the actor system. While the ring
// owner's engine still has something to end, it is given what comes: a Cancel is
// to be answered after its operation.
//
// A sender that protoactor itself answers with a DeadLetterResponse, and that
// is not an actor, is left alone: a future must not be answered twice.
func RefuseDeadLetters(system *actor.ActorSystem, find func(*actor.PID) (*RingOwner, bool)) {
	further := newOutboxes(NewCrew()) // when a ring owner, with its own, is forgotten
	// Not SubscribeWithPredicate: it sets the predicate when events may already
	// be on their way to the subscriber.
	system.EventStream.Subscribe(func(event any) {
		letter, ok := event.(*actor.DeadLetterEvent)
		if !ok || letter.PID == nil {
			return
		}
		owner, ours := find(letter.PID)
		if !ours || owner.takeDeadLetter(letter) {
			return
		}
		d := door{system, further}
		if owner != nil {
			d.outboxes = owner.engine.parties.outboxes
		}
		d.refuseDeadLetter(letter)
	})
}

// takeDeadLetter has the engine answer a Cancel that came after its actor's end,
// and reports false when everything is answered, or nothing is to be.
func (o *RingOwner) takeDeadLetter(letter *actor.DeadLetterEvent) bool {
	if o == nil {
		return false
	}
	select {
	case <-o.engine.answered:
		return false
	default:
	}
	switch letter.Message.(type) {
	case *messages.Cancel, *messages.CancelOwner, *messages.CancelHandle:
	default:
		return false
	}
	if letter.Sender != nil && !isActor(o.engine.system, letter.Sender) && !concernsOther(letter) {
		return false // a future has its answer from protoactor
	}
	o.drive.PostUserMessage(&actor.MessageEnvelope{Message: letter.Message, Sender: letter.Sender})
	return true
}

// concernsOther reports whether the answer to a cancellation is for somebody else
// than who sent it.
func concernsOther(letter *actor.DeadLetterEvent) bool {
	to := replyNamed(letter.Message)
	if to == nil {
		to = ownerNamed(letter.Message)
	}
	return to != nil && !to.Equal(letter.Sender)
}

// door is where those are told who do not get in, on their own goroutine: of what
// was sent to a ring owner that has ended, or has no room in its mailbox.
type door struct {
	system   *actor.ActorSystem
	outboxes *outboxes
}

// refuseDeadLetter answers what came after everything.
func (d door) refuseDeadLetter(letter *actor.DeadLetterEvent) {
	switch m := letter.Message.(type) {
	case *messages.Submit:
		d.refuseStopped(m, letter.Sender)
	case *messages.SubmitBatch:
		if m == nil {
			return
		}
		for _, s := range m.Submits {
			d.refuseStopped(s, letter.Sender)
		}
	case *messages.Inspect:
		if m != nil && m.ReplyTo != nil {
			d.outboxes.tell(d.system, m.ReplyTo, &messages.Refused{Token: m.Token, Err: refusal(nil, messages.ErrStopped)})
		}
	case *messages.Cancel:
		if m != nil {
			d.tellStopped(messages.CancelResult{ID: m.ID, Token: m.Token}, letter.Sender, m.ReplyTo, m.ID.Owner)
		}
	case *messages.CancelOwner:
		if m != nil {
			d.tellStopped(messages.CancelResult{ID: messages.OpID{Owner: m.Owner}, Token: m.Token}, letter.Sender, m.ReplyTo, m.Owner)
		}
	case *messages.CancelHandle:
		if m != nil {
			d.tellStopped(messages.CancelResult{Token: m.Token}, letter.Sender, m.ReplyTo, nil)
		}
	}
}

// tellStopped answers a cancellation: everything has ended. An outbox may still
// have the Completion, which this does not overtake.
func (d door) tellStopped(result messages.CancelResult, sender, replyTo, owner *actor.PID) {
	result.Outcome = messages.AlreadyDone
	d.tellOnce(firstAlive(d.system, replyTo, owner, sender), sender, &result)
}

func (d door) refuseStopped(m *messages.Submit, sender *actor.PID) {
	if m != nil {
		d.tellOnce(doorOf(d.system, m, sender), sender, refusedOf(m, ownerOf(m, sender), messages.ErrStopped))
	}
}

// tellOnce answers a dead letter, unless protoactor itself has.
func (d door) tellOnce(to, sender *actor.PID, message any) {
	if to != nil && (!to.Equal(sender) || isActor(d.system, to)) {
		d.outboxes.tell(d.system, to, message)
	}
}

// refuse refuses a Submit that the ring owner does not get to see.
func (d door) refuse(m *messages.Submit, sender *actor.PID, reason error) {
	if to := doorOf(d.system, m, sender); to != nil {
		d.outboxes.tell(d.system, to, refusedOf(m, ownerOf(m, sender), reason))
	}
}

// doorOf is who is told of a refusal at the door: the first that lives of those
// whom an answer would concern.
func doorOf(system *actor.ActorSystem, m *messages.Submit, sender *actor.PID) *actor.PID {
	return firstAlive(system, m.ReplyTo, m.ID.Owner, sender)
}

func firstAlive(system *actor.ActorSystem, pids ...*actor.PID) *actor.PID {
	for _, to := range pids {
		if _, alive := system.ProcessRegistry.Get(to); alive {
			return to
		}
	}
	return nil
}

func isActor(system *actor.ActorSystem, pid *actor.PID) bool {
	process, _ := system.ProcessRegistry.Get(pid)
	_, yes := process.(*actor.ActorProcess)
	return yes
}
