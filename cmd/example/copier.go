package main

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

const (
	// copiers is how many copier actors there are, and transfersEach how many
	// files each has in flight. Few actors with many files are better than many
	// with few: an actor that finds its next answer waiting needs no wake-up.
	copiers       = 4
	transfersEach = 32
)

// batch is files of one directory, for one copier.
type batch struct {
	folder   *folder         // the director's, which alone looks into it
	from, to messages.Handle // the directories; zero where names are absolute
	path     string          // of the source directory, for people
	names    []string
	// as is the name of the copy, for a batch of one that changes its name. Its
	// source may be a symbolic link, which is then followed.
	as string
	// chmod says that the mode of every file must be set: what open(2) makes
	// of the one it is given is not known for this tree.
	chmod bool
}

func (b *batch) weight() int { return len(b.names) }

// batchDone tells the director that nothing of a batch is in flight any more.
type batchDone struct {
	batch *batch
	err   error // the first one; the files after it were not copied
}

// stopCopying tells a copier to start nothing more and to give up the files
// that it has in hand.
type stopCopying struct{}

// load is a batch in a copier's hands.
type load struct {
	*batch
	next int // of names: the next one to start
	left int // how many are not done
	err  error
}

// copier copies files: it takes batches from the director, keeps some files in
// flight as transfers, and reports each batch once.
type copier struct {
	port
	job      *copyJob
	director *actor.PID
	loads    []*load // with names left to start
	idle     []*transfer
	buffers  buffers
	stopping bool
}

func newCopier(job *copyJob, director *actor.PID) *copier {
	c := &copier{job: job, director: director, port: port{owner: job.owner}}
	for range transfersEach {
		c.idle = append(c.idle, newTransfer(c))
	}
	return c
}

// Receive implements actor.Actor.
func (c *copier) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		c.self = ctx.Self()
	case *batch:
		c.take(ctx, m)
	case *stopCopying:
		c.stop(ctx)
	default:
		c.receive(ctx)
	}
	c.flush(ctx)
}

func (c *copier) take(ctx actor.Context, b *batch) {
	c.loads = append(c.loads, &load{batch: b, left: len(b.names)})
	if c.stopping {
		c.stop(ctx)
		return
	}
	c.startMore(ctx)
}

// startMore gives idle transfers the next files.
func (c *copier) startMore(ctx actor.Context) {
	for len(c.idle) > 0 && len(c.loads) > 0 {
		t := c.idle[len(c.idle)-1]
		c.idle = c.idle[:len(c.idle)-1]
		l := c.loads[0]
		name := l.names[l.next]
		if l.next++; l.next == len(l.names) {
			c.loads = c.loads[1:]
		}
		t.start(ctx, l, name)
	}
}

// finished takes a transfer back.
func (c *copier) finished(ctx actor.Context, t *transfer) {
	c.idle = append(c.idle, t)
	c.settle(ctx, t.load, 1, t.err)
	if t.err != nil {
		c.stop(ctx)
	}
	c.startMore(ctx)
}

// settle takes n files off a load and reports it when none is left.
func (c *copier) settle(ctx actor.Context, l *load, n int, err error) {
	if l.err == nil {
		l.err = err
	}
	if l.left -= n; l.left == 0 {
		ctx.Send(c.director, &batchDone{batch: l.batch, err: l.err})
	}
}

// stop drops the files that were not started; each transfer gives up at the
// end of the operations that it has in flight.
func (c *copier) stop(ctx actor.Context) {
	c.stopping = true
	dropped := c.loads
	c.loads = nil
	for _, l := range dropped {
		c.settle(ctx, l, len(l.names)-l.next, errGivenUp)
	}
}
