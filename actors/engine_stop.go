package actors

import (
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// beginStop ends the intake. What is in flight is let end, or with cancel is
// asked to stop, and given up after the grace.
func (e *engine) beginStop(cancel bool) {
	if e.closing == serving {
		e.closing = finishing
		e.herald.Announce(&messages.StoppingEvent{Owner: e.self, InFlight: e.open()})
	}
	if !cancel || e.closing >= cancelling {
		return
	}
	e.closing = cancelling
	e.setAlarm(&e.graceUp, e.config.ShutdownGrace)
	e.repair()
	e.table.Each(func(i uint32, state ring.State) {
		if state != ring.Settling && state != ring.Quarantined {
			e.cancelSlot(i, reasonShutdown)
		}
	})
}

// forfeitAll gives up whatever has not ended within the grace.
func (e *engine) forfeitAll() {
	for _, l := range e.links {
		l.forfeited = true
	}
	e.table.Each(func(i uint32, state ring.State) {
		p := e.table.Payload(i)
		if p.isClose() && state == ring.Queued {
			// It waits for operations that do not end, and the last of them
			// will close the descriptor; or for a ring that does not come.
			e.dequeue(p)
			e.apply(i, e.table.Apply(i, ring.Cancel))
			return
		}
		e.forfeitSlot(i, state, reasonShutdown)
	})
	e.deliver()
}

// advanceStop takes the steps of the end whose time has come.
func (e *engine) advanceStop() {
	if e.closing < stopped && e.open() == 0 && e.due.head == nil {
		e.becomeStopped()
	}
	if e.closing == stopped && len(e.links)+len(e.ghosts) == 0 && e.table.Live() == 0 && e.handles.Live() == 0 && e.lane.closes.Load() == 0 {
		e.becomeGone()
	}
}

// becomeStopped: everything is answered. The handles are closed, and the rings
// as soon as they are empty.
func (e *engine) becomeStopped() {
	e.closing = stopped
	e.graceUp.stop()
	e.handles.Each(func(f *file) { e.closeFile(f) })
	final := e.picture()
	e.fence(false)
	e.fenceAside()
	e.final.Store(final)
	e.herald.Announce(&messages.StoppedEvent{Owner: e.self, Counters: final.Counters})
	e.clients.end() // before the next one under this name can be called
	close(e.answered)
	for _, l := range e.links {
		e.askKernel(l)
		l.told = true
		e.setAlarm(&l.overdue, e.config.ShutdownGrace) // if it has lost something it is closed then
	}
	e.enter()
	e.reap()
	e.closeDrained()
}

// closeDrained closes the rings that have nothing left.
func (e *engine) closeDrained() {
	kept := e.links[:0]
	for _, l := range e.links {
		switch {
		case e.hopeless(l):
			e.abandon(l)
			continue
		case l.draining && l.requests == 0:
			e.closeLink(l)
			e.herald.Announce(&messages.RingClosedEvent{Owner: e.self, Epoch: l.epoch})
			continue
		}
		kept = append(kept, l)
	}
	clear(e.links[len(kept):])
	e.links = kept
}

// becomeGone: nothing is left but the goroutines, which end now.
func (e *engine) becomeGone() {
	e.closing = gone
	for _, a := range [...]*alarm{&e.busyOver, &e.insist.alarm, &e.nearest.alarm, &e.hunger.alarm} {
		a.stop()
	}
	e.lane.end(&e.house)
	e.drive.end()
	e.house.leave()
}

// vanish is what the last goroutine of the engine does.
func (e *engine) vanish() { close(e.closed) }
