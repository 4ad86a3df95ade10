package ring

import (
	"errors"
	"fmt"

	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
)

// ErrBusy says that the kernel cannot take submissions now (EAGAIN, EBUSY).
// What was pushed remains pushed; reap, and try again later.
var ErrBusy = errors.New("kernel cannot take submissions now")

// ErrUnavailable says that this system refuses io_uring, or lacks a feature
// that the ring cannot do without.
var ErrUnavailable = errors.New("io_uring is not available")

// ErrStuck is the cause of a [FatalError] when a call into the kernel does not
// return.
var ErrStuck = errors.New("call into the kernel does not return")

// FatalError says that a ring can no longer be used for submission. What is in
// flight on it may still complete.
type FatalError struct {
	Doing string
	Err   error
}

// Error reads as in "io_uring_enter: ring lost: invalid request descriptor".
func (e *FatalError) Error() string { return fmt.Sprintf("%s: ring lost: %v", e.Doing, e.Err) }

// Lost reports whether the kernel has lost a completion: not all that is in
// flight will end.
func (e *FatalError) Lost() bool { return errors.Is(e.Err, sys.EBADR) }

// Unwrap gives the errno.
func (e *FatalError) Unwrap() error { return e.Err }

// InvariantError is the panic value of a broken invariant: a bug of ours, or
// of whoever wrote to memory that was not theirs.
type InvariantError struct{ What string }

// Error says which invariant is broken.
func (e *InvariantError) Error() string { return "invariant broken: " + e.What }
