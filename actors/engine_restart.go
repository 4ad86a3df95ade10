package actors

import (
	"time"

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
	kernel, err := e.config.OpenKernel(e.config)
	e.failure = err
	if err != nil {
		return err
	}
	e.epoch++
	l := &link{kernel: kernel, epoch: e.epoch}
	kernel.Mask() // a runner is active: this one
	e.current = l
	e.links = append(e.links, l)
	e.watchers.Go(func() { kernel.Wait(e.drive.signal) })
	e.repair()
	e.review()
	e.logger().Info("ring opened", zap.Uint64("epoch", l.epoch))
	return nil
}

// fence takes the current ring out of service: what its kernel has not
// consumed is taken back, the rest is drained. It is done when an incarnation
// ends, and once more when the next begins, in case it did not come to it.
func (e *engine) fence(restart bool) {
	l := e.current
	if l == nil {
		return
	}
	e.current = nil
	e.takeBack(l)
	l.draining = true
	if l.armed != 0 {
		l.disarm = append(l.disarm, l.armed)
		l.armed = 0
	}
	if restart {
		e.timeLink(l, e.config.DrainTimeout)
		if e.config.Policy == CancelInFlight {
			e.cancelLink(l)
		}
		e.logger().Info("ring is being drained", zap.Uint64("epoch", l.epoch), zap.Int("in_flight", l.operations))
	}
}

// timeLink gives a ring that is being drained so much time.
func (e *engine) timeLink(l *link, d time.Duration) {
	l.timer = time.AfterFunc(d, func() {
		l.overdue.Store(true)
		e.drive.wake()
	})
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
	for _, watched := range e.watched {
		e.terminated(watched[0].pid)
	}
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
		if !l.draining || l.forfeited || l.requests == 0 || !l.overdue.Load() {
			continue
		}
		if !l.told {
			l.overdue.Store(false)
			e.cancelLink(l)
			e.timeLink(l, e.config.ShutdownGrace)
			continue
		}
		e.forfeit(l)
	}
	if e.graceUp.Load() {
		e.graceUp.Store(false)
		e.forfeitAll()
	}
}

func (e *engine) forfeit(l *link) {
	l.forfeited = true
	e.logger().Error("ring did not drain in time", zap.Uint64("epoch", l.epoch), zap.Int("in_flight", l.operations))
	e.table.Each(func(i uint32, state ring.State) {
		if e.table.Payload(i).link == l {
			e.forfeitSlot(i, state)
		}
	})
}

// forfeitSlot answers that an operation's outcome is unknown, and keeps its
// memory for as long as the kernel has it.
func (e *engine) forfeitSlot(i uint32, state ring.State) {
	switch state {
	case ring.Waiting, ring.Cancelling, ring.Cancelled:
		e.quarantined++
		e.apply(i, e.table.Apply(i, ring.Forfeit))
	}
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

// closeLink closes a ring that has nothing in flight. It happens on a
// goroutine of its own: the runner may be in the ring's own Wait.
func (e *engine) closeLink(l *link) {
	e.entersGone += l.kernel.Enters()
	if l.timer != nil {
		l.timer.Stop()
	}
	if l.thread != nil {
		l.thread.stop()
	}
	e.closers.Go(func() {
		if err := l.kernel.Close(); err != nil {
			e.logger().Warn("closing a ring", zap.Uint64("epoch", l.epoch), zap.Error(err))
		}
	})
	e.logger().Debug("ring closed", zap.Uint64("epoch", l.epoch))
}
