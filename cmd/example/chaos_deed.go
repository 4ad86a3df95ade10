package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// deed is one operation of a performer, from its Submit to its end, and holds
// the subsystem to what it has promised for it. It is never used again, so that
// a second answer is seen for what it is.
type deed struct {
	request
	by    *performer
	op    messages.Op
	spans []span // its buffers, as they were
	began time.Time
	// prompt: it ends by itself, and soon.
	prompt bool

	ended bool
	// again: it was refused since the ring owner crashed while it took it.
	// Nothing of it has happened, and it may be asked for again.
	again bool
	err   error
	// abandoned: nobody waits for it, so that it need not be answered. settled:
	// a cancellation has been answered, so that it must not be any more.
	abandoned, settled bool
}

// span identifies memory.
type span struct {
	first    *byte
	len, cap int
}

func spanOf(buf []byte) span {
	s := span{len: len(buf), cap: cap(buf)}
	if len(buf) > 0 {
		s.first = &buf[0]
	}
	return s
}

// spansOf are the buffers of an operation.
func spansOf(op messages.Op) (spans []span) {
	switch op := op.(type) {
	case *messages.Read:
		spans = append(spans, spanOf(op.Buf))
	case *messages.Write:
		spans = append(spans, spanOf(op.Buf))
	case *messages.ReadV:
		for _, buf := range op.Bufs {
			spans = append(spans, spanOf(buf))
		}
	case *messages.WriteV:
		for _, buf := range op.Bufs {
			spans = append(spans, spanOf(buf))
		}
	}
	return spans
}

// String says what it is, and since when.
func (d *deed) String() string {
	return fmt.Sprintf("%s #%d since %s", d.op.Name(), d.seq, time.Since(d.began).Round(time.Millisecond))
}

// answered implements asker.
func (d *deed) answered(ctx actor.Context, _ *request) {
	switch {
	case d.by.self != ctx.Self():
		d.broke("is answered to another actor")
	case d.settled:
		d.broke("is answered after its cancellation")
	case d.ended:
		d.broke("is answered twice")
	case d.answer.More:
		d.broke("is answered with an update")
	}
	d.checkMemory(d.answer.Op)
	d.checkError(d.answer.Err)
	d.end(d.answer.Err)
}

// refusedBy is the answer when the ring owner has crashed over it.
func (d *deed) refusedBy(m *messages.Refused) {
	if d.ended {
		d.broke("is refused after its end")
	}
	d.checkMemory(m.Op)
	d.again = true
	d.end(m.Err)
}

// checkMemory wants the operation back, and with it its buffers.
func (d *deed) checkMemory(op messages.Op) {
	if op != d.op {
		d.broke("brings another operation back: %v", op)
		return
	}
	for i, s := range spansOf(op) {
		if s != d.spans[i] {
			d.broke("brings another buffer back")
		}
	}
}

// checkError finds errors that must not be, whatever was asked for.
func (d *deed) checkError(err error) {
	switch {
	case err == nil:
	case errors.Is(err, messages.ErrOutcomeUnknown):
		d.broke("has an unknown outcome")
	case errors.Is(err, context.DeadlineExceeded):
		if by := d.submit.Deadline; by.IsZero() || time.Until(by) > clockSlack {
			d.broke("ends before its deadline")
		}
	case errors.Is(err, messages.ErrRingLost):
		// A ring that is drained is given its time, and then only asked to stop
		// what would go on for ever.
		if d.by.chaos.options.policy == actors.Drain && (d.prompt || time.Since(d.began) < drainTime) {
			d.broke("was cancelled with its ring")
		}
	}
}

const (
	// clockSlack is how far the kernel's clock for timers may be from ours.
	clockSlack = time.Millisecond
	// drainTime is how long a failed ring is given to end what it has.
	drainTime = 10 * time.Second
)

// end takes the operation off the books.
func (d *deed) end(err error) {
	d.ended, d.err = true, err
	delete(d.by.open, d)
	d.by.chaos.ledger.count(err)
	d.by.chaos.pauses.answered(d)
	switch op := d.op.(type) {
	case *messages.Open, *messages.Adopt:
		if err == nil {
			d.by.handles[d.answer.Handle] = struct{}{}
		}
	case *messages.Close:
		if !errors.Is(err, messages.ErrRefused) {
			delete(d.by.handles, op.Handle)
		}
	case *messages.Give:
		if err != nil {
			d.by.handles[op.Handle] = struct{}{}
		}
	}
}

func (d *deed) broke(format string, args ...any) {
	d.by.broke("%s %s", d, fmt.Sprintf(format, args...))
}

// cancelling is one Cancel, CancelOwner or CancelHandle, and the deeds that
// must have ended when it is answered.
type cancelling struct {
	by     *performer
	deeds  []*deed
	single bool // it names its deed
	done   bool
	result messages.CancelResult
}

func (c *cancelling) answered(m *messages.CancelResult) {
	if c.done {
		c.by.broke("a cancellation is answered twice")
	}
	c.done, c.result = true, *m
	for _, d := range c.deeds {
		switch {
		case d.ended:
		case d.abandoned:
			d.ended = true
			delete(c.by.open, d)
		default:
			d.broke("is open when its cancellation is answered")
			d.ended = true
			delete(c.by.open, d)
		}
		d.settled = true
		if c.single && !d.again && m.Outcome == messages.NotFound {
			d.broke("is not found by its cancellation")
		}
	}
}
