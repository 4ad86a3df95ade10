package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// plan is what a copy was asked to do, once the paths have been looked at.
type plan struct {
	source     string // absolute
	attributes *messages.Attributes
	targetDir  messages.Handle // in which the copy is made
	targetName string
	target     string // as the user wrote it
	overwrite  bool
	// lost are the permission bits that open(2) and mkdir(2) take away.
	lost fs.FileMode
}

// survey looks at the paths of a copy before anything is made. It runs on a
// goroutine and asks one thing after the other, which is what Await is for.
type survey struct {
	ctx    context.Context
	client *actors.Client
}

// plan refuses what cannot be copied.
func (s survey) plan(source, target string, overwrite bool) (*plan, error) {
	from, err := absolute(source)
	if err != nil {
		return nil, err
	}
	attributes, err := await(s.ctx, s.client, &messages.Stat{Path: from})
	if err != nil {
		return nil, err
	}
	if !attributes.Mode.IsDir() && !attributes.Mode.IsRegular() {
		return nil, fmt.Errorf("%s: neither a file nor a directory", source)
	}
	p := &plan{source: from, attributes: attributes, target: target, overwrite: overwrite, lost: s.umask()}
	if err := s.placeTarget(p); err != nil {
		return nil, err
	}
	return p, s.checkTarget(p)
}

// absolute makes a path absolute and leaves it as it is otherwise: to clean
// "link/.." would change what it means.
func absolute(path string) (string, error) {
	if path == "" {
		return "", errors.New("empty path")
	}
	if filepath.IsAbs(path) {
		return path, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the working directory: %w", err)
	}
	return joinPath(dir, path), nil
}

// placeTarget opens the directory in which the copy is to be made.
func (s survey) placeTarget(p *plan) error {
	target, err := absolute(p.target)
	if err != nil {
		return err
	}
	trimmed := strings.TrimRight(target, "/")
	slash := strings.LastIndexByte(trimmed, '/')
	if slash < 0 { // the root itself
		trimmed, slash = "/.", 0
	}
	p.targetName = trimmed[slash+1:]
	p.targetDir, err = await(s.ctx, s.client, &messages.Open{Path: trimmed[:slash+1], Flags: os.O_RDONLY | syscall.O_DIRECTORY})
	return err
}

// checkTarget refuses a target that is there already, or that lies within the
// source, however its path may look.
func (s survey) checkTarget(p *plan) error {
	there, err := await(s.ctx, s.client, &messages.Stat{Dir: p.targetDir, Path: p.targetName, NoFollow: true})
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case sameFile(there, p.attributes):
		return fmt.Errorf("%s: is the source itself", p.target)
	case !p.overwrite:
		return fmt.Errorf("%s: %w", p.target, fs.ErrExist)
	case p.attributes.Mode.IsDir() != there.Mode.IsDir():
		return fmt.Errorf("%s: only one of the two is a directory", p.target)
	}
	if p.attributes.Mode.IsDir() {
		return s.checkAncestors(p)
	}
	return nil
}

// checkAncestors goes up from the target to the root, the way the kernel sees
// it, and compares each directory with the source.
func (s survey) checkAncestors(p *plan) error {
	var below *messages.Attributes
	path := "."
	for {
		dir, err := await(s.ctx, s.client, &messages.Stat{Dir: p.targetDir, Path: path})
		if err != nil {
			return err
		}
		if sameFile(dir, p.attributes) {
			return fmt.Errorf("%s: lies within the source", p.target)
		}
		if below != nil && sameFile(dir, below) { // the root is its own parent
			return nil
		}
		below = dir
		path += "/.."
	}
}

func sameFile(a, b *messages.Attributes) bool {
	return a.Device == b.Device && a.Inode == b.Inode
}

// umask asks the kernel for the bits that it takes away from the mode of
// everything that the program makes. The system call that tells them would
// change them for a moment, for all threads. Where it cannot be known, or does
// not hold, as in a tree that exists and may have access lists of its own,
// every mode is set once more.
func (s survey) umask() fs.FileMode {
	status, err := actors.ReadFile(s.ctx, s.client, "/proc/self/status")
	if err != nil {
		return fs.ModePerm
	}
	for line := range strings.Lines(string(status)) {
		if octal, found := strings.CutPrefix(line, "Umask:"); found {
			if mask, err := strconv.ParseUint(strings.TrimSpace(octal), 8, 32); err == nil {
				return fs.FileMode(mask) & fs.ModePerm
			}
		}
	}
	return fs.ModePerm
}
