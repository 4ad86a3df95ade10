package messages

import "time"

// Op is one operation: a pointer to one of the structs of this package. The
// set is closed; anything else is refused with [ErrUnknownOp].
type Op interface {
	// Name is the operation's name in lower case, as errors show it.
	Name() string

	sealed()
}

// Operation is an Op together with the type of its result, so that helpers
// can hand the caller a value instead of raw numbers.
type Operation[R any] interface {
	Op

	// Result reads the operation's result from its successful completion.
	Result(*Completion) R
}

// None is the result of an operation that has none.
type None = struct{}

// Nop does nothing, through the whole path down to the kernel and back.
type Nop struct{}

// Timeout completes without error once After has passed, or earlier with a
// cancellation. See io_uring_prep_timeout(3).
type Timeout struct {
	After time.Duration
}

// Poll waits once for any of Events on a handle that can be polled: a pipe, a
// socket, a terminal, an eventfd. Hang-up and error are always reported. The
// result is what was found. See io_uring_prep_poll_add(3).
type Poll struct {
	Handle Handle
	Events Events
}

// Events is a set of poll conditions, with the values of poll(2).
type Events uint32

// The conditions a Poll can wait for and report.
const (
	Readable Events = 0x001 // data to read, or a connection to accept
	Urgent   Events = 0x002 // out-of-band data
	Writable Events = 0x004 // room to write
	Errored  Events = 0x008 // an error; reported even when not asked for
	HungUp   Events = 0x010 // the peer is gone; reported even when not asked for
)

// Name implements [Op].
func (*Nop) Name() string { return "nop" }

// Name implements [Op].
func (*Timeout) Name() string { return "timeout" }

// Name implements [Op].
func (*Poll) Name() string { return "poll" }

// Result implements [Operation].
func (*Nop) Result(*Completion) None { return None{} }

// Result implements [Operation].
func (*Timeout) Result(*Completion) None { return None{} }

// Result implements [Operation].
func (*Poll) Result(c *Completion) Events { return Events(c.N) }

func (*Nop) sealed()     {}
func (*Timeout) sealed() {}
func (*Poll) sealed()    {}
