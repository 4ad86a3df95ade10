//go:build linux

package faults

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/messages"
)

// This file is what a test does with a requester: it asks, waits and stops. What
// comes in is in ledger_test.go.

// submit asks for an operation whose buffers are guarded.
func (r *requester) submit(op messages.Op) *entry {
	e := r.entry(op)
	e.loan = r.o.guards.lend(r.o.t, op)
	r.send(e, &messages.Submit{Op: op, ID: e.id})
	return e
}

// submitAs asks with a Submit of one's own, whose ID may be anybody's, and with
// no guard.
func (r *requester) submitAs(s *messages.Submit) *entry {
	e := r.entry(s.Op)
	e.id = s.ID
	r.send(e, s)
	return e
}

// submitBatch asks for all in one message.
func (r *requester) submitBatch(ops ...messages.Op) (entries []*entry) {
	batch := &messages.SubmitBatch{}
	for _, op := range ops {
		e := r.entry(op)
		e.loan = r.o.guards.lend(r.o.t, op)
		r.book(e)
		batch.Submits = append(batch.Submits, &messages.Submit{Op: op, ID: e.id, ReplyTo: r.pid, Token: e})
		entries = append(entries, e)
	}
	r.o.system.Root.Send(r.o.rm.PID(), batch)
	return entries
}

// entry makes an entry that is not on the books yet.
func (r *requester) entry(op messages.Op) *entry {
	return &entry{r: r, op: op, id: messages.OpID{Owner: r.pid, Seq: r.seq.Add(1)}}
}

func (r *requester) send(e *entry, s *messages.Submit) {
	r.book(e)
	s.ReplyTo, s.Token = r.pid, e
	r.o.system.Root.Send(r.o.rm.PID(), s)
}

func (r *requester) book(e *entry) {
	r.o.submitted.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		r.o.unheard.Add(1) // nobody will hear of its end
		return
	}
	r.open[e] = struct{}{}
}

// cancel asks for an entry's cancellation.
func (r *requester) cancel(e *entry) *cancellation {
	return r.ask(&cancellation{of: e}, func(c *cancellation) any {
		return &messages.Cancel{ID: e.id, ReplyTo: r.pid, Token: c}
	})
}

// abandon asks for an entry's cancellation, and wants no answer.
func (r *requester) abandon(e *entry) *cancellation {
	return r.ask(&cancellation{of: e, abandon: true}, func(c *cancellation) any {
		return &messages.Cancel{ID: e.id, Abandon: true, ReplyTo: r.pid, Token: c}
	})
}

// cancelAll asks for the cancellation of all that the requester has.
func (r *requester) cancelAll() *cancellation {
	return r.ask(&cancellation{}, func(c *cancellation) any {
		return &messages.CancelOwner{Owner: r.pid, ReplyTo: r.pid, Token: c}
	})
}

func (r *requester) ask(c *cancellation, message func(*cancellation) any) *cancellation {
	r.mu.Lock()
	r.asked++
	r.mu.Unlock()
	r.o.system.Root.Send(r.o.rm.PID(), message(c))
	return c
}

// until waits for something that answers bring about.
func (r *requester) until(what string, holds func() bool) {
	r.o.t.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	for {
		r.mu.Lock()
		if holds() {
			r.mu.Unlock()
			return
		}
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-end.C:
			r.o.t.Fatalf("%s waited in vain: %s\n%s", r.pid.Id, what, stacks())
		}
	}
}

// settled waits until everything is answered.
func (r *requester) settled() {
	r.o.t.Helper()
	r.until("everything is answered", func() bool { return len(r.open) == 0 && r.asked == 0 })
}

// wait waits for an entry's end.
func (e *entry) wait() *entry {
	e.r.o.t.Helper()
	e.r.until("the end of "+e.String(), func() bool { return e.done })
	return e
}

// String is what the entry is for, as in "read $3#17".
func (e *entry) String() string {
	if e.op == nil {
		return "nothing " + e.id.String()
	}
	return e.op.Name() + " " + e.id.String()
}

// isDone reports whether the entry is answered by now.
func (e *entry) isDone() bool {
	e.r.mu.Lock()
	defer e.r.mu.Unlock()
	return e.done
}

// completed waits for an entry's Completion.
func (e *entry) completed() *messages.Completion {
	e.r.o.t.Helper()
	e.wait()
	require.Nil(e.r.o.t, e.refused, "%s was refused: %+v", e.id, e.refused)
	return e.completion
}

// err waits for an entry's end, and gives its error.
func (e *entry) err() error {
	e.r.o.t.Helper()
	e.wait()
	return e.answerErr()
}

// answerErr is the error of an entry that has ended.
func (e *entry) answerErr() error {
	if e.refused != nil {
		return e.refused.Err
	}
	return e.completion.Err
}

// wait waits for the result of a cancellation.
func (c *cancellation) wait(r *requester) *messages.CancelResult {
	r.o.t.Helper()
	r.until("a CancelResult", func() bool { return c.result != nil })
	return c.result
}

// stop stops the actor and waits for its end: what it has in flight is nobody's
// from then on, and its answers are not owed to it.
func (r *requester) stop() {
	r.mu.Lock()
	first := !r.stopped
	r.stopped = true
	r.mu.Unlock()
	if !first {
		return
	}
	_ = r.o.system.Root.StopFuture(r.pid).Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := range r.open {
		e.giveUp()
	}
	r.asked = 0
}

// giveUp closes an entry whose answer is owed to nobody.
func (e *entry) giveUp() {
	e.done = true
	e.loan.orphan()
	e.r.o.unheard.Add(1)
	delete(e.r.open, e)
}

// run has the actor run f, and waits for it.
func (r *requester) run(f func(actor.Context)) {
	done := make(chan struct{})
	r.o.system.Root.Send(r.pid, func(ctx actor.Context) {
		defer close(done)
		f(ctx)
	})
	<-done
}

// judge is O1 for one requester.
func (r *requester) judge() {
	r.o.t.Helper()
	r.mu.Lock()
	stopped := r.stopped
	r.mu.Unlock()
	if stopped {
		return
	}
	r.run(func(actor.Context) {}) // what was sent to it has come
	r.mu.Lock()
	defer r.mu.Unlock()
	var missing []string
	for e := range r.open {
		missing = append(missing, e.String())
	}
	slices.Sort(missing)
	if len(missing) > 20 {
		missing = missing[:20]
	}
	if len(missing) > 0 || r.asked > 0 {
		r.o.t.Errorf("O1: %d answers and %d cancel results never came: %v", len(r.open), r.asked, missing)
	}
}
