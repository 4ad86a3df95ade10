package sim

import (
	"container/heap"
	"time"
)

// The methods of this file are those of a crew: who does the work of the user
// of a kernel, and when. They have the shapes that such a user wants, so that
// one needs but an adapter.

// Now is the virtual time.
func (w *World) Now() time.Time { return w.now }

// AfterFunc has f run when d has passed, unless it is stopped before.
func (w *World) AfterFunc(d time.Duration, f func()) *Timer {
	w.sequence++
	t := &Timer{world: w, when: w.now.Add(max(d, 0)), sequence: w.sequence, f: f}
	heap.Push(&w.timers, t)
	return t
}

// Go has f run soon.
func (w *World) Go(f func()) { w.give(&strand{}, f) }

// Random is any number.
func (w *World) Random() uint64 { return uint64(w.order.Pick(1 << 30)) }

// Hire gives a worker, on a thread of its own if it is pinned.
func (w *World) Hire(pinned bool) *Worker {
	w.hired++
	return &Worker{world: w, strand: strand{pinned: pinned}}
}

// Hired is how many workers were hired and not dismissed.
func (w *World) Hired() int { return w.hired }

// Timer is what AfterFunc gives.
type Timer struct {
	world    *World
	when     time.Time
	sequence uint64
	at       int // place in the heap, or -1
	f        func()
}

// Stop reports whether it came before the timer had run.
func (t *Timer) Stop() bool {
	if t.at < 0 {
		return false
	}
	heap.Remove(&t.world.timers, t.at)
	return true
}

// Worker is a sequence of tasks.
type Worker struct {
	world     *World
	strand    strand
	dismissed bool
}

// tasksMax is how many tasks may wait for one worker: one more while the last
// is ending, and the one that is its last.
const tasksMax = 2

// Do has the worker run f after what it was given before.
func (k *Worker) Do(f func()) {
	switch {
	case k.dismissed:
		k.world.Violate("a worker was given a task after it was dismissed")
	case len(k.strand.tasks) >= tasksMax:
		k.world.Violate("a worker has %d tasks waiting", len(k.strand.tasks)+1)
	}
	k.world.give(&k.strand, f)
}

// Dismiss ends the worker after what it was given.
func (k *Worker) Dismiss() {
	if k.dismissed {
		k.world.Violate("a worker was dismissed twice")
		return
	}
	k.dismissed = true
	k.world.hired--
}

// timerHeap has the timer that ends first at its top.
type timerHeap []*Timer

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool {
	if h[i].when.Equal(h[j].when) {
		return h[i].sequence < h[j].sequence
	}
	return h[i].when.Before(h[j].when)
}

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push implements heap.Interface.
func (h *timerHeap) Push(x any) {
	t := x.(*Timer)
	t.at = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.at = -1
	return t
}
