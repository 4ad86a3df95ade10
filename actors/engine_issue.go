package actors

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// turn performs all that can be done now: it issues what is queued, enters the
// kernel, reaps, and sends what is due, until there is nothing left to do but
// wait. On the pinned thread it issues the pinned queue as well.
func (e *engine) turn(thread *pinnedThread) {
	e.expire()
	for again := true; again; {
		e.unstick()
		e.exorcise()
		e.laneReap()
		e.askAgain()
		e.issue(thread)
		e.enter()
		e.reap()
		e.expireLinks() // what is there is not given up
		e.deliver()
		again = e.issuable(thread)
	}
	e.feed()
	e.settle()
	e.timeDeadlines()
	e.wakePinned()
}

// issuable reports whether another round would issue something.
func (e *engine) issuable(thread *pinnedThread) bool {
	if e.busy {
		return false
	}
	for _, l := range e.links {
		// A whole ring to be cancelled is much to ask. What is posted meanwhile
		// has its turn in between: the mailbox is looked at before the next.
		if l.wantsToAsk() && e.drive.noMail() {
			return true
		}
	}
	l := e.current
	return l != nil && e.room() && (e.ready.head != nil || e.pinned.head != nil && thread != nil && thread == l.thread)
}

// room reports whether the kernel may have one more operation.
func (e *engine) room() bool {
	operations := 0
	for _, l := range e.links {
		if !l.forfeited { // what hangs there is given up, and not to keep others waiting
			operations += l.operations
		}
	}
	return operations < e.config.InFlight
}

// issue pushes what is queued, as far as there is room.
func (e *engine) issue(thread *pinnedThread) {
	if e.busyOver.rang() {
		e.busy = false
	}
	if e.busy {
		return
	}
	for _, l := range e.links {
		e.askKernel(l)
	}
	l := e.current
	if l == nil {
		return
	}
	if thread != nil && thread == l.thread {
		e.issueFrom(l, &e.pinned)
	}
	e.readyLen = 0
	e.issueFrom(l, &e.ready)
}

// issueBytes is about how much one entry into the kernel may copy. What is read
// is answered after it: without a bound, the first would wait for the last.
const issueBytes = 1 << 20

// issueFrom pushes a queue's operations until it is empty, the batch is large,
// or the submission queue or the kernel is full.
//
// Small operations are not divided into batches: to have the requesters work
// on the first while others are with the kernel costs more in waking them than
// it gains, on two processors.
func (e *engine) issueFrom(l *link, q *queue) {
	for bytes := 0; bytes < issueBytes && q.head != nil && e.room(); {
		p := q.head
		q.remove(p)
		bytes += int(p.bytes)
		u := e.table.Issue(p.slot)
		to := l
		if e.aside != nil && !l.kernel.Supports(p.request.Code) {
			to = e.aside
		}
		if !to.kernel.Push(u, &p.request) {
			e.table.Completed(u, ring.TakeBack)
			q.pushFront(p)
			return
		}
		p.link = to
		to.requests++
		to.operations++
		if e.config.Failpoint != nil {
			e.fail(FailEncoded)
		}
	}
}

// enter has each ring consume what was pushed.
func (e *engine) enter() {
	for _, l := range e.links {
		if l.dead || l.stuck || l.kernel.Unsubmitted() == 0 && !l.kernel.Backlog() {
			continue
		}
		e.enterOne(l)
	}
}

// isLost reports whether an enter says that a completion is lost.
func isLost(err error) bool {
	if err == nil {
		return false
	}
	fatal, ok := errors.AsType[*ring.FatalError](err)
	return ok && fatal.Lost()
}

// enterKernel enters one ring's kernel, where the holder of the token may hang
// so long that it is taken from him. He touches nothing then, but says that he
// is back.
func (e *engine) enterKernel(l *link) (int, error) {
	e.entering = l
	d := e.drive
	visit := d.token.enter()
	d.watchdog.arm()
	n, err := l.kernel.Enter()
	if !d.token.entered(visit) {
		l.late.Store(uint64(n))
		l.lateLost.Store(isLost(err))
		l.back.Store(true)
		d.wake()
		panic(revoked{})
	}
	return n, err
}

// unstick is for holders that are back from a kernel in which they hung: what
// it has not consumed meanwhile can be taken back now.
func (e *engine) unstick() {
	if e.stuck == 0 {
		return
	}
	for _, l := range e.links {
		if l.stuck && l.back.Load() {
			l.back.Store(false)
			l.stuck = false
			e.stuck--
			e.counters.Published += l.late.Load()
			l.lost = l.lost || l.lateLost.Load()
			e.takeBack(l)
		}
	}
}

func (e *engine) enterOne(l *link) {
	if e.config.Failpoint != nil {
		e.fail(FailBeforeEnter)
	}
	n, err := e.enterKernel(l)
	l.lost = l.lost || isLost(err) // the kernel may say so only once
	e.counters.Published += uint64(n)
	if e.config.Failpoint != nil {
		e.fail(FailAfterEnter)
	}
	switch {
	case err == nil:
	case errors.Is(err, ring.ErrBusy):
		e.takeBack(l)
		e.backOff()
	case l == e.aside:
		e.fenceAside()
		l.dead = true
	case l.draining:
		// It can be reaped still. What it has not taken, it never will.
		l.dead = true
		e.takeBack(l)
	default:
		panic(err)
	}
}

// fenceAside takes the fallback out of service that is beside a ring.
func (e *engine) fenceAside() {
	if l := e.aside; l != nil {
		e.aside = nil
		l.draining = true
		e.takeBack(l)
		e.setAlarm(&l.overdue, e.config.DrainTimeout)
	}
}

// takeBack takes what the kernel has not consumed out of the submission queue:
// what stays there would be published by whoever enters next, and that may be
// a thread which must not.
//
// While a holder hangs in the ring's enter that must wait for him: see unstick.
func (e *engine) takeBack(l *link) {
	if l.stuck {
		return
	}
	var back []ring.UserData
	l.kernel.TakeBack(func(u ring.UserData) { back = append(back, u) })
	for k := len(back) - 1; k >= 0; k-- { // the oldest is to be first again
		e.takenBack(l, back[k])
	}
}

func (e *engine) takenBack(l *link, u ring.UserData) {
	l.requests--
	i, ok := e.table.Lookup(u)
	// INVARIANT: what the kernel has not consumed keeps its slot.
	if !ok {
		panic(&ring.InvariantError{What: "request of no slot was taken back"})
	}
	if u.Kind() == ring.KindCancel {
		e.cancelEnded(i, u)
		if s := e.table.State(i); s == ring.Cancelling || s == ring.Cancelled {
			l.unasked = append(l.unasked, i)
		}
		return
	}
	p := e.table.Payload(i)
	e.operationEnded(i, p)
	l.operations--
	if state := e.table.State(i); state == ring.Forfeited || state == ring.Quarantined {
		e.quarantined-- // a holder that hung has taken nothing after all
	}
	effect := e.table.Completed(u, ring.TakeBack)
	if e.table.State(i) == ring.Queued {
		e.requeueFront(p)
	} else {
		p.res = p.total(-int32(unix.ECANCELED))
	}
	e.apply(i, effect)
}

func (e *engine) requeueFront(p *operation) {
	if e.stranded {
		e.strand(p)
		return
	}
	if p.class == classPinned {
		e.pinned.pushFront(p)
		return
	}
	e.ready.pushFront(p)
}

// backOffTime is how long the kernel is left alone that had no memory for a
// request. Completions end it earlier.
const backOffTime = time.Millisecond

func (e *engine) backOff() {
	e.busy = true
	e.setAlarm(&e.busyOver, backOffTime)
}

// wakePinned calls the pinned thread when there is work that only it may
// issue.
func (e *engine) wakePinned() {
	l := e.current
	if l == nil || e.busy || e.pinned.head == nil {
		return
	}
	if !e.room() {
		return // a completion will call again
	}
	if l.thread == nil {
		l.thread = startPinned(e.drive)
	}
	l.thread.call()
}
