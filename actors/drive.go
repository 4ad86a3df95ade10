package actors

import (
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// drive is the ring owner's mailbox, and who runs it. There is no thread that
// belongs to the ring: whoever posts to an idle mailbox becomes its runner for
// one burst, on its own stack or by starting a goroutine; a completion that
// comes later wakes the ring's watcher, which is a runner too. The right to
// run is the token.
//
// INVARIANT: whoever makes work for the runner first writes it down (a queue,
// signalled) and then tries to take the token; whoever gives the token back
// looks once more at what was written down. So nothing is left lying.
type drive struct {
	token sync.Mutex

	user   mailQueue
	system mailQueue
	// signalled: something happened that is in no queue.
	signalled atomic.Bool
	// suspended by a failure, until the restart.
	suspended atomic.Bool
	// stopped: the actor is no more; what is posted is refused.
	stopped atomic.Bool
	// inline says whether a burst may run on its poster's stack at all; gather
	// that the next should rather run on a goroutine, since posts come in
	// bursts and an entry into the kernel is shared by all that wait.
	inline bool
	gather atomic.Bool
	// bound is how many messages may wait while nobody takes them.
	bound int32

	invoker actor.MessageInvoker
	engine  *engine
	// calls hands the token to the runner goroutine: it is kept, parked, since
	// a new one each time would grow its stack each time.
	calls chan struct{}

	// The rest belongs to the holder of the token.
	inHand  any    // the message that is being handled
	taken   uint64 // user messages taken so far
	looks   int    // how often the kernel's backlog kept the runner here
	sampled int    // bursts since the last one that was started as a sample
	lone    int    // bursts of one message in a row, while gathering
	over    bool   // the runner goroutine has ended
	alone   int    // failures after the actor's end
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

// looksBound is how often a runner enters the kernel for a backlog that shows
// no completion. Completions themselves it never leaves behind: while it was at
// it they were not signalled.
const looksBound = 2

// aloneBound is how many failures the engine survives after the actor's end.
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

func newDrive(inline bool) *drive {
	return &drive{inline: inline, calls: make(chan struct{}, 1)}
}

// spawn passes the token to a goroutine. It never blocks: there is one token.
func (d *drive) spawn() {
	d.engine.counters.Spawned++
	if d.over {
		go d.run(nil)
		return
	}
	d.calls <- struct{}{}
}

// runner is the goroutine that spawn calls.
func (d *drive) runner() {
	for range d.calls {
		d.run(nil)
	}
}

// end ends the runner goroutine, once the engine is gone. What is still posted
// then is refused by a goroutine of its own.
func (d *drive) end() {
	d.over = true
	close(d.calls)
}

var _ actor.Mailbox = (*drive)(nil)

// RegisterHandlers implements actor.Mailbox. The dispatcher is not used: see
// drive.
func (d *drive) RegisterHandlers(invoker actor.MessageInvoker, _ actor.Dispatcher) {
	d.invoker = invoker
	d.engine.watchers.Go(d.runner)
}

// Start implements actor.Mailbox.
func (d *drive) Start() {}

// UserMessageCount implements actor.Mailbox.
func (d *drive) UserMessageCount() int { return int(d.user.length.Load()) }

// PostUserMessage implements actor.Mailbox. It never blocks: the poster leaves
// its message, or handles it itself if nobody else is at it.
func (d *drive) PostUserMessage(message any) {
	if d.inline && !d.gather.Load() && d.user.empty() && d.token.TryLock() {
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
	if d.token.TryLock() {
		d.enterBurst()
		d.spawn()
	}
}

// wake has the engine looked at: something of its own has happened, in the
// blocking lane for instance.
func (d *drive) wake() {
	d.signalled.Store(true)
	d.schedule()
}

// signal is the watcher's: the kernel has completions. The watcher runs.
func (d *drive) signal() {
	d.signalled.Store(true)
	if d.token.TryLock() {
		d.enterBurst()
		d.run(nil)
	}
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
		if r := recover(); r != nil {
			go d.recovered(r)
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
// it back.
func (d *drive) run(thread *pinnedThread) {
	for {
		for !d.pass(thread) {
		}
		if !d.leave() {
			return
		}
	}
}

// recovered goes on after a failure on a poster's stack.
func (d *drive) recovered(r any) {
	d.failed(r)
	d.run(nil)
}

// pass handles messages and the engine once, and reports false when something
// failed over it.
func (d *drive) pass(thread *pinnedThread) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			d.failed(r)
		}
	}()
	d.signalled.Store(false)
	d.messages()
	if !d.suspended.Load() || d.stopped.Load() && d.alone < aloneBound {
		d.engine.turn(thread)
	}
	return true
}

// messages handles what is in the mailbox, the system's first, up to a bound.
func (d *drive) messages() {
	n := 0
	for n < burstBound {
		if m, ok := d.system.pop(); ok {
			d.handleSystem(m.message)
			continue
		}
		if d.suspended.Load() && !d.stopped.Load() {
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
	default:
		d.inHand = m
		d.invoker.InvokeSystemMessage(m)
		d.inHand = nil
	}
}

// invoke hands a user message to the actor, or refuses it when there is none
// any more: protoactor would drop it without a word.
func (d *drive) invoke(m any) {
	d.taken++
	if d.stopped.Load() {
		d.engine.receive(actor.UnwrapEnvelopeMessage(m), actor.UnwrapEnvelopeSender(m))
		return
	}
	d.inHand = m
	d.invoker.InvokeUserMessage(m)
	d.inHand = nil
}

// failed is for a panic of the ring owner: the mailbox is suspended, what
// would be lost is answered, and the supervisor decides.
func (d *drive) failed(r any) {
	m := d.inHand
	d.inHand, d.engine.parties.posted = nil, mail{}
	d.suspended.Store(true)
	d.engine.worked.Store(d.engine.counters.Completed) // for the supervisor to judge
	d.guard(d.engine.afterPanic)
	if d.stopped.Load() {
		// Nobody restarts it any more: the engine helps itself, a few times.
		d.alone++
		d.guard(func() { d.engine.broken(r) })
		d.guard(d.engine.repair)
		return
	}
	d.guard(func() { d.invoker.EscalateFailure(r, m) })
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
	if idle := d.suspended.Load() && !d.stopped.Load(); !idle && d.engine.unmask(d.looks < looksBound) {
		d.looks++
		d.engine.mask()
		return true
	}
	d.token.Unlock()
	if !d.pending() || !d.token.TryLock() {
		return false
	}
	d.enterBurst()
	return true
}

// pending reports whether something was written down for a runner.
func (d *drive) pending() bool {
	if !d.system.empty() {
		return true
	}
	if d.suspended.Load() && !d.stopped.Load() {
		return false
	}
	return !d.user.empty() || d.signalled.Load()
}
