package actors

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// RefuseDeadLetters answers what is sent to a ring owner that is no more: each
// Submit gets its Refused, with its operation inside, as the protocol
// promises. It works until the function that it returns is called.
//
// A sender that protoactor itself answers with a DeadLetterResponse, and that
// is not an actor, is left alone: a future must not be answered twice.
func RefuseDeadLetters(system *actor.ActorSystem, owner *actor.PID) func() {
	subscription := system.EventStream.SubscribeWithPredicate(
		func(event any) { refuseDeadLetter(system, event.(*actor.DeadLetterEvent)) },
		func(event any) bool {
			letter, ok := event.(*actor.DeadLetterEvent)
			return ok && letter.PID != nil && letter.PID.Id == owner.Id && letter.PID.Address == owner.Address
		},
	)
	return func() { system.EventStream.Unsubscribe(subscription) }
}

func refuseDeadLetter(system *actor.ActorSystem, letter *actor.DeadLetterEvent) {
	switch m := letter.Message.(type) {
	case *messages.Submit:
		refuseStopped(system, m, letter.Sender)
	case *messages.SubmitBatch:
		if m == nil {
			return
		}
		for _, s := range m.Submits {
			refuseStopped(system, s, letter.Sender)
		}
	case *messages.Inspect:
		if m != nil && m.ReplyTo != nil {
			system.Root.Send(m.ReplyTo, &messages.Refused{Token: m.Token, Err: refusal(nil, messages.ErrStopped, "")})
		}
	case *messages.Cancel:
		if m != nil && m.ReplyTo != nil {
			system.Root.Send(m.ReplyTo, &messages.CancelResult{ID: m.ID, Token: m.Token, Outcome: messages.AlreadyDone})
		}
	}
}

func refuseStopped(system *actor.ActorSystem, m *messages.Submit, sender *actor.PID) {
	if m == nil {
		return
	}
	if to := doorOf(system, m, sender); to == nil || to.Equal(sender) && !isActor(system, to) {
		return
	}
	refuseAtDoor(system, m, sender, messages.ErrStopped)
}

// refuseAtDoor refuses a Submit that the ring owner does not get to see, on the
// goroutine of whoever sent it.
func refuseAtDoor(system *actor.ActorSystem, m *messages.Submit, sender *actor.PID, reason error) {
	owner := m.ID.Owner
	if owner == nil {
		owner = sender
	}
	if to := doorOf(system, m, sender); to != nil {
		system.Root.Send(to, refusedOf(m, owner, reason))
	}
}

// doorOf is who is told of a refusal at the door: the first that lives of those
// whom an answer would concern.
func doorOf(system *actor.ActorSystem, m *messages.Submit, sender *actor.PID) *actor.PID {
	for _, to := range [...]*actor.PID{m.ReplyTo, m.ID.Owner, sender} {
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
