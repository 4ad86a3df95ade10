package actors

import "sync/atomic"

// pinnedThread is the thread that issues what must be issued by one that is
// always there: operations that end by task work of their issuer, such as
// reads of pipes, polls, timers and O_DIRECT. Between its turns it is parked,
// and the kernel wakes it for that work.
//
// It lives as long as its ring: when a thread ends, the kernel cancels what it
// issued.
type pinnedThread struct {
	drive  *drive
	worker Worker
	called atomic.Bool
	gone   bool // its ring is closed, or stuck; for the holder of the token
	// take and run are its two tasks, bound once: to get the token, and to run
	// with a token that was handed over.
	take, run func()
}

// startPinned starts the thread of a ring.
func startPinned(d *drive) *pinnedThread {
	t := &pinnedThread{drive: d, worker: d.engine.house.hire(true)}
	t.run = func() {
		d.enterBurst()
		d.engine.counters.Pinned++
		d.run(t)
	}
	t.take = func() {
		t.called.Store(false)
		d.heir.Store(t)
		// If somebody has the token he will hand it over when he leaves: this
		// work is nobody else's.
		if d.token.tryTake() {
			d.heir.CompareAndSwap(t, nil)
			t.run()
		}
	}
	return t
}

// call has the thread take a turn.
func (t *pinnedThread) call() {
	if !t.called.Swap(true) {
		t.worker.Do(t.take)
	}
}

// inherit passes the token to the thread, and reports false if there is no
// thread any more that could take it.
func (t *pinnedThread) inherit() bool {
	if t == nil || t.gone {
		return false
	}
	t.worker.Do(t.run)
	return true
}

// stop ends the thread, when its ring is closed.
func (t *pinnedThread) stop() {
	t.gone = true
	t.drive.engine.house.dismiss(t.worker)
}
