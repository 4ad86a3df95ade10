package simulation

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// doCrash has the ring owner fail soon: at a failpoint, or at whichever comes
// next when something has happened in the lifecycle map.
func (h *history) doCrash() {
	points := actors.Failpoints()
	c := &crash{point: points[h.plan.Pick(len(points))]}
	kind := h.plan.Pick(4)
	if h.cornered {
		kind = 3
	}
	switch kind {
	case 2:
		c.waits, c.event, c.anywhere = true, ring.Event(h.plan.Pick(int(ring.Answered)+1)), h.plan.Pick(2) == 1
	case 3:
		c.waits, c.event, c.anywhere = true, ring.Forfeit, true
	default:
		c.after = h.plan.Pick(12)
	}
	h.crashes = append(h.crashes, c)
}

// doStorm has it fail again and again: what cleans up after a failure fails as
// well.
func (h *history) doStorm() {
	points := actors.Failpoints()
	for range 2 + h.plan.Pick(6) {
		h.crashes = append(h.crashes, &crash{point: points[h.plan.Pick(len(points))], after: h.plan.Pick(3)})
	}
}

func (h *history) doDie() {
	r := h.someone()
	if len(h.cast) > castMax {
		return
	}
	again := h.plan.Pick(3) == 2
	if h.plan.Pick(2) == 0 {
		r.dying = true
		h.died(r)
		h.system.Root.Stop(r.pid)
	} else {
		h.system.Root.Poison(r.pid)
	}
	if again {
		h.succeed(r)
	}
}

// succeed has another requester appear under a name as soon as the one who had
// it is gone.
func (h *history) succeed(r *requester) {
	for range stepsMax {
		if r.stopped {
			if _, taken := h.system.ProcessRegistry.Get(h.system.NewLocalPID(r.name)); !taken {
				h.enter(r.name)
			}
			return
		}
		if h.world.Idle() || !h.world.Step() {
			return
		}
	}
}

// doImpostor has a requester submit and stop, and another appear in its place,
// if it comes to that before the ring owner has seen what was submitted.
func (h *history) doImpostor() {
	if len(h.cast) >= castMax {
		return
	}
	r := h.enter("")
	h.have(r, func(ctx actor.Context, r *requester) {
		for range 1 + h.plan.Pick(3) {
			t := r.ticket()
			t.op = h.operation(r, t)
			h.send(ctx, r, h.submit(r, t))
		}
	})
	h.system.Root.Poison(r.pid)
	h.succeed(r)
}

func (h *history) doEnter() {
	if len(h.cast) < castMax {
		h.enter("")
	}
}

// castMax is how many requesters there may have been.
const castMax = 16

func (h *history) doInspect() {
	h.have(h.someone(), func(ctx actor.Context, r *requester) {
		r.post(ctx, &messages.Inspect{ReplyTo: r.pid, Token: r.ask("inspection")})
	})
}

// doPass lets time pass.
func (h *history) doPass() {
	until := h.world.Now().Add(time.Duration(1+h.plan.Pick(400)) * time.Millisecond)
	passed := false
	h.world.AfterFunc(until.Sub(h.world.Now()), func() { passed = true })
	for range stepsMax {
		if passed || !h.world.Step() {
			return
		}
	}
	h.world.Violate("time does not pass within %d steps", stepsMax)
}

// doRest lets time pass until nothing is left that could happen by itself. What
// is not answered then must be with a kernel that hangs or waits.
func (h *history) doRest() {
	for range restSteps {
		if !h.world.Step() {
			h.judgeRest()
			return
		}
	}
}

// restSteps is how long a rest is waited for: somebody who tries for a ring
// never rests.
const restSteps = 2000

// doFlood submits more than anybody can take.
func (h *history) doFlood() {
	h.have(h.someone(), func(ctx actor.Context, r *requester) {
		for range 20 + 100*h.plan.Pick(3) {
			t := r.ticket()
			r.seq++
			t.op, t.id = &messages.Nop{}, messages.OpID{Owner: r.pid, Seq: r.seq}
			r.post(ctx, &messages.Submit{Op: t.op, Token: t, ID: messages.OpID{Seq: r.seq}})
		}
	})
}

// doNoRing has no ring to be had for a while.
func (h *history) doNoRing() {
	h.world.Profile.Refuse = 1000
	h.world.AfterFunc(time.Duration(h.plan.Pick(300))*time.Millisecond, func() { h.world.Profile.Refuse = 0 })
}

func (h *history) doThaw() { h.world.Thaw() }
