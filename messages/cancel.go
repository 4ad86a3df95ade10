package messages

import "github.com/asynkron/protoactor-go/actor"

// Cancel asks for the cancellation of one operation of ID.Owner. It is
// answered by a [CancelResult], after the operation's terminal answer.
//
// Whoever names an operation may cancel it: a supervisor for its workers, for
// instance. Actors of one system share their memory, and a message carries no
// proof of who sent it, so that a check of the sender would keep out only the
// honest. What is excluded is that an operation is hit by accident: a number is its
// owner's alone, and an owner is the process, not whoever has its name later.
//
// The kernel decides: the operation may still succeed, and a read or write
// that a disk has begun runs to its end.
type Cancel struct {
	ID OpID
	// Abandon says that nobody waits any more: the operation's own answer is
	// dropped, and what a late success brings (a descriptor) is undone. The
	// CancelResult still comes.
	Abandon bool
	// ReplyTo gets the answer. Nil means the owner.
	ReplyTo *actor.PID
	// Token is echoed in the answer.
	Token any
}

// CancelOwner asks for the cancellation of all operations of Owner, which anybody
// may name, as in a Cancel. It is
// answered by one CancelResult, after the terminal answers of all of them.
type CancelOwner struct {
	Owner   *actor.PID // nil means the sender
	ReplyTo *actor.PID // nil means the owner
	Token   any
}

// CancelHandle asks for the cancellation of all operations on a handle, of
// whichever owner: holding the handle is the right to. It is answered by one
// CancelResult, after the terminal answers of all of them.
type CancelHandle struct {
	Handle  Handle
	ReplyTo *actor.PID // nil means the sender
	Token   any
}

// CancelResult answers a Cancel, CancelOwner or CancelHandle. Nothing more
// comes for the operations concerned.
type CancelResult struct {
	ID      OpID // of a Cancel
	Token   any
	Outcome CancelOutcome
	// Count is how many operations were in flight or queued when the
	// cancellation was asked for.
	Count int
}

// CancelOutcome says what a cancellation found. It does not say how the
// operation ended: its Completion does.
type CancelOutcome uint8

// What a cancellation can find.
const (
	// NotFound: no such operation was ever submitted.
	NotFound CancelOutcome = iota
	// Cancelled: the operation was open, was asked to stop, and has ended.
	Cancelled
	// AlreadyDone: the operation had ended before.
	AlreadyDone
)

// String names the outcome.
func (o CancelOutcome) String() string {
	switch o {
	case Cancelled:
		return "cancelled"
	case AlreadyDone:
		return "already done"
	default:
		return "not found"
	}
}

// IgnoreDeadLetterLogging keeps an answer to a requester that has stopped out
// of the dead-letter log.
func (*CancelResult) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: what is sent to a subsystem that has ended is
// answered, and no news.
func (*Cancel) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging is as for Cancel.
func (*CancelOwner) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging is as for Cancel.
func (*CancelHandle) IgnoreDeadLetterLogging() {}
