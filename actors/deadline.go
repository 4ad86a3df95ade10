package actors

import (
	"container/heap"
	"time"
)

// deadlines is the heap of the operations that have one, the nearest first. One
// alarm is set for them all. It is not the kernel's: a ring's timer ends by task
// work of the thread that issued it, which may hang by then, and there may be no
// ring, or a busy one.
type deadlines []*extra

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].deadline.Before(d[j].deadline) }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].heapAt, d[j].heapAt = i, j
}

// Push implements heap.Interface.
func (d *deadlines) Push(x any) {
	item := x.(*extra)
	item.heapAt = len(*d)
	*d = append(*d, item)
}

// Pop implements heap.Interface.
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	item := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	item.heapAt = -1
	return item
}

func (e *engine) deadlineSet(i uint32, p *operation, at time.Time) {
	x := p.more(i)
	x.deadline = at
	heap.Push(&e.heap, x)
}

func (e *engine) deadlineClear(p *operation) {
	if p.extra != nil && p.extra.heapAt >= 0 {
		heap.Remove(&e.heap, p.extra.heapAt)
	}
}

// past reports whether an operation's deadline has come before it was issued.
func (e *engine) past(i uint32) bool {
	p := e.table.Payload(i)
	return p.extra != nil && p.extra.heapAt >= 0 && !p.isClose() && !p.extra.deadline.After(e.crew.Now())
}

// expire asks for the cancellation of what is past its deadline, when it is time.
func (e *engine) expire() {
	if !e.nearest.rang() {
		return
	}
	now := e.crew.Now()
	for len(e.heap) > 0 && !e.heap[0].deadline.After(now) {
		x := heap.Pop(&e.heap).(*extra)
		e.cancelSlot(x.slot, reasonDeadline)
	}
}

// nearest is set to the nearest deadline, or to an earlier time.
type nearest struct {
	alarm
	at time.Time
}

// timeDeadlines sees to it that the engine is looked at when the nearest deadline
// has come. One that ended in time leaves the alarm as it is: it rings for
// nothing, once.
func (e *engine) timeDeadlines() {
	n := &e.nearest
	if len(e.heap) == 0 || e.closing == gone || n.set && !e.heap[0].deadline.Before(n.at) {
		return
	}
	n.at = e.heap[0].deadline
	e.setAlarm(&n.alarm, max(n.at.Sub(e.crew.Now()), 0))
}
