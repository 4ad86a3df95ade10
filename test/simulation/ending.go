package simulation

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/ring/sim"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// ending is how a subsystem is brought to its end. Its Shutdown blocks, so that
// it is on a goroutine of its own, which takes turns with the world's: it runs
// until it is about to wait, and what it does when it wakes is held until the
// world has it done.
type ending struct {
	ctx      *askedContext
	outcome  chan outcome
	returned bool // Shutdown has
	waiting  bool // the other goroutine waits, and does not use the world
	released bool
}

type outcome struct {
	report supervisor.Report
	err    error
}

// askedContext is a context that tells when somebody is about to wait for its
// end, and that ends when the world says so.
type askedContext struct {
	context.Context
	asked chan struct{}
	done  chan struct{}
	over  bool
}

func newAskedContext() *askedContext {
	return &askedContext{
		Context: context.Background(),
		asked:   make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
}

// Done implements context.Context.
func (c *askedContext) Done() <-chan struct{} {
	select {
	case c.asked <- struct{}{}:
	default:
	}
	return c.done
}

// Err implements context.Context.
func (c *askedContext) Err() error {
	select {
	case <-c.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func (c *askedContext) end() {
	if !c.over {
		c.over = true
		close(c.done)
	}
}

// patience is for another goroutine, which only has to be scheduled.
const patience = 20 * time.Second

// shutDown starts a Shutdown, and returns when that is about to wait.
func (h *history) shutDown() {
	e := &h.ending
	e.ctx, e.outcome = newAskedContext(), make(chan outcome, 1)
	if _, alive := h.system.ProcessRegistry.Get(h.subsystemPID()); alive {
		h.box.expect()
	} else {
		e.released = true // it has ended by itself
	}
	go func() {
		report, err := h.subsystem.Shutdown(e.ctx)
		e.outcome <- outcome{report, err}
	}()
	select {
	case <-e.ctx.asked:
		e.waiting = true
	case <-time.After(patience):
		h.world.Violate("Shutdown does not come to wait for its context")
	}
}

// subsystemPID is the supervisor's address.
func (h *history) subsystemPID() *actor.PID { return h.system.NewLocalPID("ringmaster") }

// attend has Shutdown's next step done once it has been woken.
func (e *ending) attend(h *history) {
	if !e.waiting || e.released {
		return
	}
	if _, running := supervisor.Get(h.system); running && !e.ctx.over {
		return
	}
	select {
	case <-h.box.complete:
	case <-time.After(patience):
		e.released = true
		h.world.Violate("Shutdown does not stop the actors")
		return
	}
	e.released = true
	h.world.Note("shutdown stops the actors")
	h.box.release()
}

// end brings the subsystem to its end, in one of the ways in which that can
// happen, and looks at what is left.
func (h *history) end() {
	switch h.plan.Pick(4) {
	case 0, 1:
		h.world.Note("shutdown")
		h.shutDown()
		after := []time.Duration{time.Minute, 0, 5 * time.Millisecond, 300 * time.Millisecond}[h.plan.Pick(4)]
		h.world.AfterFunc(after, h.ending.ctx.end)
	case 2:
		h.world.Note("the supervisor is stopped")
		h.system.Root.Stop(h.subsystemPID())
	default:
		h.world.Note("the ring owner is stopped")
		h.system.Root.Stop(h.owner)
	}
	for range max(h.plan.Pick(6)-2, 0) {
		h.doCrash()
	}
	for range h.plan.Pick(8) { // somebody always comes too late
		if h.world.Failed() {
			return
		}
		h.doSubmit()
		h.breathe()
	}
	h.quiesce()
	if h.ending.outcome == nil && !h.world.Failed() {
		h.shutDown()
	}
	h.judgeAnswers()
	h.world.Thaw()
	h.quiesce()
	for _, r := range h.cast {
		if !r.dying {
			h.system.Root.Stop(r.pid)
		}
	}
	h.quiesce()
	h.judgeEnd()
}

// quietSteps bounds how long a world may take to have nothing left to do.
const quietSteps = 200_000

// quiesce runs the world until nothing is left that could happen by itself.
func (h *history) quiesce() {
	for range quietSteps {
		if !h.world.Step() {
			return
		}
	}
	h.world.Violate("the world did not come to an end within %d steps", quietSteps)
}

// judgeAnswers looks whether everything was answered: also what hangs is, by
// now.
func (h *history) judgeAnswers() {
	if h.world.Failed() {
		return
	}
	if _, running := supervisor.Get(h.system); running {
		h.world.Violate("the subsystem does not end: nothing is left to happen, and not everything is answered")
		return
	}
	missing := 0
	for _, t := range h.ledger.tickets {
		if t.future && !t.told && t.forgiven == "" {
			missing++
			t.forgiven = "dead letter"
		}
	}
	if missing != h.failed {
		h.world.Violate("%d futures were not resolved, %d of them for good", missing, h.failed)
	}
	h.ledger.settle()
}

// judgeRest looks, when nothing is left that could happen by itself, whether
// somebody was forgotten.
func (h *history) judgeRest() {
	if h.world.Failed() || h.world.Hangs() {
		return
	}
	for _, r := range h.cast {
		r.buried = r.stopped
	}
	if h.inFlight() > 0 || h.world.Jobs() > 0 || slices.ContainsFunc(h.world.Kernels(), (*sim.Kernel).Stuck) {
		return
	}
	h.ledger.settle()
	for _, r := range h.cast {
		if r.hungry && !r.dying {
			h.world.Violate("%s was refused for want of room, and not told of it", r)
		}
	}
}

// judgeEnd looks at what is left when nothing hangs any more: nothing.
func (h *history) judgeEnd() {
	w := h.world
	if w.Failed() {
		return
	}
	if !h.ending.released {
		w.Violate("Shutdown does not go on: nothing is left to happen")
		return
	}
	var o outcome
	select {
	case o = <-h.ending.outcome:
		h.ending.returned = true
	case <-time.After(patience):
		w.Violate("Shutdown does not return")
		return
	}
	h.balanced(o.report.Counters)
	if o.report.Queued != 0 || o.report.InFlight != 0 {
		w.Violate("at the end %d operations are queued and %d in flight", o.report.Queued, o.report.InFlight)
	}
	if errors.Is(o.err, actor.ErrTimeout) {
		w.Violate("Shutdown: %w", o.err)
	}
	lossy, stuck := false, false
	for _, k := range w.Kernels() {
		lossy = lossy || k.Lost() > 0 || k.Asked()
		switch {
		case k.Stuck():
			stuck = true
		case !k.Closed():
			w.Violate("ring %d was not closed", k.Number())
		case k.InFlight() > 0:
			w.Violate("ring %d has %d requests in flight at the end", k.Number(), k.InFlight())
		}
	}
	if stuck {
		return // the ring is kept, and all that it needs
	}
	for _, l := range w.Lanes() {
		if !l.Ended() {
			w.Violate("a blocking lane has not ended")
		}
	}
	open := w.OpenDescriptors()
	if len(open) > w.LostDescriptors() || len(open) > 0 && !lossy {
		w.Violate("descriptor %d (%s) was not closed; %d are open", open[0].FD, open[0].Node.Path, len(open))
	}
	if n := w.Hired(); n > 0 {
		w.Violate("%d workers were not dismissed", n)
	}
}
