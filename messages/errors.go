package messages

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
)

// ErrRefused is wrapped by the error of every [Refused]: the operation was not
// performed, and nothing of it reached the kernel.
var ErrRefused = errors.New("refused")

// Why a Submit is refused.
var (
	// ErrNilMessage: the message, or the operation in it, is nil.
	ErrNilMessage = errors.New("nil message or operation")
	// ErrUnknownOp: the operation is none of this package's.
	ErrUnknownOp = errors.New("unknown operation")
	// ErrBadHandle: the handle was never issued, or is of an earlier life of
	// its place.
	ErrBadHandle = errors.New("bad handle")
	// ErrHandleClosed: the handle was closed, or its owner has stopped.
	ErrHandleClosed error = wrapped{"handle is closed", fs.ErrClosed}
	// ErrRights: the handle does not give the right to do this.
	ErrRights error = wrapped{"handle lacks the right", fs.ErrPermission}
	// ErrPath: the path is empty, too long, has a NUL in it, or is relative
	// without a directory.
	ErrPath error = wrapped{"bad path", fs.ErrInvalid}
	// ErrRange: an offset, length, size or duration is out of range.
	ErrRange error = wrapped{"out of range", fs.ErrInvalid}
	// ErrArgument: another field of the operation makes no sense.
	ErrArgument error = wrapped{"bad argument", fs.ErrInvalid}
	// ErrDuplicateID: the owner has an operation in flight under this ID.
	ErrDuplicateID = errors.New("operation ID is in use")
	// ErrOverloaded: the subsystem's queue is full, or what is left of it is for
	// owners with fewer operations. A Ready follows.
	ErrOverloaded = errors.New("too many operations")
	// ErrQuota: the owner has too many operations in flight. A Ready follows.
	ErrQuota = errors.New("too many operations of this owner")
	// ErrOwner: the owner or the reply address is not a live local process. An
	// operation whose owner stops is cancelled for this reason.
	ErrOwner = errors.New("no such owner or reply address here")
	// ErrUnsupported: this kernel cannot do the operation.
	ErrUnsupported error = wrapped{"not supported by this kernel", errors.ErrUnsupported}
	// ErrRestarted: the ring owner failed while it took the message.
	ErrRestarted = errors.New("ring owner failed while taking the operation")
	// ErrUnknownMessage: it is none of this package's, or not a pointer to one.
	ErrUnknownMessage = errors.New("unknown message")
	// ErrUnavailable: there is no ring, and nothing in its place. Accepted
	// operations that no kernel has seen are cancelled for this reason too.
	ErrUnavailable = errors.New("no ring")
	// ErrQuarantine: too much memory is forfeited to operations that do not
	// end. See ErrOutcomeUnknown.
	ErrQuarantine = errors.New("too many operations in quarantine")
	// ErrStopped: the subsystem is shutting down or has stopped.
	ErrStopped = errors.New("subsystem has stopped")
)

// ErrOutcomeUnknown ends an operation that did not end in time, at a drain or
// shutdown deadline. It may have happened, or may yet happen. Its buffers are
// forfeited: the kernel may still write to them.
var ErrOutcomeUnknown = errors.New("outcome unknown")

// ErrRingLost is why an operation was cancelled that was with the kernel when
// the ring owner failed: by the policy, or at the deadline of the drain.
var ErrRingLost = errors.New("ring was given up")

// OpError is the error of one operation: what was being done, to what, and
// why it failed. It matches its Err, and fs.ErrNotExist and its like, with
// errors.Is.
type OpError struct {
	// Op is the operation's name.
	Op string
	// Path is what it was done to, if it has a name.
	Path string
	// Err is the cause: a syscall.Errno from the kernel, or one of this
	// package's errors.
	Err error
	// Why is nil, or ErrRefused, with which nothing was done, or the reason for
	// which the operation was cancelled, with which it may have been done in
	// part: context.Canceled, context.DeadlineExceeded, ErrStopped,
	// ErrRingLost or ErrUnavailable.
	Why error
}

// Error reads as in "open /etc/x: no such file or directory".
func (e *OpError) Error() string {
	text := e.Op
	if e.Path != "" {
		text += " " + e.Path
	}
	if e.Why != nil {
		text += ": " + e.Why.Error()
	}
	return text + ": " + e.Err.Error()
}

// Unwrap gives the cause and the reason.
func (e *OpError) Unwrap() []error {
	if e.Why == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Why}
}

// Timeout reports whether a deadline ended the operation, as net.Error does.
func (e *OpError) Timeout() bool { return errors.Is(e.Why, context.DeadlineExceeded) }

// Errno gives the kernel's errno, or 0 when the cause is not one.
func (e *OpError) Errno() syscall.Errno {
	errno, _ := e.Err.(syscall.Errno)
	return errno
}

// wrapped is a sentinel that also is one of the standard library's.
type wrapped struct {
	text string
	is   error
}

func (w wrapped) Error() string { return w.text }
func (w wrapped) Unwrap() error { return w.is }
