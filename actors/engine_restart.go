package actors

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// start opens a ring for a new incarnation. What the last one left behind is
// found and put back on its way.
func (e *engine) start() error {
	e.fence(true)
	if e.closing >= stopped {
		return nil
	}
	if err := e.openRing(); err != nil && !e.openFallback(err) {
		return err
	}
	e.repair()
	e.review()
	return nil
}

// openRing opens the preferred backend, unless the supervisor has given up on
// it for now.
func (e *engine) openRing() error {
	if e.degraded.Load() {
		if e.failure == nil {
			return errKeepsFailing
		}
		return e.failure
	}
	preferred := e.config.preferred()
	kernel, err := preferred.open(e.config)
	if e.failure = err; err != nil {
		return err
	}
	e.ringless = false
	e.serveWith(kernel, preferred.name)
	return nil
}

// errKeepsFailing is why there is no ring when one could be opened.
var errKeepsFailing = errors.New("ring owner keeps failing")

// openFallback opens what serves when there is no ring, if that is allowed now:
// when the subsystem starts, as long as there never was one, and when it is
// degraded. It reports false when the actor is to fail for want of it, so that
// the supervisor has it try again.
func (e *engine) openFallback(why error) bool {
	first := e.epoch == 0
	if !first && !e.ringless && !e.degraded.Load() {
		return false
	}
	e.failure = why
	if fallback, ok := e.config.fallback(); ok {
		kernel, err := fallback.open(e.config)
		if err == nil {
			e.ringless = e.ringless || first
			e.serveWith(kernel, fallback.name)
			return true
		}
		e.failure = fmt.Errorf("%w; and in its place: %w", why, err)
	}
	if !e.degraded.Load() {
		return false
	}
	e.becomeStranded()
	return true
}

// serveWith makes a kernel the one that operations are issued to.
func (e *engine) serveWith(kernel ring.Kernel, backend string) {
	e.epoch++
	l := e.linkTo(kernel, backend)
	e.current, e.backend, e.stranded = l, backend, false
	e.helpOut(kernel)
	e.herald.Announce(&messages.RingOpenedEvent{Owner: e.self, Epoch: l.epoch, Backend: backend, Missing: e.missing, Why: e.failure})
}

func (e *engine) linkTo(kernel ring.Kernel, backend string) *link {
	l := &link{kernel: kernel, epoch: e.epoch, portable: backend == namePortable}
	kernel.Mask() // a runner is active: this one
	e.links = append(e.links, l)
	e.house.run(func() { kernel.Wait(e.drive.wake) })
	return l
}

// helpOut puts the fallback at a ring's side for what it lacks: an older kernel
// has rings, and not all of their operations. It stays there across restarts.
func (e *engine) helpOut(kernel ring.Kernel) {
	e.missing = nil
	for code := range ring.Codes() {
		if code != ring.CodeLinkTimeout && !kernel.Supports(code) { // that one is not needed
			e.missing = append(e.missing, code.String())
		}
	}
	fallback, ok := e.config.fallback()
	if len(e.missing) == 0 || e.aside != nil || !ok || e.backend == fallback.name {
		return
	}
	helper, err := fallback.open(e.config)
	if err != nil {
		e.logger().Error("opening the fallback for what the ring lacks", zap.Strings("missing", e.missing), zap.Error(err))
		return
	}
	e.aside = e.linkTo(helper, fallback.name)
}

// becomeStranded: there is nothing that could perform an operation, and nothing
// is expected soon. What waits for it is answered.
func (e *engine) becomeStranded() {
	e.stranded = true
	e.table.Each(func(i uint32, _ ring.State) {
		switch p := e.table.Payload(i); p.queue {
		case inReady, inPinned, inDevice, inShare:
			e.dequeue(p)
			e.strand(p)
		}
	})
}

// endWithoutRing is for a failure after the actor's end: no ring will come any
// more. What is in flight has the grace that it was given.
func (e *engine) endWithoutRing() {
	e.fence(false)
	e.becomeStranded()
}

// strand ends an operation that there is nothing for to perform it. A Close
// needs no ring: the descriptor goes the way of those that nobody wants.
func (e *engine) strand(p *operation) {
	if !p.isClose() {
		e.cancelSlot(p.slot, reasonUnavailable)
		return
	}
	u := e.table.Issue(p.slot)
	e.lane.close(p.file.FD, e.deviceFor(p))
	p.res = 0
	e.apply(p.slot, e.table.Completed(u, ring.Done))
}

// restore tries for a ring again, on behalf of the supervisor, or for the
// fallback if not even that was to be had. What the fallback has in flight ends
// there, in its own time.
func (e *engine) restore() {
	if !e.degraded.Load() || e.closing != serving || e.drive.down() {
		return
	}
	preferred := e.config.preferred()
	kernel, err := preferred.open(e.config)
	if err != nil {
		e.failure = err
		if e.stranded {
			e.openFallback(err)
		}
		return
	}
	e.fence(false)
	e.degraded.Store(false)
	e.failure, e.ringless = nil, false
	e.serveWith(kernel, preferred.name)
	e.herald.Announce(&messages.RestoredEvent{Owner: e.self, Epoch: e.epoch})
}

// fence takes the current ring out of service: what its kernel has not
// consumed is taken back, the rest is drained. It is done when the ring owner
// has failed, and once more when an incarnation ends or begins, in case it did
// not come to it.
func (e *engine) fence(restart bool) {
	l := e.current
	if l == nil {
		return
	}
	e.current, e.backend = nil, ""
	l.draining = true
	e.takeBack(l)
	if restart {
		e.setAlarm(&l.overdue, e.config.DrainTimeout)
		if e.config.Policy == CancelInFlight {
			e.cancelLink(l)
		}
	}
	e.herald.Announce(&messages.RingFencedEvent{Owner: e.self, Epoch: l.epoch, InFlight: l.operations})
}

// cancelLink asks for the cancellation of all that a ring has.
func (e *engine) cancelLink(l *link) {
	l.told = true
	e.table.Each(func(i uint32, _ ring.State) {
		if e.table.Payload(i).link == l {
			e.cancelSlot(i, reasonRestart)
		}
	})
}

// repair goes through the lifecycle map for what a panic left in no queue: the
// map says where each operation stands, and what is to be done follows.
func (e *engine) repair() {
	e.table.Each(func(i uint32, state ring.State) {
		p := e.table.Payload(i)
		if p.queue != inNone {
			return
		}
		switch state {
		case ring.Waiting: // only a control operation waits for nobody but us
			if p.class == classControl {
				p.res = -int32(unix.ECANCELED)
				u, _ := e.table.Outstanding(i)
				e.apply(i, e.table.Completed(u, ring.Done))
			}
		case ring.Queued:
			e.dispatchAgain(i, p)
		case ring.Due, ring.Forfeited:
			e.due.push(p)
		}
	})
}

// review looks for owners that have stopped while nobody could be told.
func (e *engine) review() {
	for _, p := range e.watchedInOrder() {
		e.terminated(p.pid)
	}
}

// watchedInOrder are those who are watched, the first known first, so that the
// same history always goes the same way.
func (e *engine) watchedInOrder() []*party {
	var all []*party
	for _, watched := range e.watched {
		all = append(all, watched...)
	}
	slices.SortFunc(all, func(a, b *party) int { return cmp.Compare(a.index, b.index) })
	return all
}

func (e *engine) dispatchAgain(i uint32, p *operation) {
	if p.turn || p.isClose() && p.file.Closed() && !p.file.Held() {
		e.enqueue(p)
		return
	}
	e.dispatch(i)
}

// afterPanic answers what a panic would have lost: the Submit that was in
// hand, and those of its batch that were not looked at.
func (e *engine) afterPanic() {
	m, rest, from := e.inHand, e.batchInHand, e.inHandFrom
	e.inHand, e.batchInHand = nil, nil
	if m != nil {
		e.refuse(m, from, messages.ErrRestarted)
	}
	for _, s := range rest {
		if s == nil {
			continue
		}
		e.counters.Submitted++
		e.refuse(s, from, messages.ErrRestarted)
	}
}

// expireLinks gives up what a drained ring did not end in time. Before it does
// it asks for the cancellation of what waits there: an idle read or a timer
// would wait for ever, and ends at once if it is told to.
func (e *engine) expireLinks() {
	for _, l := range e.links {
		if !l.draining || l.forfeited || l.requests == 0 || !l.overdue.rang() {
			continue
		}
		if !l.told {
			e.cancelLink(l)
			e.setAlarm(&l.overdue, e.config.ShutdownGrace)
			continue
		}
		e.forfeit(l)
	}
	if e.graceUp.rang() {
		e.forfeitAll()
	}
}

func (e *engine) forfeit(l *link) {
	before := e.quarantined
	l.forfeited = true
	e.table.Each(func(i uint32, state ring.State) {
		if e.table.Payload(i).link == l {
			e.forfeitSlot(i, state, reasonRestart)
		}
	})
	if e.quarantined > before {
		e.herald.Announce(&messages.OutcomeUnknownEvent{Owner: e.self, Epoch: l.epoch, Operations: e.quarantined - before})
	}
	if limit := e.config.QuarantineMax; before < limit && e.quarantined >= limit {
		e.herald.Announce(&messages.QuarantineFullEvent{Owner: e.self, Operations: e.quarantined})
	}
}

// forfeitSlot answers that an operation's outcome is unknown, and keeps its
// memory for as long as the kernel has it.
func (e *engine) forfeitSlot(i uint32, state ring.State, why reason) {
	switch state {
	case ring.Waiting, ring.Cancelling, ring.Cancelled:
		if p := e.table.Payload(i); p.why == reasonNone { // a Close was not asked to stop
			p.why = why
		}
		e.quarantined++
		e.apply(i, e.table.Apply(i, ring.Forfeit))
		e.vacate(e.table.Payload(i)) // see room
	}
	if state == ring.Cancelled {
		e.giveUpOrphan(e.table.Payload(i))
	}
}

// giveUpOrphan is for an operation that nobody has an answer to, and whose end
// is not waited for any more.
func (e *engine) giveUpOrphan(p *operation) {
	e.countOrphan(p)
	e.told(p.takeWaiters())
}

// settle closes the rings that are drained, and brings the engine's own end
// about when that is due.
func (e *engine) settle() {
	if len(e.links) > 1 || e.current == nil {
		e.closeDrained()
	}
	if len(e.parties.dead) > 0 {
		e.parties.exhume(e.drive.taken)
	}
	if e.closing != serving && e.closing != gone {
		e.advanceStop()
	}
}

// closeLink closes a ring. It happens on a
// goroutine of its own: it may have to wait for the ring's watcher.
func (e *engine) closeLink(l *link) {
	e.entersGone += l.kernel.Enters()
	l.overdue.stop()
	if l.thread != nil {
		l.thread.stop()
	}
	e.house.run(func() {
		if err := l.kernel.Close(); err != nil {
			e.logger().Warn("closing a ring", zap.Uint64("epoch", l.epoch), zap.Error(err))
		}
	})
}
