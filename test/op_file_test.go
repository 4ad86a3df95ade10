//go:build linux

package test

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// TestFileOperations performs each operation on an open file.
func TestFileOperations(t *testing.T) {
	runEffects(t, []effect{
		{"open-create", effectCreate},
		{"open-flags", effectOpenFlags},
		{"open-resolve", effectResolve},
		{"open-temporary", effectTemporary},
		{"read", effectRead},
		{"write", effectWrite},
		{"append", effectAppend},
		{"vectors", effectVectors},
		{"direct", effectDirect},
		{"sync", effectSync},
		{"truncate", effectTruncate},
		{"allocate", effectAllocate},
		{"advise", effectAdvise},
		{"chmod", effectChmod},
		{"chown", effectChown},
		{"read-full-write-full", effectFull},
	})
}

func effectCreate(r *rig, dir string) {
	path := filepath.Join(dir, "new")
	file := do(r, &messages.Open{Path: path, Flags: os.O_CREATE | os.O_EXCL | os.O_WRONLY, Mode: 0o640 | fs.ModeSetgid})
	require.Len(r.t, openOn(path), 1)
	info, err := os.Stat(path)
	require.NoError(r.t, err)
	require.Equal(r.t, fs.FileMode(0o640)|fs.ModeSetgid, info.Mode())
	err = fails(r, &messages.Open{Path: path, Flags: os.O_CREATE | os.O_EXCL | os.O_WRONLY, Mode: 0o600})
	require.ErrorIs(r.t, err, fs.ErrExist)
	require.ErrorContains(r.t, err, path)
	do(r, &messages.Close{Handle: file})
	require.Empty(r.t, openOn(path))
	require.ErrorIs(r.t, fails(r, &messages.Open{Path: path + "er"}), fs.ErrNotExist)
}

func effectOpenFlags(r *rig, dir string) {
	path := filepath.Join(dir, "file")
	require.NoError(r.t, os.WriteFile(path, []byte("content"), 0o600))
	file := do(r, &messages.Open{Path: path, Flags: os.O_WRONLY | os.O_TRUNC})
	require.Empty(r.t, r.contentOf(path))
	fd, _, _ := strings.Cut(openOn(path)[0], " ")
	info, err := os.ReadFile("/proc/self/fdinfo/" + fd)
	require.NoError(r.t, err)
	require.Regexp(r.t, `flags:\s+02[0-7]{6}\n`, string(info)) // O_CLOEXEC
	do(r, &messages.Close{Handle: file})
	require.ErrorIs(r.t, fails(r, &messages.Open{Path: path, Flags: unix.O_DIRECTORY}), unix.ENOTDIR)
	require.NoError(r.t, os.Symlink(path, path+"-link"))
	require.ErrorIs(r.t, fails(r, &messages.Open{Path: path + "-link", Flags: unix.O_NOFOLLOW}), unix.ELOOP)
}

func effectResolve(r *rig, dir string) {
	root := do(r, &messages.Open{Path: dir, Flags: unix.O_DIRECTORY})
	require.NoError(r.t, os.Mkdir(filepath.Join(dir, "inside"), 0o700))
	inside := do(r, &messages.Open{Dir: root, Path: "inside", Flags: unix.O_DIRECTORY, Resolve: unix.RESOLVE_BENEATH})
	for _, escape := range []string{"..", "../..", "/etc/passwd", "../inside"} {
		err := fails(r, &messages.Open{Dir: inside, Path: escape, Resolve: unix.RESOLVE_BENEATH})
		require.ErrorIs(r.t, err, unix.EXDEV)
	}
	do(r, &messages.Close{Handle: inside})
	do(r, &messages.Close{Handle: root})
}

func effectTemporary(r *rig, dir string) {
	file, err := actors.Await(r.ctx, r.c, &messages.Open{Path: dir, Flags: unix.O_TMPFILE | os.O_RDWR, Mode: 0o600})
	if err != nil {
		r.t.Skip("no O_TMPFILE here: ", err)
	}
	require.Equal(r.t, 4, do(r, &messages.Write{Handle: file, Buf: []byte("temp")}))
	require.Equal(r.t, "temp", string(do(r, &messages.Read{Handle: file, Buf: make([]byte, 9)})))
	require.Empty(r.t, names(r.t, dir))
	do(r, &messages.Close{Handle: file})
}

func effectRead(r *rig, dir string) {
	r.with(filepath.Join(dir, "file"), "0123456789", func(file messages.Handle) {
		require.Equal(r.t, "3456", string(do(r, &messages.Read{Handle: file, Buf: make([]byte, 4), Offset: 3})))
		require.Equal(r.t, "89", string(do(r, &messages.Read{Handle: file, Buf: make([]byte, 4), Offset: 8})))
		require.Empty(r.t, do(r, &messages.Read{Handle: file, Buf: make([]byte, 4), Offset: 10}))
		require.Empty(r.t, do(r, &messages.Read{Handle: file, Buf: make([]byte, 4), Offset: 1 << 40}))
		require.Empty(r.t, do(r, &messages.Read{Handle: file}))
	})
	directory := do(r, &messages.Open{Path: dir})
	require.ErrorIs(r.t, fails(r, &messages.Read{Handle: directory, Buf: make([]byte, 4)}), unix.EISDIR)
	do(r, &messages.Close{Handle: directory})
}

func effectWrite(r *rig, dir string) {
	path := filepath.Join(dir, "file")
	r.with(path, "0123456789", func(file messages.Handle) {
		require.Equal(r.t, 2, do(r, &messages.Write{Handle: file, Buf: []byte("ab"), Offset: 3}))
		require.Equal(r.t, "012ab56789", r.contentOf(path))
		require.Equal(r.t, 1, do(r, &messages.Write{Handle: file, Buf: []byte("z"), Offset: 12}))
		require.Equal(r.t, "012ab56789\x00\x00z", r.contentOf(path))
		require.Zero(r.t, do(r, &messages.Write{Handle: file, Offset: 3}))
	})
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(r.t, err)
	defer full.Close()
	device := r.adopt(full)
	require.ErrorIs(r.t, fails(r, &messages.Write{Handle: device, Buf: []byte("x")}), unix.ENOSPC)
	do(r, &messages.Close{Handle: device})
}

// effectAppend sends many appends at once: they come one after the other, in
// the order of their arrival.
func effectAppend(r *rig, dir string) {
	path := filepath.Join(dir, "log")
	require.NoError(r.t, os.WriteFile(path, []byte("begin "), 0o600))
	file := do(r, &messages.Open{Path: path, Flags: os.O_WRONLY | os.O_APPEND})
	p := r.probe()
	want := "begin "
	for k := range 200 {
		word := string(rune('a'+k%26)) + " "
		want += word
		r.send(p, uint64(k+1), &messages.Write{Handle: file, Buf: []byte(word)})
	}
	for k := range 200 {
		require.NoError(r.t, p.completed(uint64(k+1)).Err)
	}
	require.Equal(r.t, want, r.contentOf(path))
	require.ErrorIs(r.t, fails(r, &messages.Write{Handle: file, Buf: []byte("x"), Offset: 1}), messages.ErrRange)
	do(r, &messages.Close{Handle: file})
	p.stop()
}

func effectVectors(r *rig, dir string) {
	path := filepath.Join(dir, "file")
	r.with(path, "0123456789", func(file messages.Handle) {
		bufs := [][]byte{make([]byte, 2), nil, make([]byte, 3), make([]byte, 10)}
		require.Equal(r.t, 9, do(r, &messages.ReadV{Handle: file, Bufs: bufs, Offset: 1}))
		require.Equal(r.t, "12", string(bufs[0]))
		require.Equal(r.t, "345", string(bufs[2]))
		require.Equal(r.t, "6789", string(bufs[3][:4]))
		require.Equal(r.t, 5, do(r, &messages.WriteV{Handle: file, Bufs: [][]byte{[]byte("ab"), nil, []byte("cde")}, Offset: 4}))
		require.Equal(r.t, "0123abcde9", r.contentOf(path))
		require.Zero(r.t, do(r, &messages.ReadV{Handle: file}))
		many := make([][]byte, 1024)
		for k := range many {
			many[k] = []byte{byte(k)}
		}
		require.Equal(r.t, 1024, do(r, &messages.WriteV{Handle: file, Bufs: many}))
		require.Equal(r.t, string(bytes.Join(many, nil)), r.contentOf(path))
	})
}

func effectDirect(r *rig, dir string) {
	path := filepath.Join(dir, "file")
	want := bytes.Repeat([]byte("direct!\n"), 1024)
	require.NoError(r.t, os.WriteFile(path, want, 0o600))
	file, err := actors.Await(r.ctx, r.c, &messages.Open{Path: path, Flags: os.O_RDWR | unix.O_DIRECT})
	if err != nil {
		r.t.Skip("no O_DIRECT here: ", err)
	}
	buf := aligned(8192, 4096)
	require.Equal(r.t, want, do(r, &messages.Read{Handle: file, Buf: buf}))
	copy(buf, "Changed")
	require.Equal(r.t, 4096, do(r, &messages.Write{Handle: file, Buf: buf[:4096]}))
	require.Equal(r.t, "Changed\n", r.contentOf(path)[:8])
	do(r, &messages.Close{Handle: file})
}

func effectSync(r *rig, dir string) {
	r.with(filepath.Join(dir, "file"), "", func(file messages.Handle) {
		do(r, &messages.Write{Handle: file, Buf: []byte("x")})
		do(r, &messages.Fsync{Handle: file})
		do(r, &messages.Fdatasync{Handle: file})
	})
	directory := do(r, &messages.Open{Path: dir, Flags: unix.O_DIRECTORY})
	do(r, &messages.Fsync{Handle: directory})
	do(r, &messages.Close{Handle: directory})
	reader, _ := r.pipe()
	pipe := r.adopt(reader)
	require.ErrorIs(r.t, fails(r, &messages.Fsync{Handle: pipe}), unix.EINVAL)
	do(r, &messages.Close{Handle: pipe})
}

func effectTruncate(r *rig, dir string) {
	path := filepath.Join(dir, "file")
	r.with(path, "0123456789", func(file messages.Handle) {
		do(r, &messages.Truncate{Handle: file, Size: 4})
		require.Equal(r.t, "0123", r.contentOf(path))
		do(r, &messages.Truncate{Handle: file, Size: 6})
		require.Equal(r.t, "0123\x00\x00", r.contentOf(path))
		require.ErrorIs(r.t, fails(r, &messages.Truncate{Handle: file, Size: 1 << 62}), unix.EFBIG)
	})
}

func effectAllocate(r *rig, dir string) {
	path := filepath.Join(dir, "file")
	r.with(path, "", func(file messages.Handle) {
		do(r, &messages.Allocate{Handle: file, Length: 1 << 20})
		require.GreaterOrEqual(r.t, r.statOf(path).Blocks*512, int64(1<<20))
		require.EqualValues(r.t, 1<<20, r.statOf(path).Size)
		do(r, &messages.Allocate{Handle: file, Mode: unix.FALLOC_FL_KEEP_SIZE, Offset: 1 << 20, Length: 1 << 20})
		require.EqualValues(r.t, 1<<20, r.statOf(path).Size)
		do(r, &messages.Allocate{Handle: file, Mode: unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, Length: 1 << 21})
		require.LessOrEqual(r.t, r.statOf(path).Blocks*512, int64(1<<20)) // but for what is beyond the end
	})
}

func effectAdvise(r *rig, dir string) {
	r.with(filepath.Join(dir, "file"), "content", func(file messages.Handle) {
		for advice := unix.FADV_NORMAL; advice <= unix.FADV_NOREUSE; advice++ {
			do(r, &messages.Advise{Handle: file, Advice: advice})
		}
		require.Equal(r.t, "content", string(do(r, &messages.Read{Handle: file, Buf: make([]byte, 9)})))
	})
}

func effectChmod(r *rig, dir string) {
	path := filepath.Join(dir, "file")
	r.with(path, "", func(file messages.Handle) {
		for _, mode := range []fs.FileMode{0o604, 0o777 | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky, 0} {
			do(r, &messages.Chmod{Handle: file, Mode: mode})
			info, err := os.Stat(path)
			require.NoError(r.t, err)
			require.Equal(r.t, mode, info.Mode())
		}
	})
}

func effectChown(r *rig, dir string) {
	if os.Geteuid() != 0 {
		r.t.Skip("needs root")
	}
	path := filepath.Join(dir, "file")
	r.with(path, "", func(file messages.Handle) {
		do(r, &messages.Chown{Handle: file, UID: 1234, GID: 5678})
		require.Equal(r.t, [2]uint32{1234, 5678}, [2]uint32{r.statOf(path).Uid, r.statOf(path).Gid})
		do(r, &messages.Chown{Handle: file, UID: -1, GID: 99})
		require.Equal(r.t, [2]uint32{1234, 99}, [2]uint32{r.statOf(path).Uid, r.statOf(path).Gid})
	})
}

func effectFull(r *rig, dir string) {
	r.with(filepath.Join(dir, "file"), "", func(file messages.Handle) {
		want := bytes.Repeat([]byte("all of it "), 100_000)
		require.NoError(r.t, actors.WriteFull(r.ctx, r.c, file, want, 5))
		got := make([]byte, len(want))
		n, err := actors.ReadFull(r.ctx, r.c, file, got, 5)
		require.NoError(r.t, err)
		require.Equal(r.t, len(want), n)
		require.True(r.t, bytes.Equal(want, got))
		n, err = actors.ReadFull(r.ctx, r.c, file, got, 10)
		require.ErrorIs(r.t, err, io.ErrUnexpectedEOF)
		require.Equal(r.t, len(want)-5, n)
		_, err = actors.ReadFull(r.ctx, r.c, file, got, 1<<40)
		require.Equal(r.t, io.EOF, err)
	})
	begun := time.Now()
	do(r, &messages.Timeout{After: 20 * time.Millisecond})
	require.GreaterOrEqual(r.t, time.Since(begun), 20*time.Millisecond)
}
