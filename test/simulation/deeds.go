package simulation

import (
	"fmt"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

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
			r.post(ctx, "nonsense")
		case 1:
			r.post(ctx, (*messages.Submit)(nil))
		case 2:
			r.post(ctx, &messages.SubmitBatch{Submits: []*messages.Submit{nil}})
		case 3:
			r.post(ctx, (*messages.Cancel)(nil))
		default:
			t := r.ticket()
			t.op = h.badOperation(r, t)
			h.send(ctx, r, h.submit(r, t))
			if t.id.Seq != 0 && h.plan.Pick(3) == 2 {
				a := r.ask("cancel")
				a.target = t
				r.post(ctx, &messages.Cancel{ID: t.id, Token: a})
			}
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
		r.post(ctx, batch)
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
		r.posting = true
		ctx.Send(h.owner, m)
		r.posting = false
		return
	}
	r.post(ctx, m)
}

// post posts a message to the ring owner.
func (r *requester) post(ctx actor.Context, message any) {
	r.posting = true
	ctx.Request(r.history.owner, message)
	r.posting = false
}

// ask makes an ask that the requester is to be answered.
func (r *requester) ask(what string) *ask {
	l := &r.history.ledger
	a := &ask{number: len(l.asks) + 1, what: what, by: r, reply: r}
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
		r.post(ctx, m)
	})
}

// doCancelOther asks for the cancellation of what is another's, or nobody's, by
// one's own name: nothing may come of it.
func (h *history) doCancelOther() {
	h.have(h.someone(), func(ctx actor.Context, r *requester) {
		a := r.ask("cancel")
		r.post(ctx, &messages.Cancel{ID: messages.OpID{Owner: r.pid, Seq: 1 << 40}, Token: a})
	})
}

func (h *history) doCancelOwner() {
	h.have(h.someone(), func(ctx actor.Context, r *requester) {
		r.post(ctx, &messages.CancelOwner{Token: r.ask("cancel of an owner")})
	})
}

func (h *history) doCancelHandle() {
	h.have(h.someone(), func(ctx actor.Context, r *requester) {
		m := &messages.CancelHandle{Token: r.ask("cancel of a handle")}
		if f := h.file(r); f != nil {
			m.Handle = f.handle
		}
		r.post(ctx, m)
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
		t.owner, t.future, t.byName = nil, true, true // protoactor hands its result on by name
		r.tickets = r.tickets[:len(r.tickets)-1]
		t.op = h.operation(r, t)
		future := ctx.RequestFuture(h.owner, &messages.Submit{Op: t.op, Token: t}, -1)
		h.note("requester %d asks by a future for #%d", t)
		future.PipeTo(r.pid)
	})
}
