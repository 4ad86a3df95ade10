package actors

import (
	"container/list"
	"time"

	"github.com/ringmaster-io/ringmaster/messages"
)

// hunger is the owners that were refused for want of room, of all there is or of
// their own quota, in turn, and are to be told when there is some. Each is judged by
// its own rule (see fair): what is room for one that holds little is none for one
// that holds much, and what never ends of others may keep the latter waiting for
// ever, but not the former.
type hunger struct {
	alarm
	owners list.List
}

// feedAfter is how long one that would be refused again soon is not told of the
// little room that there is, lest it come for each slot with all that it has.
// Longer than that nobody waits: it may be all the room there will ever be.
const feedAfter = 10 * time.Millisecond

// starve remembers whom to tell when there is room again. That is for actors only:
// an Await that was refused has ended, and would not take the slot that its client
// is told of; a future must not be sent two messages.
func (e *engine) starve(owner *party) {
	if owner.starved == nil && owner.mortal && !owner.gone {
		owner.starved = e.hunger.owners.PushBack(owner)
		owner.uses++
		e.watch(owner) // it may have nothing else here, and is not to be kept when it ends
	}
}

// sate is for one that has been told, or that nothing can be told any more.
func (e *engine) sate(p *party) {
	if p.starved != nil {
		e.hunger.owners.Remove(p.starved)
		p.starved = nil
		e.unuse(p)
	}
}

// feed tells those who were refused that there is room again: of those for whom
// there is some, no more at a time than there are slots.
func (e *engine) feed() {
	e.feedFlooded()
	if e.hunger.owners.Len() == 0 {
		return
	}
	late := e.hunger.rang()
	owed := false
	taken := e.table.Live()
	for at := e.hunger.owners.Front(); at != nil; {
		p := at.Value.(*party)
		at = at.Next()
		switch {
		case taken >= e.accepts():
			at = nil
			owed = owed || taken > e.table.Live() // those who were told may not come
		case !e.hasRoom(p, taken):
			owed = owed || e.hasRoom(p, e.table.Live()) // as above
		case late || e.hasPlenty(p, taken):
			taken++
			p.send(&messages.Ready{})
			e.sate(p)
		default:
			owed = true
		}
	}
	if owed {
		e.feedLater()
	}
}

// hasRoom reports whether an owner would not be refused, if so many slots are taken.
func (e *engine) hasRoom(p *party, taken int) bool {
	return fair(taken, e.accepts(), p.open) && p.open < e.config.OwnerQuota
}

// hasPlenty reports whether it would not be refused soon.
func (e *engine) hasPlenty(p *party, taken int) bool {
	return p.open <= e.config.OwnerQuota*3/4 &&
		(p.open <= few(e.accepts())*3/4 || taken <= anyones(e.accepts())*7/8)
}

// feedLater has those told in a while for whom there is little room.
func (e *engine) feedLater() {
	if !e.hunger.set && e.closing == serving {
		e.setAlarm(&e.hunger.alarm, feedAfter)
	}
}
