package actors

import (
	"github.com/asynkron/protoactor-go/actor"
	"sync/atomic"

	"github.com/ringmaster-io/ringmaster/messages"
)

// drive is the ring owner's mailbox, and who runs it. There is no thread that
// belongs to the ring: whoever posts to an idle mailbox becomes its runner for
// one burst, on its own stack or by having the runner goroutine go on; a
// completion that comes later has the ring's watcher call that goroutine too.
// The right to run is the token.
//
// INVARIANT: whoever makes work for the runner first writes it down (a queue,
// signalled, heir) and then tries to take the token; whoever gives the token
// back looks once more at what was written down. So nothing is left lying.
type drive struct {
	token token
	crew  Crew

	user   mailQueue
	system mailQueue
	// signalled: something happened that is in no queue.
	signalled atomic.Bool
	// heir is a pinned thread that waits for the token.
	heir atomic.Pointer[pinnedThread]
	// suspended by a failure, until the restart: the actor takes nothing, and
	// the engine goes on without it.
	suspended atomic.Bool
	// stopped: the actor is no more; what is posted is refused.
	stopped atomic.Bool
	// tired: the engine has failed so often by itself that it rests until the
	// actor is back.
	tired atomic.Bool
	// inline says whether a burst may run on its poster's stack at all; gather
	// that the next should rather run on a goroutine, since posts come in
	// bursts and an entry into the kernel is shared by all that wait.
	inline bool
	gather atomic.Bool
	// bound is how many messages may wait while nobody takes them.
	bound int32

	invoker  actor.MessageInvoker
	engine   *engine
	watchdog watchdog
	// runAlone is run without a thread, bound once.
	runAlone func()

	// The rest belongs to the holder of the token.

	// runner is the goroutine that spawn calls: it is kept, parked, since a new
	// one each time would grow its stack each time.
	runner  Worker
	inHand  any    // the message that is being handled
	acting  bool   // the actor is, as opposed to the engine by itself
	called  bool   // by the system, as opposed to a user
	taken   uint64 // user messages taken so far
	looks   int    // how often the kernel's backlog kept the runner here for nothing
	reaped  uint64 // completions seen at the last look
	sampled int    // bursts since the last one that was started as a sample
	lone    int    // bursts of one message in a row, while gathering
	over    bool   // the runner goroutine has ended
	alone   int    // failures of the engine by itself
}

// burstBound is how many messages are handled before the ring is looked at.
const burstBound = 256

// sampleEvery is how many bursts on posters' stacks it takes until one is run
// on a goroutine, to see whether more messages gather meanwhile; loneBound how
// many single ones end the gathering.
const (
	sampleEvery = 1024
	loneBound   = 4
)

// looksBound is how often in a row a runner enters the kernel for a backlog that
// shows no completion. Completions themselves it never leaves behind: while it was at
// it they were not signalled.
const looksBound = 2

// aloneBound is how many failures the engine survives while there is no actor
// to be restarted for them.
const aloneBound = 1000

// copyBound is how many bytes a burst may copy on its poster's stack: some ten
// microseconds' worth. Who posts a batch of its own is given more: what is saved
// by not handing it to another thread, and its buffers to another cache, is
// more than the wait.
const (
	copyBound      = 64 << 10
	copyBoundBatch = 512 << 10
)

// copyBoundOf is the bound for a burst of one message.
func copyBoundOf(message any) int {
	if _, batch := message.(*messages.SubmitBatch); batch {
		return copyBoundBatch
	}
	return copyBound
}

func newDrive(config Config) *drive {
	d := &drive{
		crew:   config.Crew,
		inline: config.Inline,
		bound:  int32(2 * (config.InFlight + config.Queue)),
	}
	d.runAlone = func() { d.run(nil) }
	d.watchdog = watchdog{drive: d, patience: config.StuckAfter}
	return d
}

var _ actor.Mailbox = (*drive)(nil)

// RegisterHandlers implements actor.Mailbox. The dispatcher is not used: see
// drive.
func (d *drive) RegisterHandlers(invoker actor.MessageInvoker, _ actor.Dispatcher) {
	d.invoker = invoker
	d.runner = d.engine.house.hire(false)
}

// Start implements actor.Mailbox.
func (d *drive) Start() {}

// UserMessageCount implements actor.Mailbox.
func (d *drive) UserMessageCount() int { return int(d.user.length.Load()) }

// PostUserMessage implements actor.Mailbox. It never blocks: the poster leaves
// its message, or handles it itself if nobody else is at it.
func (d *drive) PostUserMessage(message any) {
	if envelope, ok := message.(*actor.MessageEnvelope); ok && envelope == nil {
		message = nil // protoactor would look into it, wherever we are then
	}
	if d.inline && !d.gather.Load() && d.user.empty() && d.token.tryTake() {
		d.enterBurst()
		if d.user.empty() && d.system.empty() && !d.suspended.Load() && !d.stopped.Load() && d.sample() {
			d.burst(message)
			return
		}
		d.user.push(d.engine.mailOf(message))
		d.spawn()
		return
	}
	if d.user.length.Load() >= d.bound && d.engine.refuseFlood(message) {
		d.wake() // to tell him when there is room: there may be by now
		return
	}
	d.user.push(d.engine.mailOf(message))
	d.schedule()
}

// PostSystemMessage implements actor.Mailbox. System messages never run on the
// poster's stack.
func (d *drive) PostSystemMessage(message any) {
	d.system.push(mail{message: message})
	d.schedule()
}

// schedule starts a runner if there is none.
func (d *drive) schedule() {
	if d.token.tryTake() {
		d.enterBurst()
		d.spawn()
	}
}

// wake has the engine looked at: the kernel has completions, or something of
// its own has happened, in the blocking lane for instance. A ring's watcher does
// not look itself: it must be there for the ring even when the one who looks
// hangs.
func (d *drive) wake() {
	d.signalled.Store(true)
	d.schedule()
}

// spawn passes the token to a goroutine.
func (d *drive) spawn() {
	d.engine.counters.Spawned++
	if d.over {
		d.crew.Go(d.runAlone)
		return
	}
	d.runner.Do(d.runAlone)
}

// end ends the runner goroutine, once the engine is gone. What is still posted
// then is refused by a goroutine of its own.
func (d *drive) end() {
	d.over = true
	d.engine.house.dismiss(d.runner)
}

// posted is the position that the mailbox will have passed when all that is in
// it now is taken.
func (d *drive) posted() uint64 { return d.taken + uint64(d.user.length.Load()) }

// enterBurst is what follows taking the token.
func (d *drive) enterBurst() {
	d.looks = 0
	d.engine.mask()
}

// sample decides, now and then, against the poster's stack.
func (d *drive) sample() bool {
	if d.sampled++; d.sampled < sampleEvery {
		return true
	}
	d.sampled = 0
	d.gather.Store(true)
	d.lone = loneBound - 1 // one single message decides
	return false
}

// burst handles one message on its poster's stack. Neither a failure nor more
// work than a poster should bear stays there.
func (d *drive) burst(message any) {
	defer func() {
		switch r := recover(); r {
		case nil, revoked{}:
		default:
			d.engine.parties.posted = d.engine.mailOf(message) // whoever has these names later
			d.crew.Go(func() {
				d.failed(r)
				d.run(nil)
			})
		}
	}()
	d.engine.counters.Inline++
	d.signalled.Store(false)
	d.invoke(message)
	if d.engine.readyLen > copyBoundOf(message) || !d.user.empty() || !d.system.empty() {
		d.spawn()
		return
	}
	d.engine.turn(nil)
	if d.leave() {
		d.spawn()
	}
}

// run handles all there is to handle. It is called with the token, and gives
// it back, or has lost it.
func (d *drive) run(thread *pinnedThread) {
	for again := true; again; {
		switch d.pass(thread) {
		case passDone:
			again = d.leave()
		case passRevoked:
			return
		}
	}
}

// revoked is what unwinds the stack of a holder that lost the token while it
// was in the kernel. It must touch nothing on its way.
type revoked struct{}

// passed is how a pass ended.
type passed uint8

const (
	passDone passed = iota
	passFailed
	passRevoked
)

// pass handles messages and the engine once.
func (d *drive) pass(thread *pinnedThread) (p passed) {
	defer func() {
		switch r := recover(); r {
		case nil:
		case revoked{}:
			p = passRevoked
		default:
			d.failed(r)
			p = passFailed
		}
	}()
	d.signalled.Store(false)
	d.messages()
	if !d.resting() {
		d.engine.turn(thread)
	}
	return passDone
}

// wakeUp ends the rest that many failures have brought.
func (d *drive) wakeUp() {
	d.tired.Store(false)
	d.alone = 0
}

// resting reports whether the engine is left alone.
func (d *drive) resting() bool { return d.tired.Load() && d.down() }

// down reports whether there is no actor that works.
func (d *drive) down() bool { return d.suspended.Load() || d.stopped.Load() }

// messages handles what is in the mailbox, the system's first, up to a bound.
func (d *drive) messages() {
	n := 0
	for n < burstBound {
		if m, ok := d.system.pop(); ok {
			d.handleSystem(m.message)
			continue
		}
		if d.resting() && !d.stopped.Load() {
			break
		}
		m, ok := d.user.pop()
		if !ok {
			break
		}
		n++
		d.engine.parties.posted = m
		d.invoke(m.message)
		d.engine.parties.posted = mail{}
	}
	d.judge(n)
}

// judge ends the gathering when nothing gathers.
func (d *drive) judge(n int) {
	switch {
	case !d.gather.Load() || n == 0:
	case n > 1:
		d.lone = 0
	default:
		if d.lone++; d.lone >= loneBound {
			d.lone = 0
			d.gather.Store(false)
		}
	}
}

func (d *drive) handleSystem(m any) {
	switch m.(type) {
	case *actor.SuspendMailbox:
		d.suspended.Store(true)
	case *actor.ResumeMailbox:
		d.suspended.Store(false)
		d.wakeUp()
	default:
		d.inHand, d.acting, d.called = m, true, true
		d.invoker.InvokeSystemMessage(m)
		d.inHand, d.acting, d.called = nil, false, false
	}
}

// invoke hands a user message to the actor. When there is none, because it is
// about to be restarted or has stopped, the engine takes it without one:
// protoactor would leave it lying, or drop it without a word.
func (d *drive) invoke(m any) {
	d.taken++
	if d.down() {
		d.engine.receive(actor.UnwrapEnvelopeMessage(m), actor.UnwrapEnvelopeSender(m))
		return
	}
	d.inHand, d.acting = m, true
	d.invoker.InvokeUserMessage(m)
	d.inHand, d.acting = nil, false
}

// failed is for a panic of the ring owner: the ring is fenced, what would be
// lost is answered, and the supervisor decides. Meanwhile the engine goes on by
// itself: it reaps, takes what is posted, and serves what needs no ring.
func (d *drive) failed(reason any) {
	e := d.engine
	m, alone := d.inHand, d.stopped.Load() || d.suspended.Load() && !d.acting
	d.inHand, d.acting, d.called = nil, false, false
	d.suspended.Store(true)
	e.counters.Failures++
	if e.current != nil && e.current.worked {
		e.worked.Add(1) // for the supervisor to judge
	}
	d.guard(e.sendBatches) // what is answered from now on is not to overtake it
	d.guard(e.afterPanic)
	e.parties.posted = mail{}
	if d.stopped.Load() {
		d.guard(e.endWithoutRing)
	} else {
		d.guard(func() { e.fence(true) })
	}
	d.guard(e.repair)
	if !alone {
		d.guard(func() { d.invoker.EscalateFailure(reason, m) })
		return
	}
	// Nobody restarts it for this: the engine has helped itself.
	d.guard(func() { e.broken(reason) })
	if d.alone++; d.alone >= aloneBound {
		d.tired.Store(true)
		if d.stopped.Load() { // nothing will wake it: what is owed is answered now
			d.guard(e.forfeitAll)
			d.guard(e.advanceStop)
		}
	}
}

// guard keeps a panic of the clean-up from the runner; the failure that it
// cleans up after is on its way already.
func (d *drive) guard(f func()) {
	defer func() {
		if r := recover(); r != nil {
			d.engine.broken(r)
		}
	}()
	f()
}

// leave gives the token back. It reports true, with the token still held, when
// there is more to do.
func (d *drive) leave() bool {
	if reaped := d.engine.counters.Reaped; reaped != d.reaped {
		d.looks, d.reaped = 0, reaped // the last look was worth it
	}
	if !d.resting() && d.engine.unmask(d.looks < looksBound) {
		d.looks++
		d.engine.mask()
		return true
	}
	if d.heir.Load() != nil {
		if d.heir.Swap(nil).inherit() {
			return false
		}
		d.enterBurst() // its ring is no more; another may have asked before it
		return true
	}
	d.token.give()
	if !d.pending() || !d.token.tryTake() {
		return false
	}
	d.enterBurst()
	return true
}

// noMail reports whether nothing waits in the mailbox.
func (d *drive) noMail() bool { return d.user.empty() && d.system.empty() }

// pending reports whether something was written down for a runner.
func (d *drive) pending() bool {
	if !d.system.empty() || d.heir.Load() != nil {
		return true
	}
	if d.resting() {
		return d.stopped.Load() && !d.user.empty()
	}
	return !d.user.empty() || d.signalled.Load()
}
