package actors

import (
	"time"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// operation is the payload of a slot: all that belongs to one operation from
// its Submit to its end. What the kernel can see of it is in request, which
// nobody changes while the kernel has it.
type operation struct {
	request ring.Request
	submit  *messages.Submit // nil once answered, or when nobody waits
	owner   *party           // nil once the owner has stopped
	reply   *party
	link    *link // the ring that has it or its cancel; nil in the blocking lane or a queue
	file    *file
	extra   *extra
	seq     uint64 // of its OpID
	// ownerIndex tells the owners apart in the index of identities.
	ownerIndex uint32
	slot       uint32 // its place in the lifecycle map

	next, prev   *operation // in the owner's list
	qnext, qprev *operation // in a queue

	res     int32 // result, as a CQE has it
	partial int32 // bytes done by an earlier request; of an Adopt, the flags
	bytes   int32 // that a read may copy when it is issued
	class   class
	queue   queueID
	why     reason
	retries uint8
	turn    bool // it is the one of its direction that is issued
	ended   bool // the kernel is done with it, and so are its files
	counted bool // as completed
	issued  bool // it counts as that on its device
	past    bool // as that it counts no more against its device's bound
	placed  bool // it has a place with the kernel
}

// extra is what few operations need.
type extra struct {
	slot     uint32
	file2    *file
	job      *ring.Job
	deadline time.Time
	heapAt   int // place in the deadline heap, or -1
	waiters  []*cancelWaiter
}

// class says who may issue an operation's request.
type class uint8

const (
	// classAnywhere: it ends inside the enter, or on a kernel worker; any
	// thread may issue it.
	classAnywhere class = iota
	// classPinned: it ends by task work of the thread that issued it, which
	// must therefore be one that is always there.
	classPinned
	// classLane: io_uring has no opcode for it.
	classLane
	// classControl: it is performed by the ring owner itself.
	classControl
)

// reason is why an operation was asked to stop.
type reason uint8

const (
	reasonNone reason = iota
	reasonCancel
	reasonOwner
	reasonDeadline
	reasonShutdown
	reasonRestart
	reasonUnavailable
)

// queueID says which list an operation's queue links are in.
type queueID uint8

const (
	inNone queueID = iota
	inReady
	inPinned
	inDue
	inDevice // in its device's list
	inShare  // in its owner's list
	inParked // in its handle's list: a stream's order, or a close that waits
)

// queue is a list of operations through the links in them, so that queueing
// allocates nothing and leaving it from the middle costs nothing.
type queue struct {
	id         queueID
	head, tail *operation
	length     int
}

func (q *queue) push(p *operation) {
	if p.queue != inNone {
		panic(&ring.InvariantError{What: "operation is in two queues"})
	}
	p.queue, p.qprev, p.qnext = q.id, q.tail, nil
	if q.tail == nil {
		q.head = p
	} else {
		q.tail.qnext = p
	}
	q.tail = p
	q.length++
}

func (q *queue) pushFront(p *operation) {
	if q.head == nil {
		q.push(p)
		return
	}
	p.queue, p.qprev, p.qnext = q.id, nil, q.head
	q.head.qprev = p
	q.head = p
	q.length++
}

func (q *queue) remove(p *operation) {
	if p.qprev == nil {
		q.head = p.qnext
	} else {
		p.qprev.qnext = p.qnext
	}
	if p.qnext == nil {
		q.tail = p.qprev
	} else {
		p.qnext.qprev = p.qprev
	}
	p.queue, p.qnext, p.qprev = inNone, nil, nil
	q.length--
}

// queueOf is the list that an operation is in, unless it is its owner's, or nil.
func (e *engine) queueOf(p *operation) *queue {
	switch p.queue {
	case inReady:
		return &e.ready
	case inPinned:
		return &e.pinned
	case inDue:
		return &e.due
	case inDevice:
		return &e.deviceFor(p).waiting
	case inParked:
		return p.parkedIn()
	default:
		return nil
	}
}

// dequeue takes an operation out of whatever list it is in.
func (e *engine) dequeue(p *operation) {
	if p.queue == inShare {
		e.waitNoMore(p)
	} else if q := e.queueOf(p); q != nil {
		q.remove(p)
	}
}

// more gives the operation its extra part.
func (p *operation) more(i uint32) *extra {
	if p.extra == nil {
		p.extra = &extra{slot: i, heapAt: -1}
	}
	return p.extra
}

// link and unlink keep an owner's list of operations, the latest first.
func (o *party) link(p *operation) {
	p.next, p.prev = o.ops, nil
	if o.ops != nil {
		o.ops.prev = p
	}
	o.ops = p
	o.open++
}

func (o *party) unlink(p *operation) {
	if p.prev == nil {
		o.ops = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	}
	p.next, p.prev = nil, nil
	o.open--
}

// isClose reports whether it is a Close, which differs from the others: it
// holds no file, and nobody can stop it.
func (p *operation) isClose() bool {
	return p.request.Code == ring.CodeClose && p.class < classLane
}

// takeWaiters gives, once, those who asked for its cancellation.
func (p *operation) takeWaiters() []*cancelWaiter {
	if p.extra == nil {
		return nil
	}
	waiters := p.extra.waiters
	p.extra.waiters = nil
	return waiters
}
