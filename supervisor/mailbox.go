package supervisor

import "github.com/asynkron/protoactor-go/actor"

// mailbox is protoactor's usual one, but what its users post is never taken for
// something that happens to the supervisor. protoactor delivers what the system
// posts (that the actor has started, that a child has stopped) as it does what
// users post, and an actor that forwards all that it gets has posted its own.
type mailbox struct{ actor.Mailbox }

func newMailbox() actor.Mailbox { return mailbox{actor.Unbounded()()} }

// RegisterHandlers implements actor.Mailbox.
func (m mailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.Mailbox.RegisterHandlers(doorkeeper{invoker}, dispatcher)
}

// PostUserMessage implements actor.Mailbox. protoactor's own takes a nil for an
// empty queue, and looks into it for ever; a batch, which it unpacks, may have
// one in it, and none of the supervisor's messages comes in one.
func (m mailbox) PostUserMessage(message any) {
	switch actor.UnwrapEnvelopeMessage(message).(type) {
	case nil, actor.MessageBatch:
		return
	}
	m.Mailbox.PostUserMessage(message)
}

// doorkeeper stands before the supervisor.
type doorkeeper struct{ actor.MessageInvoker }

// InvokeUserMessage implements actor.MessageInvoker. A PoisonPill is a user's to
// send.
func (d doorkeeper) InvokeUserMessage(message any) {
	switch actor.UnwrapEnvelopeMessage(message).(type) {
	case *actor.PoisonPill:
	case actor.SystemMessage, actor.AutoReceiveMessage:
		return
	}
	d.MessageInvoker.InvokeUserMessage(message)
}
