package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// hireling is an operation actor of a performer.
type hireling struct {
	by      *performer
	pid     *actor.PID
	stopped bool // in the midst: it need not say how it ended
	ended   bool
	err     error
}

// done takes an operation actor's last words. A handle that it brings is the
// performer's now.
func (h *hireling) done(err error, handle messages.Handle) {
	if h.ended {
		h.by.broke("an operation actor ends twice")
	}
	h.ended, h.err = true, err
	if err == nil && !handle.IsZero() {
		h.by.handles[handle] = struct{}{}
	}
}

// hire starts an operation actor.
func hire[R any](s *script, op messages.Operation[R]) *hireling {
	h := &hireling{by: s.performer}
	if !s.isCut {
		h.pid = actors.SpawnOp(s.ctx, s.chaos.client, op, h)
	}
	return h
}

// hirelings has operation actors do something, and stops or cancels some.
func (c *scene) hirelings() error {
	in, out, err := c.pipe()
	if err != nil {
		return err
	}
	var all, idle []*hireling
	for range c.dice.between(1, 8) {
		switch c.dice.IntN(5) {
		case 0:
			all = append(all, hire(c.script, &messages.Open{Dir: c.dir, Path: c.fresh(), Flags: os.O_RDWR | os.O_CREATE, Mode: 0o600}))
		case 1:
			all = append(all, hire(c.script, &messages.Stat{Dir: c.dir}))
		case 2:
			all = append(all, hire(c.script, &messages.Timeout{After: c.dice.time(5 * time.Millisecond)}))
		case 3:
			idle = append(idle, hire(c.script, &messages.Read{Handle: in, Buf: make([]byte, 16)}))
		default:
			all = append(all, hire(c.script, &messages.Open{Dir: c.dir, Path: "nothing", Flags: os.O_RDONLY}))
		}
	}
	if err := c.linger(); err != nil {
		return err
	}
	for _, h := range append(all, idle...) {
		c.dismiss(h)
	}
	if err := c.haveEnded(all, idle); err != nil {
		return err
	}
	return c.stillWorks(in, out, nil)
}

// dismiss stops an operation actor, or has it cancel its operation.
func (c *scene) dismiss(h *hireling) {
	switch {
	case c.isCut:
	case c.dice.oneIn(3):
		h.stopped = true
		c.chaos.ledger.killed.Add(1)
		c.ctx.Stop(h.pid)
	default:
		c.ctx.Send(h.pid, &actors.CancelOp{})
	}
}

// haveEnded waits until operation actors have said how they ended, or have
// stopped. The last words of one may come after the news of its death.
func (c *scene) haveEnded(all, idle []*hireling) error {
	everyone := append(all[:len(all):len(all)], idle...)
	err := c.wait(func() bool {
		for _, h := range everyone {
			if !c.dead[h.pid.Id] || !h.stopped && !h.ended {
				return false
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	if err := c.ping(); err != nil {
		return err
	}
	for _, h := range everyone {
		delete(c.dead, h.pid.Id)
		may := []error{messages.ErrRestarted, messages.ErrRingLost, context.Canceled, fs.ErrNotExist}
		if h.err != nil && !isOneOf(h.err, may) {
			return fmt.Errorf("an operation actor ends with %w", h.err)
		}
	}
	for _, h := range idle {
		if h.ended && h.err == nil {
			return fmt.Errorf("a read of an operation actor is cancelled and succeeds")
		}
	}
	return nil
}
