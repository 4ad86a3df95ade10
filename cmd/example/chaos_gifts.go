package main

import (
	"fmt"
	"os"
	"syscall"

	"github.com/ringmaster-io/ringmaster/messages"
)

// gift is a file that a performer gives to another: open, and without a name.
type gift struct {
	matter
	handle messages.Handle
	size   int
}

// IgnoreDeadLetterLogging: whom it is for may have stopped.
func (*gift) IgnoreDeadLetterLogging() {}

// gifts gives an open file away. Its giver's end will not close it; its new
// owner's will.
func (c *scene) gifts() error {
	places := c.chaos.cast.places
	to := places[c.dice.IntN(len(places))].Load()
	if to == nil {
		return nil // not engaged yet
	}
	g := &gift{matter: matter(c.dice.Uint64()), size: c.dice.between(1, 1<<14)}
	name := c.fresh()
	var err error
	g.handle, err = do(c.script, &messages.Open{Dir: c.dir, Path: name, Flags: os.O_RDWR | os.O_CREATE, Mode: 0o600})
	if err != nil {
		return err
	}
	content := make([]byte, g.size)
	g.fill(content, 0)
	if err := c.pour(g.handle, content); err != nil {
		return err
	}
	if err := c.unlink(name); err != nil {
		return err
	}
	_, err = do(c.script, &messages.Give{Handle: g.handle, To: to})
	switch {
	case isOneOf(err, []error{messages.ErrOwner, syscall.ESRCH}):
		return nil // it has stopped; the file is still ours
	case err != nil:
		return err
	}
	c.ctx.Send(to, g)
	return nil
}

// unwrap looks at what was given.
func (c *scene) unwrap() error {
	g := c.presents[0]
	c.presents = c.presents[1:]
	c.handles[g.handle] = struct{}{}
	got, err := do(c.script, &messages.Read{Handle: g.handle, Buf: make([]byte, g.size)})
	if err != nil {
		return err
	}
	if len(got) != g.size {
		return fmt.Errorf("a file of %d bytes was given, and has %d", g.size, len(got))
	}
	if err := g.check(got, 0); err != nil {
		return err
	}
	if err := c.close(g.handle); err != nil {
		return err
	}
	return wants(c.script, &messages.Stat{Dir: g.handle}, messages.ErrHandleClosed, messages.ErrBadHandle)
}
