package messages

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// OpID is a requester's name for one of its operations. The requester chooses
// it before it submits, so that a Cancel can follow at once, and it stays the
// same across restarts of the ring owner.
type OpID struct {
	// Owner is on whose behalf the operation runs. Its death cancels the
	// operation and closes the handles it made. Nil means the sender, or else
	// whom ReplyTo names. A Submit that names nobody and has no sender cannot be
	// answered: it is counted, in Counters.DeadReplies.
	Owner *actor.PID
	// Seq tells the owner's operations apart: each is greater than the one
	// before. 0 means that the operation will not be cancelled by name.
	Seq uint64
}

// String shows the identity, as in "$3#17".
func (id OpID) String() string {
	owner := "nobody"
	if id.Owner != nil {
		owner = id.Owner.Id
	}
	return fmt.Sprintf("%s#%d", owner, id.Seq)
}

// Submit asks for an operation. It is answered once: by a [Refused], or by a
// terminal [Completion].
//
// The message, the operation and its buffers belong to the subsystem until
// then.
type Submit struct {
	Op Op
	ID OpID
	// ReplyTo gets the answer, also when the owner has stopped. Nil means the owner.
	ReplyTo *actor.PID
	// Token is echoed in the answer.
	Token any
	// Deadline asks for cancellation at that time; the zero time sets none. A
	// disk may answer later than that, and with its true result.
	Deadline time.Time
	// Into lends the storage of the Completion, so that the steady state
	// allocates nothing. Nil has one allocated.
	Into *Completion
	// Batched lets the Completion come in a CompletionBatch, with others for
	// the same address. Whoever has many in flight is woken less often then.
	Batched bool
}

// SubmitBatch is many Submits in one message, each answered on its own. The
// slice is the sender's again when all of them have been answered.
type SubmitBatch struct {
	Submits []*Submit
}

// Refused answers a Submit that was not accepted: nothing of it reached the
// kernel, and the operation comes back with its buffers.
type Refused struct {
	ID    OpID
	Token any
	Op    Op
	// Err says why. It is an [*OpError] that wraps [ErrRefused] and one of the
	// sentinels of this package.
	Err error
}

// Ready tells an owner that was refused with ErrOverloaded or ErrQuota that
// there is room again. It is sent once for any number of such refusals.
type Ready struct{}

// IgnoreDeadLetterLogging keeps an answer to a requester that has stopped out
// of the dead-letter log; the subsystem counts it instead.
func (*Refused) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging keeps the notice out of the dead-letter log.
func (*Ready) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging keeps a Submit to a stopped subsystem out of the
// dead-letter log: it is answered by a Refused.
func (*Submit) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging is as for Submit.
func (*SubmitBatch) IgnoreDeadLetterLogging() {}
