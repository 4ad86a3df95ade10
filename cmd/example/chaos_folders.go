package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/ringmaster-io/ringmaster/messages"
)

// pileMax is how many files there are in a folder.
const pileMax = 24

// folders makes a directory with files in it, and lists it.
func (c *scene) folders() error {
	name := c.fresh()
	c.names[name] = true
	if _, err := do(c.script, &messages.Mkdir{Dir: c.dir, Path: name, Mode: 0o700}, fs.ErrExist); err != nil {
		return err
	}
	if err := wants(c.script, &messages.Mkdir{Dir: c.dir, Path: name}, fs.ErrExist); err != nil {
		return err
	}
	folder, err := do(c.script, &messages.Open{Dir: c.dir, Path: name, Flags: os.O_RDONLY | syscall.O_DIRECTORY})
	if err != nil {
		return err
	}
	want := make(map[string]bool)
	ops := make([]messages.Op, c.dice.between(1, pileMax))
	for i := range ops {
		file := string(rune('a' + i))
		want[file] = true
		ops[i] = &messages.Open{Dir: folder, Path: file, Flags: os.O_WRONLY | os.O_CREATE, Mode: 0o600}
	}
	if _, err := c.succeed(ops...); err != nil {
		return err
	}
	if err := c.lists(folder, want); err != nil {
		return err
	}
	return wants(c.script, &messages.Unlink{Dir: c.dir, Path: name, Directory: true}, syscall.ENOTEMPTY)
}

// lists reads a directory, a part at a time.
func (c *scene) lists(folder messages.Handle, want map[string]bool) error {
	seen := make(map[string]bool)
	for limit := c.dice.between(0, len(want)); ; {
		entries, err := do(c.script, &messages.ReadDir{Handle: folder, Limit: limit})
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if seen[e.Name] || !want[e.Name] {
				return fmt.Errorf("a directory lists %q, which is there once or not at all", e.Name)
			}
			seen[e.Name] = true
		}
	}
	if len(seen) != len(want) {
		return fmt.Errorf("a directory lists %d of %d files", len(seen), len(want))
	}
	return nil
}

// links gives a file further names, other modes and other times.
func (c *scene) links() error {
	name, hard, soft := c.fresh(), c.fresh(), c.fresh()
	h, err := do(c.script, &messages.Open{Dir: c.dir, Path: name, Flags: os.O_RDWR | os.O_CREATE, Mode: 0o600})
	if err != nil {
		return err
	}
	link := &messages.Link{OldDir: c.dir, OldPath: name, NewDir: c.dir, NewPath: hard}
	if _, err := do(c.script, link, fs.ErrExist); err != nil {
		return err
	}
	if _, err := do(c.script, &messages.Symlink{Target: name, Dir: c.dir, Path: soft}, fs.ErrExist); err != nil {
		return err
	}
	says, err := do(c.script, &messages.ReadLink{Dir: c.dir, Path: soft})
	if err != nil {
		return err
	}
	if says != name {
		return fmt.Errorf("a link says %q instead of %q", says, name)
	}
	when := time.Unix(c.dice.Int64N(1<<31), c.dice.Int64N(1e9))
	if _, err := do(c.script, &messages.SetTimes{Dir: c.dir, Path: soft, Modified: when}); err != nil {
		return err
	}
	if _, err := do(c.script, &messages.Chmod{Handle: h, Mode: 0o640}); err != nil {
		return err
	}
	a, err := do(c.script, &messages.Stat{Dir: c.dir, Path: hard})
	if err != nil {
		return err
	}
	if a.Links != 2 || a.Mode != 0o640 || !a.Modified.Equal(when) {
		return fmt.Errorf("a file has %d links, mode %s and time %s", a.Links, a.Mode, a.Modified)
	}
	return nil
}

// bursts has many small operations in flight at once.
func (c *scene) bursts() error {
	name := c.fresh()
	h, err := do(c.script, &messages.Open{Dir: c.dir, Path: name, Flags: os.O_RDWR | os.O_CREATE, Mode: 0o600})
	if err != nil {
		return err
	}
	want := make([]byte, 4096)
	matter(c.dice.Uint64()).fill(want, 0)
	if err := c.pour(h, want); err != nil {
		return err
	}
	ops := make([]messages.Op, c.dice.between(16, 256))
	for i := range ops {
		switch c.dice.IntN(4) {
		case 0:
			ops[i] = &messages.Nop{}
		case 1:
			ops[i] = &messages.Stat{Dir: c.dir, Path: name}
		default:
			ops[i] = &messages.Read{Handle: h, Buf: make([]byte, len(want))}
		}
	}
	deeds, err := c.succeed(ops...)
	if err != nil {
		return err
	}
	for _, d := range deeds {
		if read, ok := d.op.(*messages.Read); ok && !bytes.Equal(read.Buf, want) {
			return fmt.Errorf("a read of %d bytes brings %d others", len(want), d.answer.N)
		}
	}
	return nil
}
