package actors

import (
	"container/heap"
	"time"

	"github.com/ringmaster-io/ringmaster/ring"
)

// deadlines is the heap of the operations that have one, the nearest first.
// The nearest alone has a kernel timer: a timer for each operation would cost
// two entries more in every queue, and could not end one that the kernel has
// not seen.
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

// expire asks for the cancellation of what is past its deadline.
func (e *engine) expire() {
	now := e.crew.Now()
	for len(e.heap) > 0 && !e.heap[0].deadline.After(now) {
		x := heap.Pop(&e.heap).(*extra)
		e.cancelSlot(x.slot, reasonDeadline)
	}
}

// timerWanted reports whether the nearest deadline has no kernel timer yet.
func (e *engine) timerWanted(l *link) bool {
	return len(e.heap) > 0 && (l.armed == 0 || e.heap[0].deadline.Before(l.armedAt))
}

// armTimer starts a kernel timer for the nearest deadline. Timers end by task
// work of the thread that issued them, so it is the pinned one.
func (e *engine) armTimer(l *link) {
	if !e.timerWanted(l) {
		return
	}
	e.timerSeq++
	u := ring.MakeUserData(ring.KindTimer, 0, e.timerSeq)
	request := ring.PrepTimeout(e.heap[0].deadline.Sub(e.crew.Now()))
	if !l.kernel.Push(u, &request) {
		return
	}
	l.requests++
	if l.armed != 0 {
		l.disarm = append(l.disarm, l.armed)
	}
	l.armed, l.armedAt = u, e.heap[0].deadline
}

// outage is set to the nearest deadline while there is no ring to time it.
type outage struct {
	alarm
	at time.Time
}

// timeOutage sets it, or stops it when a ring has come.
func (e *engine) timeOutage() {
	o := &e.outage
	wanted := e.current == nil && len(e.heap) > 0 && e.closing != gone
	if o.set && (!wanted || e.heap[0].deadline.Before(o.at)) {
		o.stop()
	}
	if !wanted || o.set {
		return
	}
	o.at = e.heap[0].deadline
	e.setAlarm(&o.alarm, max(o.at.Sub(e.crew.Now()), 0))
}

// expireOutage is for deadlines that have come while there was no ring.
func (e *engine) expireOutage() {
	if e.outage.rang() {
		e.expire()
	}
}
