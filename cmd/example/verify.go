package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

const (
	// verifiers is how many goroutines compare entries.
	verifiers = 32
	// differencesSaid is how many are listed; the rest is counted.
	differencesSaid = 10
)

// verifier compares a tree with its copy: one goroutine walks the directories,
// others compare entries, and all of them just wait for their operations.
type verifier struct {
	ctx    context.Context
	client *actors.Client
	plan   *plan
	jobs   chan pair
	found  differences
}

// level is a directory of both trees, source and copy, which is open as long
// as anybody needs it.
type level struct {
	dirs  [2]messages.Handle
	path  string // for people
	users atomic.Int32
}

// pair is an entry of both trees.
type pair struct {
	level *level
	names [2]string
	top   bool // the source may be a link, which was followed
}

// differences are where a copy is not what it should be.
type differences struct {
	mutex sync.Mutex
	lines []string
	count int
	err   error // the comparison itself failed
}

func newVerifier(ctx context.Context, c *actors.Client, p *plan) *verifier {
	return &verifier{ctx: ctx, client: c, plan: p, jobs: make(chan pair, verifiers)}
}

// compare gives the differences, or the reason for which it could not tell.
func (v *verifier) compare() (*differences, error) {
	var workers sync.WaitGroup
	for range verifiers {
		workers.Go(func() {
			buffers := [2][]byte{make([]byte, chunk), make([]byte, chunk)}
			for p := range v.jobs {
				v.found.note(v.entry(p, buffers))
				v.found.note(v.leave(p.level))
			}
		})
	}
	v.found.note(v.walk())
	close(v.jobs)
	workers.Wait()
	return &v.found, v.found.err
}

// walk finds the pairs, beginning with the two roots.
func (v *verifier) walk() error {
	above := &level{dirs: [2]messages.Handle{{}, v.plan.targetDir}}
	above.users.Store(2) // and never fewer than one: the plan's handle stays open
	roots := pair{above, [2]string{v.plan.source, v.plan.targetName}, true}
	v.jobs <- roots
	if v.plan.attributes.Mode.IsDir() {
		return v.folder(roots, "")
	}
	return nil
}

// folder goes through one directory. The path is "" for the roots.
func (v *verifier) folder(p pair, path string) error {
	if v.ctx.Err() != nil {
		return errInterrupted
	}
	l := &level{path: path}
	l.users.Store(1)
	var kinds [2]map[string]fs.FileMode
	for side := range kinds {
		open := &messages.Open{Dir: p.level.dirs[side], Path: p.names[side], Flags: openFolder}
		if !p.top {
			open.Flags |= syscall.O_NOFOLLOW
		}
		dir, err := await(v.ctx, v.client, open)
		if err != nil {
			return errors.Join(err, v.leave(l))
		}
		l.dirs[side] = dir
		entries, err := await(v.ctx, v.client, &messages.ReadDir{Handle: dir})
		if err != nil {
			return errors.Join(err, v.leave(l))
		}
		kinds[side] = make(map[string]fs.FileMode, len(entries))
		for _, e := range entries {
			kinds[side][e.Name] = e.Type
		}
	}
	return errors.Join(v.both(l, kinds), v.leave(l))
}

// both goes on with the entries that the source and the copy have.
func (v *verifier) both(l *level, kinds [2]map[string]fs.FileMode) error {
	for name := range kinds[1] {
		if _, ok := kinds[0][name]; !ok && !v.plan.overwrite {
			v.found.add(joinPath(l.path, name), "is not in the source")
		}
	}
	for name, kind := range kinds[0] {
		copied, ok := kinds[1][name]
		if !ok {
			if isCopied(kind) {
				v.found.add(joinPath(l.path, name), "is missing")
			}
			continue
		}
		p := pair{level: l, names: [2]string{name, name}}
		l.users.Add(1)
		v.jobs <- p
		if kind.IsDir() && copied.IsDir() {
			if err := v.folder(p, joinPath(l.path, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// leave closes a level behind its last user.
func (v *verifier) leave(l *level) (err error) {
	if l.users.Add(-1) > 0 {
		return nil
	}
	for _, dir := range l.dirs {
		if !dir.IsZero() {
			err = errors.Join(err, closeHandle(v.ctx, v.client, dir))
		}
	}
	return err
}

// isCopied says whether an entry of a type is copied and not skipped.
func isCopied(kind fs.FileMode) bool {
	return kind == 0 || kind.IsDir() || kind == fs.ModeSymlink || kind == fs.ModeIrregular
}

// entry compares one pair.
func (v *verifier) entry(p pair, buffers [2][]byte) error {
	var attributes [2]*messages.Attributes
	for side, name := range p.names {
		a, err := await(v.ctx, v.client, &messages.Stat{
			Dir: p.level.dirs[side], Path: name, NoFollow: side == 1 || !p.top,
		})
		if err != nil {
			return err
		}
		attributes[side] = a
	}
	a, b := attributes[0], attributes[1]
	if !isCopied(a.Mode.Type()) {
		return nil
	}
	if a.Mode != b.Mode && a.Mode.Type() != fs.ModeSymlink {
		v.found.add(p.path(), fmt.Sprintf("has mode %s, not %s", b.Mode, a.Mode))
	}
	if !a.Modified.Equal(b.Modified) {
		v.found.add(p.path(), fmt.Sprintf("was modified at %s, not %s", b.Modified, a.Modified))
	}
	switch {
	case a.Mode.Type() != b.Mode.Type():
		v.found.add(p.path(), "is of another type")
	case a.Mode.Type() == fs.ModeSymlink:
		return v.links(p)
	case a.Mode.IsRegular():
		return v.contents(p, buffers)
	}
	return nil
}

// path names a pair by what is copied.
func (p pair) path() string { return joinPath(p.level.path, p.names[0]) }

func (v *verifier) links(p pair) error {
	var says [2]string
	for side, name := range p.names {
		text, err := await(v.ctx, v.client, &messages.ReadLink{Dir: p.level.dirs[side], Path: name})
		if err != nil {
			return err
		}
		says[side] = text
	}
	if says[0] != says[1] {
		v.found.add(p.path(), fmt.Sprintf("points to %q, not %q", says[1], says[0]))
	}
	return nil
}

// contents opens both files and compares them.
func (v *verifier) contents(p pair, buffers [2][]byte) (err error) {
	var files [2]messages.Handle
	for side, name := range p.names {
		files[side], err = await(v.ctx, v.client, &messages.Open{Dir: p.level.dirs[side], Path: name, Flags: os.O_RDONLY})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closeHandle(v.ctx, v.client, files[side])) }()
	}
	same, err := v.sameBytes(files, buffers)
	if err == nil && !same {
		v.found.add(p.path(), "has another content")
	}
	return err
}

func (v *verifier) sameBytes(files [2]messages.Handle, buffers [2][]byte) (bool, error) {
	for offset := int64(0); ; {
		var parts [2][]byte
		for side := range parts {
			n, err := v.readFull(files[side], buffers[side], offset)
			if err != nil {
				return false, err
			}
			parts[side] = buffers[side][:n]
		}
		if !bytes.Equal(parts[0], parts[1]) {
			return false, nil
		}
		if len(parts[0]) < chunk { // the end of both
			return true, nil
		}
		offset += chunk
	}
}

// readFull reads until buf is full or the file ends.
func (v *verifier) readFull(file messages.Handle, buf []byte, offset int64) (total int, err error) {
	for total < len(buf) {
		part, err := await(v.ctx, v.client, &messages.Read{Handle: file, Buf: buf[total:], Offset: offset + int64(total)})
		if err != nil || len(part) == 0 {
			return total, err
		}
		total += len(part)
	}
	return total, nil
}

// listDir reads a directory.
func listDir(ctx context.Context, c *actors.Client, dir messages.Handle, path string) (entries []messages.DirEntry, err error) {
	h, err := await(ctx, c, &messages.Open{Dir: dir, Path: path, Flags: openFolder})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeHandle(ctx, c, h)) }()
	return await(ctx, c, &messages.ReadDir{Handle: h})
}

// note keeps the first failure of the comparison itself.
func (d *differences) note(err error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.err == nil {
		d.err = err
	}
}

// add counts a difference and keeps the first few.
func (d *differences) add(path, text string) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.count++; d.count <= differencesSaid {
		d.lines = append(d.lines, path+" "+text)
	}
}

// say lists the differences, if there are any, and gives the error to end with.
func (d *differences) say(out io.Writer) error {
	if d.count == 0 {
		return nil
	}
	slices.Sort(d.lines)
	for _, line := range d.lines {
		fmt.Fprintln(out, "example:", oneLine(line))
	}
	return fmt.Errorf("the copy differs from the source in %d places", d.count)
}
