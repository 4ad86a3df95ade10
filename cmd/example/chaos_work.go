package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/ringmaster-io/ringmaster/messages"
)

// act is a piece of work. It may return at any point: what it leaves in flight,
// open or lying about is tidied up after it. An error other than errCut is a
// broken promise.
type act struct {
	name   string
	weight int
	play   func(*scene) error
}

// acts are what performers do, each as often as its weight says.
var acts = []act{
	{"files", 30, (*scene).files},
	{"folders", 8, (*scene).folders},
	{"links", 6, (*scene).links},
	{"bursts", 8, (*scene).bursts},
	{"streams", 12, (*scene).streams},
	{"idle reads", 14, (*scene).idleReads},
	{"deadlines", 8, (*scene).deadlines},
	{"abandoned", 6, (*scene).abandoned},
	{"mass cancels", 4, (*scene).massCancels},
	{"operation actors", 8, (*scene).hirelings},
	{"gifts", 8, (*scene).gifts},
}

// scene is a performer at work in its directory.
type scene struct {
	*script
	dir   messages.Handle
	names map[string]bool // of what is there; true for directories
	made  int
}

// work is the role of all performers but a few.
type work struct {
	legacy      *legacy // that it will leave if it is stopped
	predecessor *legacy
}

func (w *work) perform(s *script) (err error) {
	if w.predecessor != nil {
		if err := s.inherit(w.predecessor); err != nil {
			return err
		}
	}
	path := joinPath(s.chaos.root, w.legacy.dir)
	if _, err = do(s, &messages.Mkdir{Path: path, Mode: 0o700}, fs.ErrExist); err != nil {
		return err
	}
	c := &scene{script: s, names: make(map[string]bool)}
	if c.dir, err = do(s, &messages.Open{Path: path, Flags: os.O_RDONLY | syscall.O_DIRECTORY}); err != nil {
		return err
	}
	if err := c.playAll(); err != nil {
		return err
	}
	if err := s.close(c.dir); err != nil {
		return err
	}
	return s.vanish(path)
}

// vanish removes the performer's directory. Operation actors that it has stopped
// may have made something in it, late.
func (s *script) vanish(path string) error {
	for began := time.Now(); ; {
		err := s.remove(messages.Handle{}, path, true)
		if !errors.Is(err, syscall.ENOTEMPTY) || time.Since(began) > s.chaos.options.patience {
			return err
		}
	}
}

// playAll plays one act after the other until it is told to end. Each has dice
// of its own, so that the choices of one do not depend on how those before it
// went.
func (c *scene) playAll() error {
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	choices := c.dice
	for !c.curtain || len(c.presents) > 0 {
		if len(c.presents) > 0 {
			if err := c.play("a present", (*scene).unwrap); err != nil {
				return err
			}
			continue
		}
		i := 0
		for n := choices.IntN(total); n >= acts[i].weight; i++ {
			n -= acts[i].weight
		}
		c.dice = choices.deriveDice()
		c.chaos.ledger.acts[i].Add(1)
		if err := c.play(acts[i].name, acts[i].play); err != nil {
			return err
		}
	}
	return nil
}

// play plays one act.
func (c *scene) play(name string, play func(*scene) error) error {
	err := play(c)
	if errors.Is(err, errCut) {
		return err
	}
	if err != nil {
		c.broke("%s: %v", name, err)
	}
	if err := c.tidy(); err != nil {
		return fmt.Errorf("tidying up after %s: %w", name, err)
	}
	return nil
}

// tidy ends what is in flight, closes what is open, and removes what is there.
func (c *scene) tidy() error {
	for len(c.open) > 0 {
		if err := c.answers(c.cancelAll()); err != nil {
			return err
		}
	}
	for h := range c.handles {
		if h == c.dir {
			continue
		}
		if err := c.close(h); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.names)) {
		if err := c.remove(c.dir, name, c.names[name]); err != nil {
			return err
		}
	}
	clear(c.names)
	return nil
}

// fresh gives a name that is not taken, and will be removed.
func (c *scene) fresh() string {
	c.made++
	name := fmt.Sprintf("%d", c.made)
	c.names[name] = false
	return name
}

// close closes a handle.
func (s *script) close(h messages.Handle) error {
	_, err := do(s, &messages.Close{Handle: h})
	return err
}

// remove removes a file, or a directory with what is in it, if it is there.
func (s *script) remove(dir messages.Handle, name string, directory bool) error {
	if directory {
		if err := s.empty(dir, name); err != nil {
			return err
		}
	}
	_, err := do(s, &messages.Unlink{Dir: dir, Path: name, Directory: directory})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// empty removes what is in a directory, if that is there.
func (s *script) empty(dir messages.Handle, name string) error {
	h, err := do(s, &messages.Open{Dir: dir, Path: name, Flags: os.O_RDONLY | syscall.O_DIRECTORY | syscall.O_NOFOLLOW})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	entries, err := do(s, &messages.ReadDir{Handle: h})
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := s.remove(h, e.Name, e.Type.IsDir()); err != nil {
			return err
		}
	}
	return s.close(h)
}
