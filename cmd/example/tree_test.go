//go:build linux

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// utimes sets the modification time of a file, or of a link itself.
func utimes(path string, when syscall.Timespec) error {
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: when.Sec, Nsec: when.Nsec}}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW)
}

// snapshot describes everything in a tree by its path. It reads it with the
// os package, so that it shares nothing with what it checks.
func snapshot(t *testing.T, root string) map[string]string {
	t.Helper()
	tree := make(map[string]string)
	check(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		tree[rel], err = describe(path)
		return err
	}))
	return tree
}

func describe(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%s at %d", info.Mode(), info.ModTime().UnixNano())
	switch info.Mode().Type() {
	case 0:
		data, err := os.ReadFile(path)
		return fmt.Sprintf("%s, %d bytes %x", text, len(data), hashOf(data)), err
	case fs.ModeSymlink:
		says, err := os.Readlink(path)
		return text + " -> " + says, err
	}
	return text, nil
}

// diff reports where two trees differ.
func diff(t *testing.T, want, got map[string]string) {
	t.Helper()
	for path, text := range want {
		if got[path] != text {
			t.Errorf("%q is %q, want %q", path, got[path], text)
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%q is not wanted", path)
		}
	}
}
