package sim

import (
	"iter"
	"runtime"
	"runtime/debug"
)

// thread is a stack for tasks. A task that does not come to its end at once, for
// it hangs or is preempted, stays on its thread while others run on theirs.
// Still only one of them runs at a time: they are coroutines.
type thread struct {
	task   func()
	strand *strand
	// next has the thread run its task, and reports whether that has ended; stop
	// ends the thread.
	next func() (ended, ok bool)
	stop func()
	// yield ends the thread's turn. It reports false when the thread is to end.
	yield  func(ended bool) bool
	parked bool
}

// begin runs a task on a thread.
func (w *World) begin(s *strand, f func()) {
	var t *thread
	if n := len(w.spare); n > 0 {
		t, w.spare = w.spare[n-1], w.spare[:n-1]
	} else {
		t = w.newThread()
		w.all = append(w.all, t)
	}
	t.strand, t.task = s, f
	w.resume(t)
}

func (w *World) newThread() *thread {
	t := &thread{}
	t.next, t.stop = iter.Pull(func(yield func(bool) bool) {
		t.yield = yield
		for again := true; again; again = yield(true) {
			w.perform(t)
		}
	})
	return t
}

// perform runs a thread's task. One that panics would have ended the program.
func (w *World) perform(t *thread) {
	defer func() {
		t.task = nil
		if r := recover(); r != nil {
			w.Violate("a task failed: %v\n%s", r, debug.Stack())
		}
	}()
	t.task()
}

// resume has a thread run until its task has ended or is parked.
func (w *World) resume(t *thread) {
	w.running = t
	defer func() { w.running = nil }()
	if ended, _ := t.next(); ended {
		w.spare = append(w.spare, t)
		w.ran(t.strand)
	}
}

// park ends the turn of the running task. It goes on some time after the
// function that arm is given was called. What is no task is not parked.
func (w *World) park(arm func(wake func())) {
	t := w.running
	if t == nil {
		return
	}
	woken := false
	arm(func() {
		if !woken {
			woken = true
			w.enqueue(&strand{parked: t, pinned: t.strand.pinned})
		}
	})
	t.parked = true
	if !t.yield(false) {
		runtime.Goexit() // the world ends
	}
	t.parked = false
}

// Preempt lets others run before the running task goes on, now and then.
func (w *World) Preempt() {
	if w.running != nil && w.order.Chance(w.plain(w.Profile.Preempt)) {
		w.park(func(wake func()) { wake() })
	}
}

// Close ends a world, and with it the tasks that have not ended. It is for those
// who are done with one.
func (w *World) Close() {
	for _, t := range w.all {
		if !t.parked {
			t.stop()
			continue
		}
		// Its end is that of whoever ends it, too.
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			t.stop()
		}()
		<-ended
	}
}
