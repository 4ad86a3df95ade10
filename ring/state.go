package ring

import "fmt"

// State is where an operation stands in the lifecycle map.
type State uint8

// The states of a slot. "The kernel" is whoever performs the operation: a
// ring, or the blocking lane.
const (
	// Free: no operation.
	Free State = iota
	// Queued: accepted, and the kernel has not seen it.
	Queued
	// Waiting: pushed to a submission queue or with the kernel, and somebody
	// waits for it.
	Waiting
	// Cancelling: as Waiting, and the kernel was asked to stop it. The answer
	// is owed all the same.
	Cancelling
	// Cancelled: as Waiting, but nobody waits any more. What the kernel can
	// see is kept until it is done.
	Cancelled
	// Due: ended, and the answer has not been sent.
	Due
	// Forfeited: given up at a deadline, and that answer has not been sent.
	Forfeited
	// Settling: answered, or nobody to answer; other requests of the slot are
	// still to complete.
	Settling
	// Quarantined: answered as unknown; the kernel still has the operation and
	// its memory.
	Quarantined

	stateCount
)

// Event is what happens to a slot.
type Event uint8

// The events of a slot.
const (
	// Issue: the operation is pushed, or handed to the blocking lane.
	Issue Event = iota
	// TakeBack: it is taken back, and the kernel has seen nothing of it.
	TakeBack
	// Retry: its request completed without having done anything, or only a
	// part, and is to be issued again.
	Retry
	// Update: a CQE with More.
	Update
	// Done: the terminal CQE.
	Done
	// Cancel: somebody asks for its cancellation, or its deadline has come.
	Cancel
	// Orphan: nobody waits any more.
	Orphan
	// Forfeit: the deadline of a drain or shutdown has come.
	Forfeit
	// Answered: the answer is sent.
	Answered

	eventCount
)

// Effect is what must be done because of an event. It is a set.
type Effect uint8

// The effects of an event.
const (
	// Answer: the result is to be sent.
	Answer Effect = 1 << iota
	// AnswerUnsubmitted: a cancellation is to be sent; the kernel never saw
	// the operation.
	AnswerUnsubmitted
	// AnswerUnknown: ErrOutcomeUnknown is to be sent.
	AnswerUnknown
	// Deliver: the update is to be sent.
	Deliver
	// AskKernel: the kernel is to be asked to cancel.
	AskKernel
	// Undo: what the result brought is to be undone (a descriptor closed).
	Undo
	// Release: the slot has no requests left: drop its payload and free it.
	Release
)

// transition is one cell of the table. A cell that is not valid is a bug of
// the caller, except where the comment of a row says that it is ignored.
type transition struct {
	valid  bool
	next   State
	effect Effect
}

func to(next State, effect ...Effect) transition {
	t := transition{valid: true, next: next}
	for _, e := range effect {
		t.effect |= e
	}
	return t
}

// transitions is the whole lifecycle. Release is not in it: it follows from
// Settling with no request outstanding.
var transitions = [stateCount][eventCount]transition{
	Queued: {
		Issue:  to(Waiting),
		Cancel: to(Due, AnswerUnsubmitted),
		Orphan: to(Settling),
	},
	Waiting: {
		TakeBack: to(Queued),
		Retry:    to(Queued),
		Update:   to(Waiting, Deliver),
		Done:     to(Due, Answer),
		Cancel:   to(Cancelling, AskKernel),
		Orphan:   to(Cancelled, AskKernel),
		Forfeit:  to(Forfeited, AnswerUnknown),
	},
	Cancelling: {
		TakeBack: to(Due, AnswerUnsubmitted),
		Update:   to(Cancelling, Deliver),
		Done:     to(Due, Answer),
		Cancel:   to(Cancelling), // one more who asks
		Orphan:   to(Cancelled),
		Forfeit:  to(Forfeited, AnswerUnknown),
	},
	Cancelled: {
		TakeBack: to(Settling),
		Update:   to(Cancelled, Undo),
		Done:     to(Settling, Undo),
		Cancel:   to(Cancelled),
		Orphan:   to(Cancelled),
		Forfeit:  to(Quarantined),
	},
	Due: {
		Answered: to(Settling),
		Cancel:   to(Due), // too late; the answer is on its way
		Orphan:   to(Settling, Undo),
		Forfeit:  to(Due),
	},
	Forfeited: {
		TakeBack: to(Due, AnswerUnsubmitted),
		Answered: to(Quarantined),
		Update:   to(Forfeited, Undo),
		Done:     to(Due, Answer), // in time after all
		Cancel:   to(Forfeited),
		Orphan:   to(Quarantined),
		Forfeit:  to(Forfeited),
	},
	Settling: {
		Cancel:  to(Settling),
		Orphan:  to(Settling),
		Forfeit: to(Settling),
	},
	Quarantined: {
		TakeBack: to(Settling),
		Update:   to(Quarantined, Undo),
		Done:     to(Settling, Undo),
		Cancel:   to(Quarantined),
		Orphan:   to(Quarantined),
		Forfeit:  to(Quarantined),
	},
}

// step is the lifecycle as a function: no clock, no system call, no log.
func step(state State, event Event) (State, Effect) {
	t := &transitions[state][event]
	if !t.valid {
		panic(&InvariantError{fmt.Sprintf("%s in state %s", event, state)})
	}
	return t.next, t.effect
}

var stateNames = [stateCount]string{
	"free", "queued", "waiting", "cancelling", "cancelled", "due",
	"forfeited", "settling", "quarantined",
}

// String names the state.
func (s State) String() string { return nameOf(stateNames[:], int(s)) }

var eventNames = [eventCount]string{
	"issue", "take-back", "retry", "update", "done", "cancel", "orphan",
	"forfeit", "answered",
}

// String names the event.
func (e Event) String() string { return nameOf(eventNames[:], int(e)) }

func nameOf(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("#%d", i)
}
