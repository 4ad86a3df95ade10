package ring

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
)

var _ Kernel = (*Ring)(nil)

// Ring is one io_uring of the running kernel.
//
// Only the holder of the run token uses it, as [Kernel] says, with these
// additions. Backlog, Enters, Supports, Dropped and Overflowed may be called by
// anyone at any time, beside Close too: a runner looks at the backlog once more
// after it has given up the token.
//
// An Enter that hangs in a driver has the kernel's lock of the ring: whoever
// submits, flushes the overflow list or runs task work of that ring hangs behind
// it. So Backlog counts nothing then that only another Enter would bring. What
// kernel workers complete is seen by Peek all the same.
type Ring struct {
	calls  kernelCalls
	fd     int
	keeper *keeper // nil in tests
	bell   *sys.Bell
	canary *canary

	mem, sqes []byte // mappings; sq and cq point into them
	sq        submissionQueue
	cq        completionQueue
	supports  codeSet

	state  atomic.Uint32 // who is inside; see hold
	enters atomic.Uint64
	// foreign says that the task work which IORING_SQ_TASKRUN announces was
	// still there after an enter that ran its own: it belongs to another
	// thread, and no enter of ours will bring it.
	foreign atomic.Bool
}

// kernelCalls are the system calls of a ring. Tests put a kernel of their own
// behind them.
type kernelCalls interface {
	Setup(entries uint32, params *sys.Params) (fd int, err error)
	Enter(fd int, submit, flags uint32) (int, error)
	Probe(fd int, probe *sys.Probe) error
	LimitWorkers(fd int, workers *[2]uint32) error
	RegisterFile(fd, file int) error
	RegisterEventfd(fd, eventfd int) error
	Pipe() (r, w int, err error)
	Eventfd() (int, error)
	Map(fd int, offset int64, size int) ([]byte, error)
	DontFork(mem []byte) error
	Unmap(mem []byte) error
	Close(fd int) error
}

// The bits of Ring.state.
const (
	stateClosed     = 1 << 0
	stateSubmitting = 1 << 1
	stateInside     = 1 << 2 // for each that may touch the mapping, counted upwards
)

// interruptsMax bounds how often one Enter repeats a call that a signal
// interrupted, before it says ErrBusy.
const interruptsMax = 1000

// Push implements [Kernel].
func (r *Ring) Push(name UserData, req *Request) bool {
	return !r.closed() && r.sq.push(name, req)
}

// Unsubmitted implements [Kernel].
func (r *Ring) Unsubmitted() int {
	if r.closed() {
		return 0
	}
	return int(r.sq.pending())
}

// TakeBack implements [Kernel]. It is to be called before Close: after it, the
// queue is gone.
func (r *Ring) TakeBack(back func(UserData)) {
	if !r.closed() {
		r.sq.takeBack(back)
	}
}

// Peek implements [Kernel].
func (r *Ring) Peek() (CQE, bool) {
	if r.closed() {
		return CQE{}, false
	}
	return r.cq.peek()
}

// Advance implements [Kernel].
func (r *Ring) Advance() {
	if !r.closed() {
		r.cq.advance()
	}
}

// Backlog implements [Kernel]. Task work that waits for another thread than
// those that have entered last is not counted: it comes by itself, and signals.
// What only an Enter brings is not counted while one is under way.
func (r *Ring) Backlog() bool {
	if !r.hold(stateInside) {
		return false
	}
	defer r.release(stateInside)
	return r.cq.ready() != 0 || r.state.Load()&stateSubmitting == 0 && r.enterFlags() != 0
}

// Mask implements [Kernel]. The flags word is written by us alone.
func (r *Ring) Mask() {
	if !r.closed() {
		r.cq.flags.Store(sys.CQEventfdDisabled)
	}
}

// Unmask implements [Kernel].
func (r *Ring) Unmask() {
	if !r.closed() {
		r.cq.flags.Store(0)
	}
}

// Wait implements [Kernel]. ready must not call Close, which waits for it.
func (r *Ring) Wait(ready func()) { r.bell.Wait(ready) }

// Enters implements [Kernel].
func (r *Ring) Enters() uint64 { return r.enters.Load() }

// Supports implements [Kernel].
func (r *Ring) Supports(code Code) bool { return r.supports.has(code) }

// Entries is how many requests the submission queue holds.
func (r *Ring) Entries() int { return len(r.sq.entries) }

// Completions is how many completions fit the queue before the kernel puts
// them on its overflow list.
func (r *Ring) Completions() int { return len(r.cq.entries) }

// Dropped is how many submissions the kernel threw away as malformed; more
// than none is fatal, and a bug of ours.
func (r *Ring) Dropped() uint32 {
	if !r.hold(stateInside) {
		return 0
	}
	defer r.release(stateInside)
	return r.sq.dropped.Load()
}

// Overflowed is how many completions the kernel lost for want of memory; more
// than none is fatal.
func (r *Ring) Overflowed() uint32 {
	if !r.hold(stateInside) {
		return 0
	}
	defer r.release(stateInside)
	return r.cq.overflow.Load()
}

// Enter implements [Kernel]. It makes no system call when nothing is pushed
// and nothing waits inside the kernel.
func (r *Ring) Enter() (int, error) {
	const weight = stateInside | stateSubmitting
	if !r.hold(weight) {
		return 0, r.fatal(os.ErrClosed)
	}
	defer r.release(weight)
	if err := r.enterLost(); err != nil {
		return 0, err
	}
	return r.enterSubmit()
}

// enterLost says whether the kernel has lost a submission or a completion, so
// that what is in flight is not known any more.
func (r *Ring) enterLost() error {
	if n := r.cq.overflow.Load(); n != 0 {
		return r.fatal(fmt.Errorf("%d completions lost: %w", n, sys.EBADR))
	}
	if n := r.sq.dropped.Load(); n != 0 {
		return r.fatal(fmt.Errorf("%d submissions dropped: %w", n, sys.EBADR))
	}
	return nil
}

// enterSubmit repeats the call as long as the kernel consumes some and not
// all. What it consumed, its head says: the return value counts less when it
// gives an error, and a call that is interrupted may have consumed some.
func (r *Ring) enterSubmit() (consumed int, err error) {
	for interrupts := 0; interrupts < interruptsMax; {
		pending, flags := r.sq.publish(), r.enterFlags()
		if pending == 0 && flags == 0 {
			return consumed, nil
		}
		err := r.enterCall(pending, flags)
		taken := pending - r.sq.pending()
		consumed += int(taken)
		switch {
		case err == syscall.EINTR:
			interrupts++
		case err != nil && err != syscall.EAGAIN && err != syscall.EBUSY:
			return consumed, r.fatal(err)
		case err == nil && taken == pending:
			return consumed, nil
		case taken == 0:
			return consumed, r.enterRefused(flags)
		}
	}
	return consumed, ErrBusy
}

// enterRefused is for when the kernel takes nothing now. It leaves such a call
// without looking at its overflow list, which holds what would make room.
func (r *Ring) enterRefused(flags uint32) error {
	if err := r.enterFlush(flags); err != nil {
		return err
	}
	return ErrBusy
}

// enterFlush brings what waits inside the kernel, and submits nothing.
func (r *Ring) enterFlush(flags uint32) error {
	if flags == 0 {
		return nil
	}
	for range interruptsMax {
		switch err := r.enterCall(0, flags); err {
		case nil:
			return nil
		case syscall.EINTR:
		case syscall.EAGAIN, syscall.EBUSY:
			return ErrBusy
		default:
			return r.fatal(err)
		}
	}
	return ErrBusy
}

// enterFlags are the flags with which the kernel is to be entered: with
// GETEVENTS if only that will bring something. Otherwise the call is spared
// the work.
func (r *Ring) enterFlags() uint32 {
	flags := r.sq.flags.Load()
	if flags&sys.SQTaskrun == 0 {
		if r.foreign.Load() {
			r.foreign.Store(false)
		}
	} else if !r.foreign.Load() {
		return sys.EnterGetEvents
	}
	if flags&sys.SQCQOverflow != 0 {
		return sys.EnterGetEvents
	}
	return 0
}

func (r *Ring) fatal(err error) error { return &FatalError{Doing: "io_uring_enter", Err: err} }

// hold counts one in that is going to touch the mapping, so that Close leaves
// it where it is, with stateSubmitting if it is to enter the kernel. It refuses
// when the ring is closed.
func (r *Ring) hold(weight uint32) bool {
	for {
		old := r.state.Load()
		if old&stateClosed != 0 {
			return false
		}
		if r.state.CompareAndSwap(old, old+weight) {
			return true
		}
	}
}

// release counts one out. The last one to leave a closed ring takes it down.
func (r *Ring) release(weight uint32) {
	if r.state.Add(-weight) == stateClosed {
		// Nobody is left to tell of an error: Close has long returned.
		_ = r.takeDown()
	}
}

// closed is enough for the holder of the run token, beside whom nobody closes.
func (r *Ring) closed() bool { return r.state.Load()&stateClosed != 0 }

// Close implements [Kernel]. It undoes what Open did, in reverse, and cancels
// nothing by itself; the kernel takes the ring down on its own time. While an
// Enter hangs, the mapping stays until that one leaves. Close waits for a ready
// function of Wait that is running.
func (r *Ring) Close() error {
	for {
		old := r.state.Load()
		if old&stateClosed != 0 {
			return nil
		}
		if !r.state.CompareAndSwap(old, old|stateClosed) {
			continue
		}
		err := r.bell.Close()
		if old == 0 {
			err = errors.Join(err, r.takeDown())
		}
		return err
	}
}

// takeDown gives up mappings and descriptor. The kernel holds the ring until
// both are gone. Nobody is inside any more, so that no further request will be
// outstanding than the queues say now.
func (r *Ring) takeDown() (err error) {
	if r.sq.consumed() == r.cq.ended() {
		err = r.canary.close()
	}
	return errors.Join(
		err,
		r.calls.Unmap(r.sqes),
		r.calls.Unmap(r.mem),
		r.calls.Close(r.fd),
	)
}

// AwaitGone implements [Kernel]. It may be called before Close, beside it and
// after it. A ring with requests outstanding keeps a descriptor beyond Close,
// until AwaitGone has seen their end; if nobody asks, until the Ring is garbage.
//
// That end may come late, though never early: the kernel also waits until each
// thread that has entered the ring is next on its way out of the kernel.
func (r *Ring) AwaitGone(gone func()) {
	if r.canary.wait() {
		gone()
	}
}
