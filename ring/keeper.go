package ring

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
)

// keeper is a ring that performs nothing and is never closed: each thread that
// submits has entered it first, so that no thread ever loses its last ring.
//
// When a thread does, a kernel that has exit-on-idle workers (Linux 7.0, and
// stable ones such as 6.18.44) has all of that thread's workers exit. It counts
// one of them twice at times, and then never makes another: what the thread
// submits later for workers to perform waits for ever, whatever the ring. Seen
// once in some five minutes of a ring lost every 20 ms on a loaded machine.
//
// It costs a process one descriptor, which is there from the first Open on.
type keeper struct {
	fd int
	// joined holds the threads that have entered, at their number modulo its
	// size. One that is not there any more, or whose place another has taken,
	// enters again, which does no harm. A thread that got the number of one
	// that has ended is taken for that one; numbers come round after thousands
	// of threads at the least, and it may then still have other rings.
	joined [1024]atomic.Uint32
}

// theKeeper is the process's.
var theKeeper struct {
	sync.Mutex
	*keeper
}

// keeperFor opens the keeper if there is none. A thread's workers are bounded by
// the first ring it enters, so it is by those options.
func keeperFor(options Options) (*keeper, error) {
	theKeeper.Lock()
	defer theKeeper.Unlock()
	if theKeeper.keeper != nil {
		return theKeeper.keeper, nil
	}
	fd, err := sys.Kernel{}.Setup(entriesDefault, &sys.Params{Flags: sys.SetupClamp})
	if err != nil {
		return nil, fmt.Errorf("io_uring_setup of the ring that keeps threads' workers: %w", err)
	}
	if err := boundWorkers(sys.Kernel{}, fd, options); err != nil {
		return nil, errors.Join(err, sys.Kernel{}.Close(fd))
	}
	theKeeper.keeper = &keeper{fd: fd}
	return theKeeper.keeper, nil
}

// join has the calling thread enter, if it has not. It reports whether that took
// a call.
// REQUIRES: the goroutine is locked to its thread.
func (k *keeper) join() bool {
	thread := sys.Kernel{}.Thread()
	place := &k.joined[thread%uint32(len(k.joined))]
	if place.Load() == thread {
		return false
	}
	// There is nothing to submit: what counts is that the thread would.
	if _, err := (sys.Kernel{}).Enter(k.fd, 1, 0); err == nil {
		place.Store(thread)
	}
	return true
}

// enterCall is one call of io_uring_enter.
func (r *Ring) enterCall(submit, flags uint32) error {
	if submit > 0 && r.keeper != nil {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if r.keeper.join() {
			r.enters.Add(1)
		}
	}
	r.enters.Add(1)
	_, err := r.calls.Enter(r.fd, submit, flags)
	if flags&sys.EnterGetEvents != 0 && err == nil {
		r.foreign.Store(r.sq.flags.Load()&sys.SQTaskrun != 0)
	}
	return err
}
