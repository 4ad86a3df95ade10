package actors

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/ringmaster-io/ringmaster/messages"
)

// RingOwner is a ring owner to be spawned, once, and what stays of it across
// the restarts of its actor: the rings, the lifecycle map, the handles. The
// supervisor package spawns it.
type RingOwner struct {
	engine  *engine
	drive   *drive
	claimed atomic.Bool
}

// NewRingOwner makes the parts of a ring owner; its ring is opened when the
// actor starts.
func NewRingOwner(system *actor.ActorSystem, config Config) *RingOwner {
	d := newDrive(config)
	d.engine = newEngine(config, system, d)
	return &RingOwner{engine: d.engine, drive: d}
}

// Claim reports whether the caller is the first to ask: a ring owner is spawned
// once.
func (o *RingOwner) Claim() bool { return !o.claimed.Swap(true) }

// Props are for spawning the actor. The producer does nothing but allocate:
// protoactor runs it in awkward places.
func (o *RingOwner) Props() *actor.Props {
	return actor.PropsFromProducer(
		func() actor.Actor { return &ringOwner{engine: o.engine} },
		actor.WithMailbox(func() actor.Mailbox { return o.drive }),
	)
}

// Opened waits for the first start and gives its error.
func (o *RingOwner) Opened(ctx context.Context) error {
	select {
	case err := <-o.engine.opened:
		return err
	case <-ctx.Done():
		return fmt.Errorf("waiting for the ring owner to start: %w", context.Cause(ctx))
	}
}

// Answered is closed when, after a stop, everything is answered.
func (o *RingOwner) Answered() <-chan struct{} { return o.engine.answered }

// Closed is closed when, after that, nothing of the subsystem is left.
func (o *RingOwner) Closed() <-chan struct{} { return o.engine.closed }

// Ended reports whether nothing of the subsystem is left, not even an answer
// whose receiver is slow to take it.
func (o *RingOwner) Ended() bool {
	select {
	case <-o.engine.closed:
		return o.engine.parties.outboxes.idle()
	default:
		return false
	}
}

// Final is how the ring owner was at the end: it is there when Answered is
// closed.
func (o *RingOwner) Final() messages.Inspection {
	if in := o.engine.final.Load(); in != nil {
		return *in
	}
	return messages.Inspection{}
}

// Drain has the ring owner end its intake: what is in flight ends, and then
// Answered is closed. Stopping the actor cancels what is in flight. It is posted to
// the mailbox itself: by now the name may be another's.
func (o *RingOwner) Drain() {
	select {
	case <-o.engine.answered: // it has ended
	default:
		o.drive.PostUserMessage(&intakeEnds{})
	}
}

// intakeEnds is what Drain posts.
type intakeEnds struct{}

// Degrade has the next incarnation do without a ring, until Restore finds one.
func (o *RingOwner) Degrade() { o.engine.degraded.Store(true) }

// Degraded reports whether that is how it stands.
func (o *RingOwner) Degraded() bool { return o.engine.degraded.Load() }

// Restore has a degraded ring owner try for a ring.
func (o *RingOwner) Restore() { o.drive.PostUserMessage(&ringWanted{}) }

// ringWanted is what Restore posts.
type ringWanted struct{}

// ringOwner is one incarnation of the actor: the supervised face of the
// engine.
type ringOwner struct {
	engine *engine
}

// Receive implements actor.Actor.
func (o *ringOwner) Receive(ctx actor.Context) {
	e := o.engine
	switch m := ctx.Message().(type) {
	case *messages.Submit, *messages.SubmitBatch:
		e.receive(m, ctx.Sender())
	case *actor.Started, *actor.Restarting, *actor.Stopping, *actor.Stopped, *actor.Terminated:
		// protoactor delivers them as it does what users send: an actor that
		// forwards all that it gets has sent its own.
		if e.drive.called {
			e.live(ctx)
		}
	default:
		e.receive(m, ctx.Sender())
	}
}

// live handles what happens to the actor, and to those that it watches.
func (e *engine) live(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		e.self = ctx.Self()
		e.started()
	case *actor.Restarting:
		e.lifecycle(FailRestarting, func() { e.fence(true) })
	case *actor.Stopping:
		e.lifecycle(FailStopping, func() { e.beginStop(true) })
	case *actor.Stopped:
		e.drive.stopped.Store(true)
		e.drive.wakeUp()
		e.lifecycle(FailStopped, e.unwatchAll)
	case *actor.Terminated:
		e.terminated(m.Who)
	}
}

// receive takes a user message.
func (e *engine) receive(message any, sender *actor.PID) {
	switch m := message.(type) {
	case *messages.Submit:
		if m == nil {
			e.strange(sender)
			return
		}
		e.submit(m, sender)
	case *messages.SubmitBatch:
		if m == nil {
			e.strange(sender)
			return
		}
		e.submitBatch(m, sender)
	default:
		e.receiveControl(message, sender)
	}
}

func (e *engine) receiveControl(message any, sender *actor.PID) {
	switch m := message.(type) {
	case *messages.Cancel:
		if m != nil {
			e.cancel(m, sender)
			return
		}
	case *messages.CancelOwner:
		if m != nil {
			e.cancelOwner(m, sender)
			return
		}
	case *messages.CancelHandle:
		if m != nil {
			e.cancelHandle(m, sender)
			return
		}
	case *messages.Inspect:
		if m != nil {
			e.inspect(m, sender)
			return
		}
	case *intakeEnds:
		e.beginStop(false)
		return
	case *ownerGone:
		e.ownerGone(m)
		return
	case *ringWanted:
		e.restore()
		return
	case *actor.PoisonPill: // only while the actor is down: protoactor takes it otherwise
		if !e.drive.stopped.Load() {
			e.system.Root.Stop(e.self)
		}
		return
	case actor.SystemMessage, actor.AutoReceiveMessage, actor.AutoRespond: // protoactor's own
		return
	}
	e.strangeBecause(sender, because(message))
}

// strange is for a message that is nil.
func (e *engine) strange(sender *actor.PID) { e.strangeBecause(sender, messages.ErrNilMessage) }

// because says what is wrong with a message that nobody takes.
func because(message any) error {
	switch message.(type) {
	case nil, *messages.Cancel, *messages.CancelOwner, *messages.CancelHandle, *messages.Inspect:
		return messages.ErrNilMessage
	default:
		return messages.ErrUnknownMessage
	}
}

// strangeBecause is for a message that is nil, or none of ours: it is counted,
// and answered if there is a sender.
func (e *engine) strangeBecause(sender *actor.PID, reason error) {
	e.counters.Strange++
	p := e.parties.resolve(sender)
	if p == nil {
		return
	}
	p.send(&messages.Refused{ID: messages.OpID{Owner: sender}, Err: refusal(nil, reason)})
	e.tidy(p)
}

// started opens a ring. The first failure is the spawner's to know; a later
// one is the supervisor's.
func (e *engine) started() {
	first := !e.begun
	e.begun = true
	if !first {
		e.counters.Restarts++
	}
	e.fail(FailStarted)
	err := e.start()
	if err != nil {
		err = fmt.Errorf("%w: %w", messages.ErrUnavailable, err)
	}
	if !e.reported {
		e.reported = true
		e.opened <- err
	} else if err != nil {
		panic(err)
	}
}

// lifecycle handles a message of an incarnation's end. A panic here would
// resurrect the actor or hang its parent, so it ends here; what was to be done
// is done all the same.
func (e *engine) lifecycle(point Failpoint, then func()) {
	defer then()
	defer func() {
		if r := recover(); r != nil {
			e.logger().Error("ring owner failed in a lifecycle message", zap.Stringer("at", point), zap.Any("reason", r))
		}
	}()
	e.fail(point)
}

// broken is for a failure that no supervisor can mend.
func (e *engine) broken(r any) {
	e.logger().Error("ring owner failed beyond a restart", zap.Any("reason", r))
}

// Worked is how often the ring owner has failed on a ring that had completed an
// operation with that one's own result: only this shows that a ring can be had and
// works. What was cancelled, what needs no ring, and what an earlier ring still
// ends goes on in the worst of outages. It may be read at any time.
func (o *RingOwner) Worked() uint64 { return o.engine.worked.Load() }
