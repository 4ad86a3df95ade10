package actors

import (
	"runtime"
	"sync"
)

// pinnedThread is the thread that issues what must be issued by one that is
// always there: operations that end by task work of their issuer, such as
// reads of pipes, polls, timers and O_DIRECT. Between its turns it is parked,
// and the kernel wakes it for that work.
//
// It lives as long as its ring: when a thread ends, the kernel cancels what it
// issued.
type pinnedThread struct {
	calls chan struct{} // capacity 1
}

// startPinned starts the thread of a ring; group counts it.
func startPinned(d *drive, group *sync.WaitGroup) *pinnedThread {
	t := &pinnedThread{calls: make(chan struct{}, 1)}
	group.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread() // nothing of it is in flight any more
		for range t.calls {
			// Lock, not TryLock: this work is nobody else's, and the mutex is
			// fair to who waits long.
			d.token.Lock()
			d.enterBurst()
			d.engine.counters.Pinned++
			d.run(t)
		}
	})
	return t
}

// call has the thread take a turn.
func (t *pinnedThread) call() {
	select {
	case t.calls <- struct{}{}:
	default: // it has been called, and has not come yet
	}
}

// stop ends the thread, when its ring is closed.
func (t *pinnedThread) stop() { close(t.calls) }
