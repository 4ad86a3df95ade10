//go:build linux

package test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// TestWholeFiles writes and reads files of many sizes.
func TestWholeFiles(t *testing.T) {
	r := start(t)
	path := filepath.Join(t.TempDir(), "file")
	for _, size := range []int{0, 1, 511, 512, 513, 4096, 100_000, 3 << 20} {
		want := bytes.Repeat([]byte{byte(size)}, size)
		for _, write := range []fileWriter{actors.WriteFile, actors.ReplaceFile} {
			require.NoError(t, write(r.ctx, r.c, path, want, 0o640))
			require.Equal(t, string(want), r.contentOf(path))
			got, err := actors.ReadFile(r.ctx, r.c, path)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, got))
		}
	}
	got, err := actors.ReadFile(r.ctx, r.c, "/proc/self/cmdline") // says that it is empty, and is not
	require.NoError(t, err)
	require.NotEmpty(t, got)
	require.Equal(t, []string{"file"}, names(t, filepath.Dir(path)))
	require.Zero(t, r.inspect().Handles)
}

// TestReplaceKeepsTheOld fails at each step of a replacement: the old content
// stays, and nothing else does.
func TestReplaceKeepsTheOld(t *testing.T) {
	r := start(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "directory", "full"), 0o700))
	requireOld := func() {
		t.Helper()
		require.Equal(t, "old", r.contentOf(path))
		require.Equal(t, []string{"directory", "file"}, names(t, dir))
		require.Zero(t, r.inspect().Handles)
	}
	err := actors.ReplaceFile(r.ctx, r.c, filepath.Join(dir, "directory"), []byte("new"), 0o600)
	require.ErrorIs(t, err, unix.EISDIR)
	requireOld()
	require.ErrorIs(t, actors.ReplaceFile(r.ctx, r.c, filepath.Join(dir, "nowhere", "file"), nil, 0o600), fs.ErrNotExist)
	require.ErrorIs(t, actors.ReplaceFile(r.ctx, r.c, path, []byte("new"), fs.ModeDir), messages.ErrArgument)
	requireOld()
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	require.ErrorIs(t, actors.ReplaceFile(ctx, r.c, path, []byte("new"), 0o600), context.Canceled)
	requireOld()
}

// TestReplaceCancelled ends the context in the middle of replacements: there is
// the old content or the new, whole.
func TestReplaceCancelled(t *testing.T) {
	r := start(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	old := bytes.Repeat([]byte("old"), 1000)
	require.NoError(t, os.WriteFile(path, old, 0o600))
	kept := 0
	for k := range 60 {
		ctx := &dyingContext{Context: r.ctx, left: int64(k / 2)}
		content := bytes.Repeat([]byte{byte('A' + k%26)}, 50_000)
		err := actors.ReplaceFile(ctx, r.c, path, content, 0o600)
		switch got := []byte(r.contentOf(path)); {
		case bytes.Equal(got, content):
			old = content
		case bytes.Equal(got, old):
			require.ErrorIs(t, err, context.Canceled)
			kept++
		default:
			t.Fatalf("neither old nor new: %d bytes", len(got))
		}
		require.Equal(t, []string{"file"}, names(t, dir))
	}
	require.Zero(t, r.inspect().Handles)
	require.Positive(t, kept)
	require.Less(t, kept, 60)
}

// dyingContext has ended once it was asked so often.
type dyingContext struct {
	context.Context
	left int64
}

// Err implements context.Context.
func (c *dyingContext) Err() error {
	if atomic.AddInt64(&c.left, -1) < 0 {
		return context.Canceled
	}
	return nil
}

// mountSmall mounts a file system of 256 KiB. Nothing may be open on it when the
// test ends.
func mountSmall(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount("small", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skip("needs to mount a tmpfs: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err, unix.Unmount(dir, unix.MNT_DETACH))
		}
	})
}

// TestReplaceWithoutSpace replaces a file on a file system that is too small.
func TestReplaceWithoutSpace(t *testing.T) {
	dir := t.TempDir()
	mountSmall(t, dir)
	r := start(t)
	path := filepath.Join(dir, "file")
	require.NoError(t, actors.WriteFile(r.ctx, r.c, path, []byte("old"), 0o600))
	err := actors.ReplaceFile(r.ctx, r.c, path, make([]byte, 1<<20), 0o600)
	require.ErrorIs(t, err, unix.ENOSPC)
	require.Equal(t, "old", r.contentOf(path))
	require.Equal(t, []string{"file"}, names(t, dir))
	require.ErrorIs(t, actors.WriteFile(r.ctx, r.c, path+"2", make([]byte, 1<<20), 0o600), unix.ENOSPC)
	require.Zero(t, r.inspect().Handles)
}

// TestReplaceOnReadOnly replaces a file that nobody may replace, not even root.
func TestReplaceOnReadOnly(t *testing.T) {
	dir := t.TempDir()
	mountSmall(t, dir)
	path := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	require.NoError(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	r := start(t)
	require.ErrorIs(t, actors.ReplaceFile(r.ctx, r.c, path, []byte("new"), 0o600), unix.EROFS)
	require.ErrorIs(t, actors.WriteFile(r.ctx, r.c, path, []byte("new"), 0o600), unix.EROFS)
	require.Equal(t, "old", r.contentOf(path))
	require.Equal(t, []string{"file"}, names(t, dir))
	require.Zero(t, r.inspect().Handles)
}
