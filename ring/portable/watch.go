package portable

import (
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// readiness tells when descriptors are ready. Arming one replaces what it was
// armed for; it is told of once, by Kernel.told, and is not armed any more
// then. It may be told of without a cause, for instance for what it was armed
// for before: whoever hears of it tries, and arms it again.
//
// arm and disarm are called with Kernel.mu held, and not after stop.
type readiness interface {
	// arm answers EPERM where there is nothing to wait for.
	arm(fd int32, events uint32) error
	disarm(fd int32)
	stop()
}

// watch has an operation wait for its descriptor.
// REQUIRES: k.mu, and k is not closed.
func (k *Kernel) watch(o *operation) {
	l := k.watches[o.request.FD]
	switch err := k.readiness.arm(o.request.FD, l.events()|o.events); {
	case err == nil:
		o.place = placeWatch
		if o.request.Code == ring.CodePoll {
			l.pushFront(o) // it takes nothing away that the others wait for
		} else {
			l.push(o)
		}
		k.watches[o.request.FD] = l
		k.pending[o.name] = o
	case err != unix.EPERM:
		k.finish(o, result(0, err))
	case o.request.Code == ring.CodePoll:
		k.finish(o, -int32(unix.EINVAL))
	default:
		o.route = routeFile
		k.enqueue(o)
	}
}

// unwatch ends that. Others that wait for the same descriptor may be told
// without a cause.
// REQUIRES: k.mu, and k is not closed.
func (k *Kernel) unwatch(o *operation) {
	fd := o.request.FD
	l := k.watches[fd]
	l.remove(o)
	if l.length > 0 {
		k.watches[fd] = l
		return
	}
	delete(k.watches, fd)
	k.readiness.disarm(fd)
}

// events are those that any of a list waits for.
func (l *list) events() (events uint32) {
	for o := l.first; o != nil; o = o.next {
		events |= o.events
	}
	return events
}

// told is for when a descriptor is ready: what waits for that is tried, on the
// goroutine that tells.
func (k *Kernel) told(fd int32, events uint32) {
	due := k.toldTake(fd, events)
	for o := due.pop(); o != nil; o = due.pop() {
		k.try(o)
	}
}

// toldTake gives what is to be tried now; the rest goes on waiting.
func (k *Kernel) toldTake(fd int32, events uint32) (due list) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.watches[fd]
	if k.presence.closed() || l.length == 0 {
		return due
	}
	for o := l.first; o != nil; {
		next := o.next
		if events&(o.events|eventsAlways) != 0 {
			l.remove(o)
			o.place = placeCall
			o.judge(events)
			due.push(o)
		}
		o = next
	}
	if l.length == 0 {
		delete(k.watches, fd)
		return due
	}
	k.watches[fd] = l
	if k.readiness.arm(fd, l.events()) != nil { // it is not what it was
		delete(k.watches, fd)
		for o := l.pop(); o != nil; o = l.pop() {
			o.place = placeCall
			due.push(o) // the attempt will tell
		}
	}
	return due
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
