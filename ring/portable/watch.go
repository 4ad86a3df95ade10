package portable

import (
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// readiness tells when descriptors are ready. Arming one replaces what it was
// armed for; it is told of once, by Kernel.told, and tells nothing more then,
// but may occupy something until it is disarmed. What is told names the arming,
// of those for that descriptor, that it comes of: it was ready at some time
// after that. It has room for half of an arming's number.
//
// arm, disarm and pollable are called with Kernel.mu held, and not after stop,
// which is called without. When that returns, the descriptors of its own are
// closed, and who tells will leave as soon as he has tried what he is trying.
type readiness interface {
	// arm answers EPERM where there is nothing to wait for.
	arm(fd int32, events, arming uint32) error
	disarm(fd int32)
	// pollable is Kernel.pollable, for what is not armed.
	pollable(fd int32) bool
	// run tries what is due (Kernel.tryDue) and tells, by turns, until the
	// former says that another does. It is the whole of a goroutine that presence counts.
	run()
	stop()
}

// watches are what waits for one descriptor.
type watches struct {
	list
	events uint32 // what any of them waits for, or did
	arming uint64 // the last one
}

// whole is the arming of which only the lower half was told: the last of that
// descriptor, or one before it that may have been told of later.
func (w *watches) whole(arming uint32) uint64 { return w.arming - uint64(uint32(w.arming)-arming) }

// watch has an operation wait for its descriptor.
// REQUIRES: k.mu, and k is not closed.
func (k *Kernel) watch(o *operation) {
	w := k.watches[o.request.FD]
	w.events |= o.events
	switch err := k.arm(o.request.FD, &w); {
	case err == nil:
		o.place, o.since = placeWatch, w.arming
		if o.request.Code == ring.CodePoll {
			w.pushFront(o) // it takes nothing away that the others wait for
		} else {
			w.push(o)
		}
		k.watches[o.request.FD] = w
		k.pending[o.name] = o
	case err == unix.ENOSPC || err == unix.ENOMEM: // of entries, which are limited for each user
		o.manner = mannerWorker
		k.enqueue(o)
	case err != unix.EPERM:
		k.finish(o, result(0, err))
	case o.request.Code == ring.CodePoll:
		k.finish(o, -int32(unix.EINVAL))
	default:
		o.route = routeFile
		k.enqueue(o)
	}
}

// arm arms a descriptor for what waits for it.
// REQUIRES: k.mu, and k is not closed.
func (k *Kernel) arm(fd int32, w *watches) error {
	k.armings++
	w.arming = k.armings
	return k.readiness.arm(fd, w.events, uint32(w.arming))
}

// unwatch ends that. Others that wait for the same descriptor may be told
// without a cause.
// REQUIRES: k.mu, and k is not closed.
func (k *Kernel) unwatch(o *operation) {
	fd := o.request.FD
	w := k.watches[fd]
	w.remove(o)
	if w.length > 0 {
		k.watches[fd] = w
		return
	}
	delete(k.watches, fd)
	k.readiness.disarm(fd)
}

// told is for when a descriptor is ready: the polls that wait for that have
// ended, the transfers are due, and the rest goes on waiting.
func (k *Kernel) told(fd int32, events, arming uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w := k.watches[fd]
	if k.presence.closed() || w.length == 0 {
		return
	}
	w.events = 0
	for o := w.first; o != nil; {
		next := o.next
		switch {
		case !o.concerned(events, w.whole(arming)):
			w.events |= o.events
		case o.request.Code == ring.CodePoll && events&unix.POLLNVAL == 0:
			w.remove(o)
			k.finish(o, int32(events&(o.events|eventsAlways)))
		default:
			w.remove(o)
			o.judge(events)
			k.due(o)
		}
		o = next
	}
	if w.length == 0 {
		delete(k.watches, fd)
		k.readiness.disarm(fd)
		return
	}
	err := k.arm(fd, &w)
	k.watches[fd] = w
	if err != nil { // it is not what it was
		delete(k.watches, fd)
		k.readiness.disarm(fd)
		for o := w.pop(); o != nil; o = w.pop() {
			k.due(o) // the attempt will tell
		}
	}
}

// due has the teller try an operation.
// REQUIRES: k.mu.
func (k *Kernel) due(o *operation) {
	o.place = placeDue
	k.teller.due.push(o)
}

// moved is for a stream on which a transfer has moved something: it was ready.
// The polls that wait for that have ended, though there may be nothing left that
// they could be told of.
// REQUIRES: k.mu, and k is not closed.
func (k *Kernel) moved(r *ring.Request) {
	events := uint32(unix.POLLIN)
	if writes(r.Code) {
		events = unix.POLLOUT
	}
	w := k.watches[r.FD]
	for o := w.first; o != nil && o.request.Code == ring.CodePoll; { // they are in front
		next := o.next
		if o.events&events != 0 {
			k.unwatch(o)
			k.finish(o, int32(events))
		}
		o = next
	}
}

// concerned reports whether an operation waited for one of these events when
// they were there. For one that began to wait later they may be those of a file
// that had its descriptor before, and what is there is told of again.
//
// A poll that is concerned has ended, even if somebody has taken by now what
// there was: a ring's poll ends when the descriptor is ready, not when it is
// looked at.
func (o *operation) concerned(events uint32, arming uint64) bool {
	return arming >= o.since && events&(o.events|eventsAlways) != 0
}

// vainMax is how often an operation is tried because of an error or a hang-up
// alone, which may be there to stay and be none of its business: a socket's
// error queue is told of until somebody reads it. A worker waits then.
const vainMax = 128

// judge sends an operation to a worker that is told of the wrong things only.
func (o *operation) judge(events uint32) {
	if events&o.events != 0 {
		o.vain = 0
		return
	}
	if o.vain++; o.vain == vainMax && o.route != routeNone {
		o.route = routeFile
	}
}
