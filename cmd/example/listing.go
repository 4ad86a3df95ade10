package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
)

// entry is a file or directory in the order of the output.
type entry struct {
	path    string   // as it is shown
	entries []*entry // of a directory, in order
	isDir   bool
	settled bool // hashed, listed or failed
	sum     [sha256.Size]byte
	err     error
}

// listing prints entries in order, however out of order they are settled.
type listing struct {
	globals *globals
	out     *bufio.Writer
	next    []*entry // not printed yet; a stack
	line    []byte
	failed  bool // of some entry something was said on standard error
}

func newListing(g *globals, paths []string) *listing {
	l := &listing{globals: g, out: bufio.NewWriterSize(g.stdout, 64<<10)}
	roots := make([]*entry, len(paths))
	for i, path := range paths {
		roots[i] = &entry{path: path}
	}
	l.push(roots)
	return l
}

func (l *listing) push(entries []*entry) {
	for i := len(entries) - 1; i >= 0; i-- {
		l.next = append(l.next, entries[i])
	}
}

// advance prints what can be printed.
func (l *listing) advance() error {
	for len(l.next) > 0 {
		e := l.next[len(l.next)-1]
		if !e.settled {
			return nil
		}
		l.next = l.next[:len(l.next)-1]
		if err := l.print(e); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
	}
	if err := l.out.Flush(); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

func (l *listing) print(e *entry) error {
	switch {
	case e.err != nil:
		l.failed = true
		fmt.Fprintf(l.globals.stderr, "example: %s: %s\n", oneLine(e.path), cause(e.err))
		return nil
	case e.isDir:
		l.push(e.entries)
		e.entries = nil
		return nil
	}
	l.line = sumLine(l.line[:0], e.sum, e.path)
	_, err := l.out.Write(l.line)
	return err
}

// complete says that everything is printed.
func (l *listing) complete() bool { return len(l.next) == 0 }
