package portable

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// operation is a request that did not end inside the Enter that consumed it. It
// refers to the request's memory until it has ended.
//
// It belongs to whoever its place says: under Kernel.mu to all, except that in
// a call (placeCall, placeAwait) the caller alone touches request, route,
// manner, vain and fifo.
type operation struct {
	name    ring.UserData
	request ring.Request
	place   place
	route   route
	fifo    bool   // with routeReady: what is written must be portioned
	events  uint32 // that it waits for
	since   uint64 // the first arming of its descriptor that was for it, too
	vain    uint8  // how often it was told of others only
	manner  manner // how it waits for its descriptor
	// cancelled: it was in a call when somebody asked for that. It does not
	// begin to wait any more.
	cancelled bool
	wake      *wake // ends its waiting, at placeAwait

	next, prev *operation // in the list that its place says
	begun      time.Time  // the worker's call
	stuck      bool       // the crew does not count on its worker

	// other is of an operation its link timeout, and of a link timeout its
	// operation.
	other *operation
	timer *time.Timer
	// spent says that the timer may yet call for what has ended: the operation
	// cannot be used again.
	spent bool
}

// place is where an operation is.
type place uint8

const (
	placeNone  place = iota
	placeQueue       // in the crew's queue
	placeCall        // in a call: a worker's, or an attempt that does not wait
	placeAwait       // a worker waits for its descriptor to be ready, or is asking whether it is
	placeWatch       // waits for its descriptor to be ready
	placeDue         // it is, and the teller will try it
	placeTimer       // a timeout
	placeLimit       // a link timeout
)

// begin makes an operation of a request, or gives nil when the kernel is
// closed.
// REQUIRES: k.mu.
func (k *Kernel) begin(name ring.UserData, r *ring.Request) *operation {
	if k.presence.closed() {
		return nil
	}
	o := k.spares.take()
	o.name, o.request, o.place = name, *r, placeCall
	return o
}

// settle goes on with an operation after a call or an attempt. It reports false
// when the kernel is closed and nobody wants to know.
// REQUIRES: k.mu.
func (k *Kernel) settle(o *operation, res int32, v verdict) bool {
	if k.presence.closed() {
		return false
	}
	switch v {
	case ended:
		if res > 0 && o.route != routeNone && transfers(o.request.Code) {
			k.moved(&o.request)
		}
		k.finish(o, res)
	case blocks, waits:
		switch {
		case o.cancelled: // nothing has come of it so far
			k.finish(o, -int32(unix.ECANCELED))
		case v == blocks || o.manner == mannerWorker:
			k.enqueue(o)
		default:
			k.watch(o)
		}
	}
	return true
}

// undo is for the result of a call that nobody will hear of.
func (o *operation) undo(res int32) {
	if o.request.Code == ring.CodeOpen && res >= 0 {
		_ = closeFD(res)
	}
}

// finish tells the result of an operation, which is in no list any more.
// REQUIRES: k.mu, and k is not closed.
func (k *Kernel) finish(o *operation, res int32) {
	if k.pending[o.name] == o {
		delete(k.pending, o.name)
	}
	k.postLocked(completion{
		CQE:    ring.CQE{UserData: o.name, Res: res},
		opened: o.request.Code == ring.CodeOpen,
	})
	if limit := o.other; limit != nil && o.place != placeLimit { // it was not needed
		limit.other = nil
		limit.timerStop()
		k.finish(limit, -int32(unix.ECANCELED))
	}
	k.spares.put(o)
}

// cancel ends an operation if it is not in a call, and gives the result of the
// Cancel. One that only waits in its call is woken, and ends; whether it only
// waits nobody can tell, as what it asks may hang.
// REQUIRES: k.mu, and k is not closed.
func (k *Kernel) cancel(name ring.UserData) int32 {
	o := k.pending[name]
	if o == nil {
		return -int32(unix.ENOENT)
	}
	switch o.place {
	case placeQueue:
		k.crew.queue.remove(o)
	case placeWatch:
		k.unwatch(o)
	case placeDue:
		k.teller.due.remove(o)
	case placeTimer:
		o.timerStop()
	case placeCall:
		o.cancelled = true
		return -int32(unix.EALREADY)
	case placeAwait:
		if !o.cancelled {
			o.cancelled = true
			o.wake.up()
		}
		return -int32(unix.EALREADY)
	default:
		return -int32(unix.EALREADY)
	}
	k.finish(o, -int32(unix.ECANCELED))
	return 0
}

// list is a list of operations through the links in them.
type list struct {
	first, last *operation
	length      int
}

func (l *list) push(o *operation) {
	o.next, o.prev = nil, l.last
	if l.last == nil {
		l.first = o
	} else {
		l.last.next = o
	}
	l.last = o
	l.length++
}

func (l *list) pushFront(o *operation) {
	if l.first == nil {
		l.push(o)
		return
	}
	o.next, o.prev = l.first, nil
	l.first.prev = o
	l.first = o
	l.length++
}

func (l *list) remove(o *operation) {
	if o.prev == nil {
		l.first = o.next
	} else {
		o.prev.next = o.next
	}
	if o.next == nil {
		l.last = o.prev
	} else {
		o.next.prev = o.prev
	}
	o.next, o.prev = nil, nil
	l.length--
}

// pop takes the oldest, or gives nil.
func (l *list) pop() *operation {
	o := l.first
	if o != nil {
		l.remove(o)
	}
	return o
}

// spares are operations to be used again, so that the steady state allocates
// nothing.
type spares struct {
	free   *operation
	length int
}

// sparesMax bounds what a burst leaves behind.
const sparesMax = 4096

func (s *spares) take() *operation {
	o := s.free
	if o == nil {
		return new(operation)
	}
	s.free, o.next = o.next, nil
	s.length--
	return o
}

// put takes an operation that nothing refers to. It keeps its timer.
func (s *spares) put(o *operation) {
	if o.spent || s.length == sparesMax {
		*o = operation{spent: o.spent} // what it referred to is let go of
		return
	}
	*o = operation{timer: o.timer, next: s.free}
	s.free = o
	s.length++
}
