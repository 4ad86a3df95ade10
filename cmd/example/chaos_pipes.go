package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ringmaster-io/ringmaster/messages"
)

// poison is what a buffer is filled with that the kernel is done with.
const poison = 0xa5

// pipe makes a pipe whose ends are the performer's.
func (s *script) pipe() (in, out messages.Handle, err error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return in, out, fmt.Errorf("making a pipe: %w", err)
	}
	// Adopt duplicates them.
	defer reader.Close()
	defer writer.Close()
	if in, err = do(s, &messages.Adopt{File: reader}); err != nil {
		return in, out, err
	}
	out, err = do(s, &messages.Adopt{File: writer})
	return in, out, err
}

// idleReads has reads, polls and timers wait for what does not come, and cancels
// them.
func (c *scene) idleReads() error {
	in, out, err := c.pipe()
	if err != nil {
		return err
	}
	var waiting []*deed
	for range c.dice.between(1, 6) {
		waiting = append(waiting, c.begin(c.idler(in)))
	}
	if err := c.linger(); err != nil {
		return err
	}
	if err := c.answers(c.cancelEach(in, waiting)...); err != nil {
		return err
	}
	if err := c.areCancelled(waiting); err != nil {
		return err
	}
	return c.stillWorks(in, out, waiting)
}

// idler is an operation that would wait for ever.
func (c *scene) idler(in messages.Handle) messages.Op {
	switch c.dice.IntN(6) {
	case 0:
		return &messages.Poll{Handle: in, Events: messages.Readable}
	case 1:
		return &messages.Timeout{After: time.Hour}
	case 2:
		return &messages.ReadV{Handle: in, Bufs: [][]byte{make([]byte, 7), make([]byte, 64)}}
	default:
		return &messages.Read{Handle: in, Buf: make([]byte, c.dice.between(1, 512))}
	}
}

// linger lets a random time pass: often none, so that the cancellation meets
// what it cancels on its way, and now and then more than a drained ring has.
func (c *scene) linger() error {
	switch n := c.dice.IntN(100); {
	case n < 40:
		return nil
	case n < 90:
		return c.sleep(c.dice.time(20 * time.Millisecond))
	case n < 99:
		return c.sleep(c.dice.time(time.Second))
	default:
		return c.sleep(drainTime + 2*time.Second)
	}
}

// cancelEach cancels in one of the ways there are, and in random order.
func (c *scene) cancelEach(in messages.Handle, deeds []*deed) (answers []*cancelling) {
	way := c.dice.IntN(4)
	if way == 0 {
		return append(answers, c.cancelAll())
	}
	if way == 1 {
		var onPipe []*deed
		for _, d := range deeds {
			if _, timer := d.op.(*messages.Timeout); !timer {
				onPipe = append(onPipe, d)
			}
		}
		answers = append(answers, c.cancelOn(in, onPipe...))
	}
	for _, i := range c.dice.Perm(len(deeds)) {
		answers = append(answers, c.cancel(deeds[i]))
	}
	return answers
}

// areCancelled wants operations to have ended without having done anything.
func (c *scene) areCancelled(deeds []*deed) error {
	for _, d := range deeds {
		if err := d.err; !d.again && !errors.Is(err, context.Canceled) && !errors.Is(err, messages.ErrRingLost) {
			return fmt.Errorf("%s is cancelled and ends with %v (%d)", d.op.Name(), err, d.answer.N)
		}
	}
	return nil
}

// stillWorks sends something through the pipe after the cancellations: none of
// them may have taken it, or write to its old buffer now.
func (c *scene) stillWorks(in, out messages.Handle, cancelled []*deed) error {
	for _, d := range cancelled {
		for _, buf := range buffersOf(d.op) {
			fill(buf)
		}
	}
	word := make([]byte, 16)
	matter(c.dice.Uint64()).fill(word, 0)
	if _, err := do(c.script, &messages.Write{Handle: out, Buf: word}); err != nil {
		return err
	}
	got, err := do(c.script, &messages.Read{Handle: in, Buf: make([]byte, 64)})
	if err != nil {
		return err
	}
	if !bytes.Equal(got, word) {
		return fmt.Errorf("%d bytes go into a pipe, and %d others come out", len(word), len(got))
	}
	for _, d := range cancelled {
		for _, buf := range buffersOf(d.op) {
			if !isFilled(buf) {
				d.broke("is written to after its end")
			}
		}
	}
	return nil
}

func buffersOf(op messages.Op) [][]byte {
	switch op := op.(type) {
	case *messages.Read:
		return [][]byte{op.Buf}
	case *messages.ReadV:
		return op.Bufs
	default:
		return nil
	}
}

func fill(buf []byte) {
	for i := range buf {
		buf[i] = poison
	}
}

func isFilled(buf []byte) bool { return len(bytes.Trim(buf, string([]byte{poison}))) == 0 }

// deadlines has operations end by their deadlines, and not before.
func (c *scene) deadlines() error {
	in, _, err := c.pipe()
	if err != nil {
		return err
	}
	var waiting []*deed
	for range c.dice.between(1, 6) {
		by := time.Now().Add(c.dice.time(30 * time.Millisecond))
		waiting = append(waiting, c.beginBy(c.idler(in), by))
	}
	// These may end either way.
	stat := c.beginBy(&messages.Stat{Dir: c.dir}, time.Now().Add(c.dice.time(time.Millisecond)))
	short := c.begin(&messages.Timeout{After: c.dice.time(5 * time.Millisecond)})
	if err := c.end(append(waiting, stat, short)...); err != nil {
		return err
	}
	for _, d := range waiting {
		if !d.again && !errors.Is(d.err, context.DeadlineExceeded) && !errors.Is(d.err, messages.ErrRingLost) {
			return fmt.Errorf("%s has a deadline and ends with %v", d.op.Name(), d.err)
		}
	}
	if err := stat.err; err != nil && !stat.again && !isOneOf(err, []error{context.DeadlineExceeded, messages.ErrRingLost}) {
		return err
	}
	after := short.op.(*messages.Timeout).After
	if short.err == nil && time.Since(short.began) < after-clockSlack {
		return fmt.Errorf("a timer of %s ends after %s", after, time.Since(short.began))
	}
	return nil
}

// abandoned begins what nobody waits for: a file that is opened late must be
// closed, which the census of descriptors at the end shows.
func (c *scene) abandoned() error {
	in, out, err := c.pipe()
	if err != nil {
		return err
	}
	var answers []*cancelling
	for range c.dice.between(1, 8) {
		var op messages.Op = c.idler(in)
		if c.dice.oneIn(2) {
			op = &messages.Open{Dir: c.dir, Path: c.fresh(), Flags: os.O_RDWR | os.O_CREATE, Mode: 0o600}
		}
		d := c.begin(op)
		if c.dice.oneIn(4) {
			if err := c.linger(); err != nil {
				return err
			}
		}
		answers = append(answers, c.abandon(d))
	}
	if err := c.answers(answers...); err != nil {
		return err
	}
	return c.stillWorks(in, out, nil)
}

// massCancels has all that the performer has in flight cancelled at once,
// whatever it is and wherever it is.
func (c *scene) massCancels() error {
	in, out, err := c.pipe()
	if err != nil {
		return err
	}
	name := c.fresh()
	file, err := do(c.script, &messages.Open{Dir: c.dir, Path: name, Flags: os.O_RDWR | os.O_CREATE, Mode: 0o600})
	if err != nil {
		return err
	}
	for range c.dice.between(4, 64) {
		var op messages.Op = c.idler(in)
		switch c.dice.IntN(5) {
		case 0:
			op = &messages.Write{Handle: file, Buf: make([]byte, 4096), Offset: 4096 * c.dice.Int64N(16)}
		case 1:
			op = &messages.Fdatasync{Handle: file}
		case 2:
			op = &messages.Stat{Dir: c.dir, Path: name}
		}
		c.begin(op)
	}
	if err := c.linger(); err != nil {
		return err
	}
	began := make([]*deed, 0, len(c.open))
	for d := range c.open {
		began = append(began, d)
	}
	if err := c.answers(c.cancelAll()); err != nil {
		return err
	}
	for _, d := range began {
		if d.err != nil && !d.again && !isOneOf(d.err, []error{context.Canceled, messages.ErrRingLost}) {
			return fmt.Errorf("%s is cancelled and ends with %w", d.op.Name(), d.err)
		}
	}
	return c.drains(in, out)
}

// drains has the pipe's reader see its end when the writing end is closed.
func (c *scene) drains(in, out messages.Handle) error {
	if err := c.close(out); err != nil {
		return err
	}
	got, err := do(c.script, &messages.Read{Handle: in, Buf: make([]byte, 1)})
	if err == nil && len(got) > 0 {
		return fmt.Errorf("an empty pipe has %d bytes", len(got))
	}
	return err
}
