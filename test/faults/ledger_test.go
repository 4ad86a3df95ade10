//go:build linux

package faults

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// requester is an actor whose operations are on the ledger: for each Submit one
// entry, which is closed by its terminal answer, once. What comes that is not
// owed fails the test.
type requester struct {
	o     *oracle
	pid   *actor.PID
	seq   atomic.Uint64
	ready chan struct{} // capacity 1: a Ready came
	// then, if not nil, is told of each entry that is answered, in the actor's
	// own turn. It is set before the first Submit.
	then func(*entry)

	mu      sync.Mutex
	open    map[*entry]struct{}
	asked   int // cancellations without a result
	stopped bool
	changed chan struct{} // closed when something is answered; nil while nobody waits
}

// entry is one Submit, and how it ended.
type entry struct {
	r    *requester
	id   messages.OpID
	op   messages.Op
	loan loan
	tag  any // the test's own

	// These are there when done.
	done       bool
	completion *messages.Completion // or else
	refused    *messages.Refused
	data       []byte // a copy of what a Read brought; its buffer is poisoned again
	at         time.Time
}

// cancellation is one Cancel of an entry, or with no entry a CancelOwner or
// CancelHandle.
type cancellation struct {
	of      *entry
	abandon bool // the entry ends without an answer, unless one was on its way
	result  *messages.CancelResult
}

// requester spawns one. It is stopped when the test ends, if it has not been.
func (o *oracle) requester() *requester {
	r := &requester{o: o, ready: make(chan struct{}, 1), open: make(map[*entry]struct{})}
	r.pid = o.system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return r }))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asking = append(o.asking, r)
	return r
}

// Receive implements actor.Actor. A func it runs, as the actor's own code.
func (r *requester) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case func(actor.Context):
		m(ctx)
	case *messages.Completion:
		r.complete(m)
	case *messages.CompletionBatch:
		for _, c := range m.Completions {
			r.complete(c)
		}
	case *messages.Refused:
		e, _ := m.Token.(*entry)
		r.answer(e, m.ID, m.Op, func() { e.refused = m })
	case *messages.CancelResult:
		r.cancelled(m)
	case *messages.Ready:
		select {
		case r.ready <- struct{}{}:
		default:
		}
	case actor.SystemMessage, actor.AutoReceiveMessage, *actor.Started:
	default:
		r.o.t.Errorf("O1: %s got a %T that is owed to nobody", r.pid.Id, m)
	}
}

func (r *requester) complete(c *messages.Completion) {
	if c.More {
		return // an update; the terminal answer is still to come
	}
	e, _ := c.Token.(*entry)
	op := c.Op
	if e != nil && op == nil && errors.Is(c.Err, messages.ErrOutcomeUnknown) {
		op = e.op // its memory is forfeited
	}
	r.answer(e, c.ID, op, func() { e.completion = c })
}

func (r *requester) answer(e *entry, id messages.OpID, op messages.Op, with func()) {
	if e == nil || e.r != r {
		r.o.t.Errorf("O1: %s got an answer for %s, which it did not ask", r.pid.Id, id)
		return
	}
	if r.close(e, id, op, with) && r.then != nil {
		r.then(e)
	}
}

// close closes an entry, and reports false if it was closed before.
func (r *requester) close(e *entry, id messages.OpID, op messages.Op, with func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.done {
		r.o.t.Errorf("O1: a second answer for %s", e)
		return false
	}
	if id.Seq != e.id.Seq || e.id.Owner != nil && !e.id.Owner.Equal(id.Owner) {
		r.o.t.Errorf("O1: the answer for %s says %s", e.id, id)
	}
	if op != e.op {
		r.o.t.Errorf("O1: the answer for %s does not bring its operation back", e.id)
	}
	with()
	e.done, e.at = true, time.Now()
	delete(r.open, e)
	e.settle()
	r.wake()
	return true
}

// settle books the end, and takes the buffers back.
func (e *entry) settle() {
	if e.refused != nil {
		e.r.o.refused.Add(1)
		e.data = e.loan.back(0, e.refused.Err)
		return
	}
	e.r.o.completed.Add(1)
	e.data = e.loan.back(e.completion.N, e.completion.Err)
}

func (r *requester) cancelled(m *messages.CancelResult) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := m.Token.(*cancellation)
	if !ok || c.result != nil {
		r.o.t.Errorf("O1: a second CancelResult, or one that was not asked: %+v", m)
		return
	}
	if e := c.of; e != nil && !e.done {
		if !c.abandon {
			r.o.t.Errorf("O1: the CancelResult of %s comes before its terminal answer", e.id)
		}
		e.giveUp()
	}
	c.result = m
	r.asked--
	r.wake()
}

func (r *requester) wake() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}
