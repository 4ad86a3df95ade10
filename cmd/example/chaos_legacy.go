package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/ringmaster-io/ringmaster/messages"
)

// inherit sees to what a performer has left that was stopped in the midst: its
// handles must have been closed with it, and its files are removed. What its
// last operations may still make comes too late for its directory, or is found
// by the sweeper.
func (s *script) inherit(from *legacy) error {
	for _, h := range from.handles {
		if err := s.mustClose(h); err != nil {
			return err
		}
	}
	err := s.remove(messages.Handle{}, joinPath(s.chaos.root, from.dir), true)
	if errors.Is(err, syscall.ENOTEMPTY) {
		return nil
	}
	return err
}

// mustClose waits until a dead performer's handle is refused: whoever held it
// could use it until then.
func (s *script) mustClose(h messages.Handle) error {
	for began := time.Now(); ; {
		_, err := do(s, &messages.Stat{Dir: h})
		switch {
		case errors.Is(err, messages.ErrHandleClosed), errors.Is(err, messages.ErrBadHandle):
			s.chaos.ledger.closed.Add(1)
			return nil
		case err != nil:
			return err
		case time.Since(began) > s.chaos.options.patience:
			return fmt.Errorf("%s is open, and its owner has stopped", h)
		}
		if _, err := do(s, &messages.Timeout{After: time.Millisecond}); err != nil {
			return err
		}
	}
}

// sweepAll is the last role of all: it removes what performers have left that
// were stopped in the midst. Nothing of them is in flight any more.
func sweepAll(s *script) error {
	root, err := do(s, &messages.Open{Path: s.chaos.root, Flags: os.O_RDONLY | syscall.O_DIRECTORY})
	if err != nil {
		return err
	}
	entries, err := do(s, &messages.ReadDir{Handle: root})
	if err != nil {
		return err
	}
	for _, e := range entries {
		s.chaos.ledger.swept.Add(1)
		if err := s.remove(root, e.Name, e.Type.IsDir()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.close(root)
}
