package main

import (
	"fmt"
	"io/fs"
	"os"

	"github.com/ringmaster-io/ringmaster/messages"
)

// fileMax is how many bytes there are in a file.
const fileMax = 256 << 10

// files makes a file, does this and that to it, and reads it back.
func (c *scene) files() error {
	name := c.fresh()
	h, err := do(c.script, &messages.Open{Dir: c.dir, Path: name, Flags: os.O_RDWR | os.O_CREATE, Mode: 0o600})
	if err != nil {
		return err
	}
	want := make([]byte, c.dice.between(1, fileMax>>c.dice.IntN(8)))
	matter(c.dice.Uint64()).fill(want, 0)
	if err := c.pour(h, want); err != nil {
		return err
	}
	if c.dice.oneIn(4) {
		if want, err = c.resize(h, want); err != nil {
			return err
		}
	}
	if c.dice.oneIn(8) {
		if err := c.sync(h); err != nil {
			return err
		}
	}
	if c.dice.oneIn(3) {
		if name, err = c.rename(name); err != nil {
			return err
		}
	}
	if err := c.isThere(name, h, len(want)); err != nil {
		return err
	}
	gone := c.dice.oneIn(3) // its name, before it is read: the file is there for as long as it is open
	if gone {
		if err := c.unlink(name); err != nil {
			return err
		}
	}
	if err := c.readBack(h, want); err != nil {
		return err
	}
	if err := c.close(h); err != nil {
		return err
	}
	if err := c.isClosed(h); err != nil || gone {
		return err
	}
	return c.unlink(name)
}

// pour writes a file in pieces, all of them at once.
func (c *scene) pour(h messages.Handle, want []byte) error {
	pieces := c.dice.pieces(len(want), 1+len(want)/2)
	ops := make([]messages.Op, len(pieces))
	for i, p := range pieces {
		part := want[p.at : p.at+p.n]
		ops[i] = &messages.Write{Handle: h, Buf: part, Offset: int64(p.at)}
		if c.dice.oneIn(3) {
			ops[i] = &messages.WriteV{Handle: h, Bufs: c.cut(part), Offset: int64(p.at)}
		}
	}
	deeds, err := c.succeed(ops...)
	if err != nil {
		return err
	}
	for i, d := range deeds {
		if d.answer.N != pieces[i].n {
			return fmt.Errorf("%d of %d bytes are written", d.answer.N, pieces[i].n)
		}
	}
	return nil
}

// cut cuts a buffer into a few.
func (c *scene) cut(buf []byte) (bufs [][]byte) {
	for _, p := range c.dice.pieces(len(buf), 1+len(buf)/3) {
		bufs = append(bufs, buf[p.at:p.at+p.n])
	}
	return bufs[:len(bufs):len(bufs)]
}

// resize makes a file shorter or longer.
func (c *scene) resize(h messages.Handle, want []byte) ([]byte, error) {
	size := c.dice.between(1, 2*len(want))
	if _, err := do(c.script, &messages.Truncate{Handle: h, Size: int64(size)}); err != nil {
		return nil, err
	}
	resized := make([]byte, size)
	copy(resized, want)
	return resized, nil
}

func (c *scene) sync(h messages.Handle) error {
	if c.dice.oneIn(2) {
		_, err := do(c.script, &messages.Fsync{Handle: h})
		return err
	}
	_, err := do(c.script, &messages.Fdatasync{Handle: h})
	return err
}

func (c *scene) rename(name string) (string, error) {
	next := c.fresh()
	move := &messages.Rename{OldDir: c.dir, OldPath: name, NewDir: c.dir, NewPath: next}
	if _, err := do(c.script, move, fs.ErrNotExist); err != nil {
		return "", err
	}
	if err := wants(c.script, &messages.Stat{Dir: c.dir, Path: name}, fs.ErrNotExist); err != nil {
		return "", err
	}
	delete(c.names, name)
	return next, nil
}

func (c *scene) unlink(name string) error {
	if _, err := do(c.script, &messages.Unlink{Dir: c.dir, Path: name}, fs.ErrNotExist); err != nil {
		return err
	}
	delete(c.names, name)
	return nil
}

// isThere looks at a file by its name and by its handle.
func (c *scene) isThere(name string, h messages.Handle, size int) error {
	for _, op := range []*messages.Stat{{Dir: c.dir, Path: name}, {Dir: h}} {
		a, err := do(c.script, op)
		if err != nil {
			return err
		}
		if a.Size != int64(size) || !a.Mode.IsRegular() {
			return fmt.Errorf("a file of %d bytes is said to be %s of %d", size, a.Mode, a.Size)
		}
	}
	return nil
}

// isClosed wants a handle to be refused.
func (c *scene) isClosed(h messages.Handle) error {
	return wants(c.script, &messages.Read{Handle: h, Buf: make([]byte, 1)}, messages.ErrHandleClosed, messages.ErrBadHandle)
}

// readBack reads a file in pieces, all of them at once, and the end as well.
func (c *scene) readBack(h messages.Handle, want []byte) error {
	pieces := c.dice.pieces(len(want), 1+len(want)/2)
	ops := make([]messages.Op, len(pieces))
	got := make([]byte, len(want))
	for i, p := range pieces {
		part := got[p.at : p.at+p.n]
		ops[i] = &messages.Read{Handle: h, Buf: part, Offset: int64(p.at)}
		if c.dice.oneIn(3) {
			ops[i] = &messages.ReadV{Handle: h, Bufs: c.cut(part), Offset: int64(p.at)}
		}
	}
	ops = append(ops, &messages.Read{Handle: h, Buf: make([]byte, 16), Offset: int64(len(want))})
	pieces = append(pieces, piece{len(want), 0})
	deeds, err := c.succeed(ops...)
	if err != nil {
		return err
	}
	for i, d := range deeds {
		if d.answer.N != pieces[i].n {
			return fmt.Errorf("%d of %d bytes are read at %d", d.answer.N, pieces[i].n, pieces[i].at)
		}
	}
	return differ(got, want, 0)
}
