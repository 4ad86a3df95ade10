//go:build linux

package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// smallFS are file systems that are soon full.
var smallFS = map[string]func(*oracle) (dir string){
	"tmpfs": func(o *oracle) string { return mountTmpfs(o, "size=1m") },
	"ext4":  func(o *oracle) string { return mountExt4(o, 8<<20) },
}

// onSmallFS runs a test on each of them.
func onSmallFS(t *testing.T, test func(t *testing.T, o *oracle, dir string)) {
	for name, mount := range smallFS {
		t.Run(name, func(t *testing.T) {
			o := start(t)
			test(t, o, mount(o))
		})
	}
}

// TestENOSPCShortWrite fills a file system by one write after the other, each
// resumed where it was cut short (T19). What the answers say was written is
// what the file has, to the byte; ENOSPC comes as the one answer of its write;
// and when there is room again, writes succeed.
func TestENOSPCShortWrite(t *testing.T) {
	onSmallFS(t, func(t *testing.T, o *oracle, dir string) {
		path := filepath.Join(dir, "file")
		file := do(o, &messages.Open{Path: path, Flags: os.O_RDWR | os.O_CREATE, Mode: 0o600})
		chunk := randomBytes(100_003) // no multiple of anything
		var wrote []byte
		short := 0
		for {
			n, err := await(o, &messages.Write{Handle: file, Buf: chunk, Offset: int64(len(wrote))})
			if err != nil {
				require.ErrorIs(t, err, unix.ENOSPC)
				break
			}
			require.Positive(t, n)
			wrote = append(wrote, chunk[:n]...)
			if n < len(chunk) {
				short++
			}
		}
		requireContent(t, path, wrote)
		t.Logf("%d bytes, %d short writes", len(wrote), short)
		do(o, &messages.Fsync{Handle: file})
		requireContent(t, path, wrote)
		do(o, &messages.Truncate{Handle: file, Size: 10})
		require.Equal(t, 4096, do(o, &messages.Write{Handle: file, Buf: chunk[:4096], Offset: 10}))
		requireContent(t, path, append(wrote[:10:10], chunk[:4096]...))
		do(o, &messages.Close{Handle: file})
	})
}

// TestENOSPCAtOnce has a hundred appends in flight when the last block goes.
// Each is answered once; what they say adds up to what the file has.
func TestENOSPCAtOnce(t *testing.T) {
	onSmallFS(t, func(t *testing.T, o *oracle, dir string) {
		r := o.requester()
		path := filepath.Join(dir, "log")
		file := do(o, &messages.Open{Path: path, Flags: os.O_WRONLY | os.O_APPEND | os.O_CREATE, Mode: 0o600})
		var entries []*entry
		for k := range 100 {
			entries = append(entries, r.submit(&messages.Write{Handle: file, Buf: bytes.Repeat([]byte{byte(k)}, 150_000)}))
		}
		r.settled()
		var want []byte
		failed := 0
		for k, e := range entries {
			if err := e.err(); err != nil {
				require.ErrorIs(t, err, unix.ENOSPC)
				failed++
				continue
			}
			want = append(want, bytes.Repeat([]byte{byte(k)}, e.completion.N)...)
		}
		require.Positive(t, failed)
		requireContent(t, path, want)
		do(o, &messages.Close{Handle: file})
	})
}

// TestENOSPCOfOtherOperations: what else needs room says that there is none, and
// leaves nothing half done.
func TestENOSPCOfOtherOperations(t *testing.T) {
	onSmallFS(t, func(t *testing.T, o *oracle, dir string) {
		o.others = true
		path, big := filepath.Join(dir, "file"), filepath.Join(dir, "big")
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		require.NoError(t, actors.WriteFile(ctx, o.c, path, []byte("precious"), 0o600))
		require.ErrorIs(t, actors.WriteFile(ctx, o.c, big, make([]byte, 16<<20), 0o600), unix.ENOSPC)
		require.ErrorIs(t, actors.ReplaceFile(ctx, o.c, path, make([]byte, 16<<20), 0o600), unix.ENOSPC)
		requireContent(t, path, []byte("precious"))
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		require.NoError(t, err)
		require.Subset(t, []string{path, big, filepath.Join(dir, "lost+found")}, names, "a temporary file is left")
		file := do(o, &messages.Open{Path: path, Flags: os.O_RDWR})
		require.ErrorIs(t, fails(o, &messages.Allocate{Handle: file, Length: 64 << 20}), unix.ENOSPC)
		do(o, &messages.Close{Handle: file})
		do(o, &messages.Unlink{Path: big})
		require.NoError(t, actors.ReplaceFile(ctx, o.c, path, []byte("new"), 0o600))
		requireContent(t, path, []byte("new"))
	})
}

// TestNoInodes: a file system may have room and no place for a name.
func TestNoInodes(t *testing.T) {
	o := start(t)
	dir := mountTmpfs(o, "nr_inodes=10")
	made, failed := 0, 0
	for k := range 20 {
		switch _, err := await(o, &messages.Mkdir{Path: filepath.Join(dir, fmt.Sprint(k)), Mode: 0o700}); {
		case err == nil:
			made++
		case errors.Is(err, unix.ENOSPC):
			failed++
		}
	}
	require.Equal(t, 9, made)
	require.Equal(t, 11, failed)
}

// ext4Shutdown is EXT4_IOC_SHUTDOWN, and ext4NoFlush its mode in which nothing
// more is written: to the files it is as if the disk had died.
const (
	ext4Shutdown = 0x8004587d
	ext4NoFlush  = 2
)

// TestDiskDies has a file system die under open files, with writes that it has
// not stored. The fsync says so, each time and of each handle; so does whatever
// comes after it; handles can be closed.
func TestDiskDies(t *testing.T) {
	o := start(t)
	dir := mountExt4(o, 16<<20)
	r := o.requester()
	var files []messages.Handle
	for k := range 4 {
		files = append(files, do(o, &messages.Open{Path: filepath.Join(dir, fmt.Sprint(k)), Flags: os.O_RDWR | os.O_CREATE, Mode: 0o600}))
	}
	mounted, err := os.Open(dir)
	require.NoError(t, err)
	var writes []*entry
	for k := range 64 {
		writes = append(writes, r.submit(&messages.Write{Handle: files[k%len(files)], Buf: randomBytes(64 << 10), Offset: int64(k) << 16}))
	}
	require.NoError(t, unix.IoctlSetPointerInt(int(mounted.Fd()), ext4Shutdown, ext4NoFlush))
	require.NoError(t, mounted.Close())
	r.settled()
	for _, e := range writes {
		if err := e.err(); err != nil {
			require.ErrorIs(t, err, unix.EIO)
		}
	}
	for _, file := range files {
		for range 2 {
			require.ErrorIs(t, fails(o, &messages.Fsync{Handle: file}), unix.EIO)
			require.ErrorIs(t, fails(o, &messages.Write{Handle: file, Buf: []byte("x")}), unix.EIO)
		}
		do(o, &messages.Close{Handle: file})
	}
	require.Error(t, fails(o, &messages.Open{Path: filepath.Join(dir, "new"), Flags: os.O_RDWR | os.O_CREATE}))
}

func randomBytes(n int) []byte {
	buf := make([]byte, n)
	for i := range buf {
		buf[i] = byte(rand.Uint32())
	}
	return buf
}

func requireContent(t testing.TB, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, len(want), len(got))
	require.True(t, bytes.Equal(want, got), "%s: wrong content", path)
}
