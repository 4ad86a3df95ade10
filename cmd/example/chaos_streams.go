package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// atomicWrite is PIPE_BUF: so many bytes go into a pipe together or not at all,
// so that those that are in flight behind them keep their order.
const atomicWrite = 4096

// flow is a stream from one performer to another, through a pipe.
type flow struct {
	matter
	in   messages.Handle
	read atomic.Int64 // by the reader, in order and as it should be
}

// streams sends a stream to another actor, several writes at a time. Whatever
// happens to the ring owner meanwhile, nothing may be lost, come twice, or come
// in another order. Some readers are stopped in the midst.
func (c *scene) streams() error {
	in, out, err := c.pipe()
	if err != nil {
		return err
	}
	f := &flow{matter: matter(c.dice.Uint64()), in: in}
	reader := c.ctx.Spawn(newPerformer(c.chaos, c.name+", its reader", role{c.dice.deriveDice(), f.drink}, nil))
	if _, err := do(c.script, &messages.Give{Handle: in, To: reader}); err != nil {
		return err
	}
	end := int64(c.dice.between(1<<10, 1<<20>>c.dice.IntN(5)))
	killAt := end + 1
	if c.dice.oneIn(6) {
		killAt = c.dice.Int64N(end)
	}
	written, err := c.write(f, out, min(end, killAt))
	if err != nil {
		return err
	}
	if killAt < end {
		return c.breakOff(f, reader, out, written)
	}
	if err := c.close(out); err != nil {
		return err
	}
	if err := c.wait(func() bool { return c.dead[reader.Id] }); err != nil {
		return err
	}
	delete(c.dead, reader.Id)
	if n := f.read.Load(); n != written {
		return fmt.Errorf("%d bytes were written to a stream, and %d read", written, n)
	}
	return nil
}

// write writes a stream up to some place.
func (c *scene) write(f *flow, out messages.Handle, end int64) (at int64, err error) {
	for at < end {
		deeds, err := c.all(c.writes(f, out, at)...)
		if err != nil {
			return at, err
		}
		for _, d := range deeds {
			if d.err != nil {
				return at, d.err
			}
			if n := len(d.op.(*messages.Write).Buf); d.answer.N != n {
				return at, fmt.Errorf("%d of %d bytes go into a pipe", d.answer.N, n)
			}
			at += int64(d.answer.N)
		}
	}
	return at, nil
}

// writes are the next few writes. With the policy to cancel it is one at a time:
// those behind one that is cancelled with its ring would go on without it.
func (c *scene) writes(f *flow, out messages.Handle, at int64) []messages.Op {
	ops := make([]messages.Op, c.dice.between(1, 8))
	if c.chaos.options.policy == actors.CancelInFlight {
		ops = ops[:1]
	}
	for i := range ops {
		buf := make([]byte, c.dice.between(1, atomicWrite))
		f.fill(buf, at)
		at += int64(len(buf))
		ops[i] = &messages.Write{Handle: out, Buf: buf}
	}
	return ops
}

// breakOff stops the reader, with which its end of the pipe must be closed.
func (c *scene) breakOff(f *flow, reader *actor.PID, out messages.Handle, at int64) error {
	c.chaos.ledger.killed.Add(1)
	c.ctx.Stop(reader)
	began := time.Now()
	for {
		n, err := c.write(f, out, at+1)
		switch {
		case errors.Is(err, syscall.EPIPE):
			return nil
		case err != nil:
			return err
		case time.Since(began) > c.chaos.options.patience:
			return fmt.Errorf("a pipe takes %d bytes, and its reader has stopped", n-at)
		}
		at = n
	}
}

// drink is the role of the reader. It cancels some of its reads, and gives
// others a deadline.
func (f *flow) drink(s *script) error {
	for at := int64(0); ; {
		reads, err := f.reads(s)
		if err != nil {
			return err
		}
		ended := false
		for _, d := range reads {
			if isOneOf(d.err, []error{messages.ErrRestarted, messages.ErrRingLost, context.Canceled, context.DeadlineExceeded}) {
				continue // it has taken nothing
			}
			if d.err != nil {
				return d.err
			}
			got := d.op.(*messages.Read).Buf[:d.answer.N]
			if ended && len(got) > 0 {
				return fmt.Errorf("a stream goes on after its end")
			}
			if err := f.check(got, at); err != nil {
				return fmt.Errorf("reading a stream: %w", err)
			}
			at += int64(len(got))
			ended = len(got) == 0
		}
		f.read.Store(at)
		if ended {
			return nil
		}
	}
}

// reads performs the next few reads.
func (f *flow) reads(s *script) (reads []*deed, err error) {
	for range s.dice.between(1, 4) {
		var by time.Time
		if s.dice.oneIn(8) {
			by = time.Now().Add(s.dice.time(5 * time.Millisecond))
		}
		reads = append(reads, s.beginBy(&messages.Read{Handle: f.in, Buf: make([]byte, s.dice.between(1, 2*atomicWrite))}, by))
	}
	var answers []*cancelling
	if s.dice.oneIn(8) {
		answers = append(answers, s.cancel(reads[s.dice.IntN(len(reads))]))
	}
	if err := s.end(reads...); err != nil {
		return nil, err
	}
	return reads, s.answers(answers...)
}
