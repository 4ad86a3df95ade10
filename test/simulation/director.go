package simulation

import (
	"fmt"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// deeds are what a step can be. The first is the plainest.
var deeds = []struct {
	name   string
	weight int
	// cornered is the weight while the ring owner of a cornered history hangs.
	cornered int
	do       func(*history)
}{
	{"submit", 40, 10, (*history).doSubmit},
	{"batch", 8, 0, (*history).doBatch},
	{"cancel", 9, 30, (*history).doCancel},
	{"cancel-other", 2, 0, (*history).doCancelOther},
	{"cancel-owner", 2, 10, (*history).doCancelOwner},
	{"cancel-handle", 3, 0, (*history).doCancelHandle},
	{"spawn-op", 7, 0, (*history).doSpawnOp},
	{"end-op", 3, 5, (*history).doEndOp},
	{"future", 3, 0, (*history).doFuture},
	{"bad", 3, 0, (*history).doBad},
	{"crash", 5, 0, (*history).doCrash},
	{"storm", 1, 0, (*history).doStorm},
	{"die", 3, 10, (*history).doDie},
	{"impostor", 2, 0, (*history).doImpostor},
	{"enter", 2, 0, (*history).doEnter},
	{"inspect", 3, 0, (*history).doInspect},
	{"pass", 8, 0, (*history).doPass},
	{"rest", 2, 0, (*history).doRest},
	{"flood", 1, 0, (*history).doFlood},
	{"no-ring", 1, 0, (*history).doNoRing},
	{"thaw", 1, 0, (*history).doThaw},
}

// step takes one step. It reports false when there is none left, or no use in
// another.
func (h *history) step() bool {
	if h.plan = h.script.step(); h.plan == nil {
		return false
	}
	weights := func(i int) int { return deeds[i].weight }
	if h.cornered && h.aside { // what can still happen to operations that are given up
		weights = func(i int) int { return deeds[i].cornered }
	}
	total := 0
	for i := range deeds {
		total += weights(i)
	}
	pick := h.plan.Pick(total)
	for i, d := range deeds {
		if pick -= weights(i); pick < 0 {
			h.coverage.deed(d.name)
			h.world.Note("step " + d.name)
			d.do(h)
			break
		}
	}
	h.breathe()
	return !h.world.Failed()
}

// stepAside takes a step, now and then, while the ring owner hangs in the
// kernel.
func (h *history) stepAside() {
	if !h.world.Hangs() || h.aside || h.over || h.world.Failed() || !h.script.order.Chance(h.asideChance()) {
		return
	}
	plan := h.plan
	h.aside = true
	h.step()
	h.aside, h.plan = false, plan
}

// asideChance is how often that is, of thousand steps of the world.
func (h *history) asideChance() int {
	if h.cornered {
		return 700
	}
	return 200
}

// breathe lets the world run for a while between two steps.
func (h *history) breathe() {
	switch n := h.plan.Pick(4); n {
	case 0: // until there is nothing to do at this moment
		h.settle(stepsMax)
	case 1:
		h.run(h.plan.Pick(4))
	default:
		h.run(h.plan.Pick(24))
	}
}

// stepsMax bounds how long the world may be busy without time passing.
const stepsMax = 20_000

// settle runs the world while there is something to do at this moment.
func (h *history) settle(most int) {
	for range most {
		if h.world.Idle() {
			return
		}
		if !h.world.Step() {
			return
		}
	}
	h.world.Violate("the world did not come to rest within %d steps", most)
}

// run lets the world take so many steps.
func (h *history) run(steps int) {
	for range steps {
		if !h.world.Step() {
			return
		}
	}
}

// someone decides for a requester that lives.
func (h *history) someone() *requester {
	var alive []*requester
	for _, r := range h.cast {
		if !r.dying {
			alive = append(alive, r)
		}
	}
	if len(alive) == 0 {
		return h.enter("")
	}
	return alive[h.plan.Pick(len(alive))]
}

// have tells a requester to do something in its own turn. What it decides then
// is still this step's.
func (h *history) have(r *requester, f act) {
	plan := h.plan
	h.system.Root.Send(r.pid, act(func(ctx actor.Context, r *requester) {
		outer := h.plan
		h.plan = plan
		defer func() { h.plan = outer }()
		f(ctx, r)
	}))
}

func (h *history) doSubmit() {
	h.have(h.someone(), func(ctx actor.Context, r *requester) {
		t := r.ticket()
		t.op = h.operation(r, t)
		h.send(ctx, r, h.submit(r, t))
	})
}

func (h *history) doBad() {
	h.have(h.someone(), func(ctx actor.Context, r *requester) {
		switch h.plan.Pick(8) {
		case 0:
			ctx.Request(h.owner, "nonsense")
		case 1:
			ctx.Request(h.owner, (*messages.Submit)(nil))
		case 2:
			ctx.Request(h.owner, &messages.SubmitBatch{Submits: []*messages.Submit{nil}})
		case 3:
			ctx.Request(h.owner, (*messages.Cancel)(nil))
		default:
			t := r.ticket()
			t.op = h.badOperation(r, t)
			h.send(ctx, r, h.submit(r, t))
		}
	})
}

func (h *history) doBatch() {
	h.have(h.someone(), func(ctx actor.Context, r *requester) {
		batch := &messages.SubmitBatch{}
		for range 1 + h.plan.Pick(8) {
			t := r.ticket()
			t.op = h.operation(r, t)
			batch.Submits = append(batch.Submits, h.submit(r, t))
		}
		ctx.Request(h.owner, batch)
	})
}

// ticket makes a ticket for an operation of the requester's own.
func (r *requester) ticket() *ticket {
	h := r.history
	t := &ticket{number: len(h.ledger.tickets) + 1, owner: r, reply: r}
	if r.dying { // it still gets messages, while it waits for its children's end
		t.forgiven = stopping
	}
	h.ledger.tickets = append(h.ledger.tickets, t)
	r.tickets = append(r.tickets, t)
	return t
}

// submit makes the Submit of a ticket, in one of the forms that it can have.
func (h *history) submit(r *requester, t *ticket) *messages.Submit {
	r.seq++
	m := &messages.Submit{Op: t.op, Token: t, ID: messages.OpID{Seq: r.seq}}
	t.id = messages.OpID{Owner: r.pid, Seq: r.seq}
	switch h.plan.Pick(16) {
	case 12:
		m.ID.Seq, t.id.Seq = 0, 0
	case 13: // another's answer
		other := h.someone()
		m.ReplyTo, t.reply = other.pid, other
		m.ID.Owner, t.others[0] = r.pid, r
	case 14: // a number that may be in use
		if n := uint64(h.plan.Pick(4)); n < r.seq {
			m.ID.Seq -= n
			t.id.Seq = m.ID.Seq
		}
	case 15: // whoever names himself may do so with a PID that is but equal
		m.ID.Owner = actor.NewPID(r.pid.Address, r.pid.Id)
	}
	if h.plan.Pick(5) == 4 {
		m.Deadline = h.world.Now().Add(time.Duration(h.plan.Pick(60)-5) * time.Millisecond)
	}
	if h.plan.Pick(3) == 2 {
		t.into = new(messages.Completion)
		m.Into = t.into
	}
	m.Batched = h.plan.Pick(3) == 2
	t.batch = m.Batched
	t.late = t.file != nil && t.file.owner != nil && t.file.owner.buried && !t.file.given
	h.ledger.expect(t)
	h.note("requester %d submits #%d", t)
	return m
}

// note notes what an operation is.
func (h *history) note(format string, t *ticket) {
	if h.world.OnNote != nil && !isNil(t.op) {
		format += ": " + strings.ReplaceAll(fmt.Sprintf("%s %+v", t.op.Name(), t.op), "%", "%%")
		if t.file != nil {
			format += " on " + t.file.node.Path
		}
	}
	by := int64(0)
	if t.owner != nil {
		by = int64(t.owner.index)
	}
	h.world.Log(format, by, int64(t.number))
}

// send posts a Submit, in one of the ways in which that can be done.
func (h *history) send(ctx actor.Context, r *requester, m *messages.Submit) {
	if m.ID.Owner != nil && h.plan.Pick(2) == 1 {
		ctx.Send(h.owner, m)
		return
	}
	ctx.Request(h.owner, m)
}

// ask makes an ask that the requester is to be answered.
func (r *requester) ask(what string) *ask {
	l := &r.history.ledger
	a := &ask{number: len(l.asks) + 1, what: what, reply: r}
	if r.dying {
		a.forgiven = stopping
	}
	l.asks = append(l.asks, a)
	return a
}

// recent decides for one of the requester's last operations, or nil.
func (h *history) recent(r *requester) *ticket {
	n := len(r.tickets)
	if n == 0 {
		return nil
	}
	return r.tickets[n-1-h.plan.Pick(min(n, 10))]
}

func (h *history) doCancel() {
	h.have(h.someone(), func(ctx actor.Context, r *requester) {
		t := h.recent(r)
		if t == nil || t.id.Seq == 0 {
			return
		}
		a := r.ask("cancel")
		a.target = t
		m := &messages.Cancel{ID: t.id, Token: a}
		if h.plan.Pick(4) == 3 {
			m.Abandon = true
			h.ledger.forgive("abandoned", func(other *ticket) bool { return other.owner == r && other.id.Seq == t.id.Seq })
		}
		if h.plan.Pick(6) == 5 {
			a.reply = h.someone()
			m.ReplyTo = a.reply.pid
		}
		h.world.Note("cancel %d of #%d, to be told to requester %d", int64(a.number), int64(t.number), int64(a.reply.index))
		ctx.Request(h.owner, m)
	})
}

// doCancelOther asks for the cancellation of what is another's, or nobody's, by
// one's own name: nothing may come of it.
func (h *history) doCancelOther() {
	h.have(h.someone(), func(ctx actor.Context, r *requester) {
		a := r.ask("cancel")
		ctx.Request(h.owner, &messages.Cancel{ID: messages.OpID{Owner: r.pid, Seq: 1 << 40}, Token: a})
	})
}

func (h *history) doCancelOwner() {
	h.have(h.someone(), func(ctx actor.Context, r *requester) {
		ctx.Request(h.owner, &messages.CancelOwner{Token: r.ask("cancel of an owner")})
	})
}

func (h *history) doCancelHandle() {
	h.have(h.someone(), func(ctx actor.Context, r *requester) {
		m := &messages.CancelHandle{Token: r.ask("cancel of a handle")}
		if f := h.file(r); f != nil {
			m.Handle = f.handle
		}
		ctx.Request(h.owner, m)
	})
}

func (h *history) doSpawnOp() {
	h.have(h.someone(), func(ctx actor.Context, r *requester) {
		l := &h.ledger
		s := &spawn{number: len(l.spawns) + 1, parent: r}
		if r.dying {
			s.forgiven = stopping
		}
		l.spawns = append(l.spawns, s)
		t := &ticket{number: -s.number}
		option := actor.WithDispatcher(h.dispatcher(h.plan.Pick(2) == 1))
		client := h.subsystem.Client()
		var pid *actor.PID
		switch h.plan.Pick(7) {
		case 0:
			pid = spawnOp(ctx, client, s, &messages.Nop{}, option)
		case 1:
			pid = spawnOp(ctx, client, s, makeRead(h, r, t).(*messages.Read), option)
		case 2:
			pid = spawnOp(ctx, client, s, makeWrite(h, r, t).(*messages.Write), option)
		case 3:
			pid = spawnOp(ctx, client, s, makeStat(h, r, t).(*messages.Stat), option)
		case 4:
			pid = spawnOp(ctx, client, s, makeTimeout(h, r, t).(*messages.Timeout), option)
		default:
			pid = spawnOp(ctx, client, s, makeOpen(h, r, t).(*messages.Open), option)
		}
		s.node = t.node
		r.actors = append(r.actors, pid)
		r.spawned = append(r.spawned, s)
	})
}

func spawnOp[R any](ctx actor.Context, c *actors.Client, s *spawn, op messages.Operation[R], option actor.PropsOption) *actor.PID {
	s.op = op
	return actors.SpawnOp(ctx, c, op, s, option)
}

// doEndOp has an operation actor cancel its operation, or stops it.
func (h *history) doEndOp() {
	h.have(h.someone(), func(ctx actor.Context, r *requester) {
		n := len(r.actors)
		if n == 0 {
			return
		}
		i := n - 1 - h.plan.Pick(min(n, 4))
		if h.plan.Pick(2) == 0 {
			ctx.Send(r.actors[i], &actors.CancelOp{})
			return
		}
		if s := r.spawned[i]; !s.told {
			s.forgiven = stopping
		}
		ctx.Stop(r.actors[i])
	})
}

// doFuture asks by a protoactor future, whose result is handed on.
func (h *history) doFuture() {
	h.have(h.someone(), func(ctx actor.Context, r *requester) {
		t := r.ticket()
		t.owner, t.future = nil, true
		r.tickets = r.tickets[:len(r.tickets)-1]
		t.op = h.operation(r, t)
		future := ctx.RequestFuture(h.owner, &messages.Submit{Op: t.op, Token: t}, -1)
		h.note("requester %d asks by a future for #%d", t)
		future.PipeTo(r.pid)
	})
}

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
			h.enter(r.name)
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
		ctx.Request(h.owner, &messages.Inspect{ReplyTo: r.pid, Token: r.ask("inspection")})
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
			ctx.Request(h.owner, &messages.Submit{Op: t.op, Token: t, ID: messages.OpID{Seq: r.seq}})
		}
	})
}

// doNoRing has no ring to be had for a while.
func (h *history) doNoRing() {
	h.world.Profile.Refuse = 1000
	h.world.AfterFunc(time.Duration(h.plan.Pick(300))*time.Millisecond, func() { h.world.Profile.Refuse = 0 })
}

func (h *history) doThaw() { h.world.Thaw() }
