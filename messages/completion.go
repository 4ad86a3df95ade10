package messages

import "fmt"

// Completion answers a [Submit] that was accepted. Unless More is set it is
// terminal: the kernel is done with the operation, and Op is the caller's
// again, its buffers included.
type Completion struct {
	ID    OpID
	Token any
	// Op is the operation as it was submitted. It is nil when Err is
	// ErrOutcomeUnknown: its memory is forfeited.
	Op Op
	// Err is nil on success. A failed operation has an [*OpError], which wraps
	// the errno.
	Err error
	// More says that this is an update of a multishot operation.
	More bool

	// N, Handle and Value hold the result. [Result] and the operations' own
	// Result methods give it with its type.
	N      int
	Handle Handle
	Value  any
}

// CompletionBatch is Completions of several Submits that allow it (Batched), in
// the order in which they ended. Each is as if it had come alone.
type CompletionBatch struct {
	Completions []*Completion
}

// IgnoreDeadLetterLogging is as for Completion.
func (*CompletionBatch) IgnoreDeadLetterLogging() {}

// Result gives the typed result of a completion, or its error. It fails as
// well when the completion is not of such an operation.
func Result[R any](c *Completion) (R, error) {
	var none R
	if c.Err != nil {
		return none, c.Err
	}
	op, ok := c.Op.(Operation[R])
	if !ok {
		return none, fmt.Errorf("reading the result of %T as %T: %w", c.Op, none, ErrUnknownOp)
	}
	return op.Result(c), nil
}

// IgnoreDeadLetterLogging keeps an answer to a requester that has stopped out
// of the dead-letter log; the subsystem counts it instead.
func (*Completion) IgnoreDeadLetterLogging() {}
