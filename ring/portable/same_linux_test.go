package portable

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// The tests of this file do the same on a real io_uring and on a portable
// kernel, and compare what came of it.

// same is one thing to do; what it gives is compared. Successful results that
// are descriptors become 0.
type same struct {
	name string
	do   func(t *testing.T, g *rig) any
}

func TestSame(t *testing.T) {
	probe, err := ring.Open(ring.Options{})
	if errors.Is(err, ring.ErrUnavailable) {
		t.Skip(err)
	}
	require.NoError(t, err)
	require.NoError(t, probe.Close())
	for _, group := range [][]same{sameFiles, sameErrors, samePaths, {sameStat(t)}, samePathErrors, sameStreams, samePolls, sameTimes} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) { compare(t, c) })
		}
	}
}

func compare(t *testing.T, c same) {
	real, err := ring.Open(ring.Options{})
	require.NoError(t, err)
	var want, got any
	t.Run("io_uring", func(t *testing.T) { want = c.do(t, rigOn(t, real)) })
	t.Run("portable", func(t *testing.T) { got = c.do(t, newRig(t, Options{})) })
	require.Equal(t, want, got)
}

func async(req ring.Request) ring.Request {
	req.Async = true
	return req
}

// one is for a single request on a file.
func one(name, content string, req func(fd int32) ring.Request) same {
	return same{name, func(t *testing.T, g *rig) any { return g.run(req(newFile(t, content))) }}
}

var sameFiles = []same{
	{"nop", func(t *testing.T, g *rig) any { return g.run(ring.PrepNop()) }},
	one("read", "hello", func(fd int32) ring.Request { return ring.PrepRead(fd, make([]byte, 3), 1) }),
	one("read async", "hello", func(fd int32) ring.Request { return async(ring.PrepRead(fd, make([]byte, 3), 1)) }),
	one("read short", "hello", func(fd int32) ring.Request { return ring.PrepRead(fd, make([]byte, 9), 1) }),
	one("read past the end", "hello", func(fd int32) ring.Request { return ring.PrepRead(fd, make([]byte, 9), 9) }),
	one("read nothing", "hello", func(fd int32) ring.Request { return ring.PrepRead(fd, nil, 0) }),
	one("read without waiting", "hello", func(fd int32) ring.Request { return noWait(ring.PrepRead(fd, make([]byte, 9), 1)) }),
	one("read nothing without waiting", "hello", func(fd int32) ring.Request { return noWait(ring.PrepRead(fd, nil, 1)) }),
	one("read past the end without waiting", "hello", func(fd int32) ring.Request { return noWait(ring.PrepRead(fd, make([]byte, 9), 5)) }),
	one("read at the position", "hello", func(fd int32) ring.Request { return ring.PrepRead(fd, make([]byte, 3), ring.StreamOffset) }),
	one("vectors", "hello", func(fd int32) ring.Request {
		return ring.PrepReadV(fd, [][]byte{make([]byte, 2), nil, make([]byte, 2)}, 1)
	}),
	one("vectors without waiting", "hello", func(fd int32) ring.Request {
		return noWait(ring.PrepReadV(fd, [][]byte{make([]byte, 2), nil, make([]byte, 2)}, 1))
	}),
	one("fsync", "hello", func(fd int32) ring.Request { return ring.PrepFsync(fd, false) }),
	one("fdatasync", "hello", func(fd int32) ring.Request { return ring.PrepFsync(fd, true) }),
	one("advise", "hello", func(fd int32) ring.Request { return ring.PrepAdvise(fd, 0, 0, unix.FADV_SEQUENTIAL) }),
	one("write too many vectors", "", func(fd int32) ring.Request {
		bufs := make([][]byte, 1500)
		for i := range bufs {
			bufs[i] = []byte{byte(i)}
		}
		return ring.PrepWriteV(fd, bufs, 0)
	}),
	{"write", func(t *testing.T, g *rig) any {
		path := filepath.Join(t.TempDir(), "file")
		fd := openFile(t, path, unix.O_CREAT|unix.O_RDWR)
		res := []int32{
			g.run(ring.PrepWrite(fd, []byte("hello"), 3)),
			g.run(ring.PrepWriteV(fd, [][]byte{[]byte("12"), nil, []byte("345")}, 6)),
			g.run(ring.PrepWrite(fd, []byte("ab"), ring.StreamOffset)),
			g.run(ring.PrepWrite(fd, []byte("cd"), ring.StreamOffset)),
			g.run(ring.PrepTruncate(fd, 10)),
			g.run(ring.PrepAllocate(fd, 0, 0, 12)),
		}
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		return []any{res, string(content)}
	}},
	{"append", func(t *testing.T, g *rig) any {
		path := filepath.Join(t.TempDir(), "file")
		fd := openFile(t, path, unix.O_CREAT|unix.O_WRONLY|unix.O_APPEND)
		res := []int32{g.run(ring.PrepWrite(fd, []byte("one"), 0)), g.run(ring.PrepWrite(fd, []byte("two"), 0))}
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		return []any{res, string(content)}
	}},
	{"write to a full device", func(t *testing.T, g *rig) any {
		fd := openFile(t, "/dev/full", unix.O_RDWR)
		return []int32{
			g.run(ring.PrepWrite(fd, []byte("hello"), 0)),
			g.run(ring.PrepWrite(fd, []byte("hello"), ring.StreamOffset)),
			g.run(noWait(ring.PrepRead(fd, make([]byte, 8), 0))),
			g.run(ring.PrepRead(fd, make([]byte, 8), ring.StreamOffset)),
		}
	}},
	{"devices", func(t *testing.T, g *rig) any {
		var res []int32
		for _, name := range []string{"/dev/null", "/dev/zero", "/dev/urandom"} {
			fd := openFile(t, name, unix.O_RDWR)
			res = append(res, g.run(ring.PrepRead(fd, make([]byte, 8), 0)),
				g.run(ring.PrepRead(fd, make([]byte, 8), ring.StreamOffset)),
				g.run(ring.PrepWrite(fd, make([]byte, 8), ring.StreamOffset)))
		}
		return res
	}},
}

var sameErrors = []same{
	one("negative offset", "", func(fd int32) ring.Request { return ring.PrepRead(fd, make([]byte, 1), 1<<63) }),
	one("negative offset without waiting", "", func(fd int32) ring.Request { return noWait(ring.PrepRead(fd, make([]byte, 1), 1<<63)) }),
	one("negative offset of a write", "", func(fd int32) ring.Request { return ring.PrepWrite(fd, make([]byte, 1), 1<<63) }),
	one("offset beyond", "", func(fd int32) ring.Request { return ring.PrepWrite(fd, make([]byte, 1), 1<<62) }),
	one("negative size", "", func(fd int32) ring.Request { return ring.PrepTruncate(fd, -1) }),
	one("no room for that much", "", func(fd int32) ring.Request { return ring.PrepAllocate(fd, 0, 0, 1<<62) }),
	one("unknown allocation", "", func(fd int32) ring.Request { return ring.PrepAllocate(fd, 0x8000, 0, 1) }),
	one("unknown advice", "", func(fd int32) ring.Request { return ring.PrepAdvise(fd, 0, 1, 77) }),
	{"bad descriptor", func(t *testing.T, g *rig) any { return onEach(g, 9999) }},
	{"no descriptor", func(t *testing.T, g *rig) any { return onEach(g, -1) }},
	{"directory", func(t *testing.T, g *rig) any {
		return onEach(g, openFile(t, t.TempDir(), unix.O_DIRECTORY))
	}},
	{"path only", func(t *testing.T, g *rig) any { return onEach(g, openFile(t, t.TempDir(), unix.O_PATH)) }},
	{"pipe", func(t *testing.T, g *rig) any {
		r, w := newPipe(t)
		require.NoError(t, unix.Close(int(w)))
		return onEach(g, r)
	}},
	{"write only", func(t *testing.T, g *rig) any {
		return onEach(g, openFile(t, filepath.Join(t.TempDir(), "file"), unix.O_CREAT|unix.O_WRONLY))
	}},
	{"read only", func(t *testing.T, g *rig) any {
		return onEach(g, openFile(t, "/proc/self/exe", unix.O_RDONLY))
	}},
}

// onEach performs each operation on a descriptor that it may not be for.
func onEach(g *rig, fd int32) (res []int32) {
	for _, req := range []ring.Request{
		ring.PrepRead(fd, make([]byte, 8), 0),
		async(ring.PrepRead(fd, make([]byte, 8), 0)),
		noWait(ring.PrepRead(fd, make([]byte, 8), 0)),
		ring.PrepRead(fd, make([]byte, 8), ring.StreamOffset),
		ring.PrepReadV(fd, [][]byte{make([]byte, 8)}, 0),
		ring.PrepWrite(fd, make([]byte, 8), 0),
		ring.PrepWrite(fd, make([]byte, 8), ring.StreamOffset),
		ring.PrepWriteV(fd, [][]byte{make([]byte, 8)}, ring.StreamOffset),
		ring.PrepFsync(fd, true),
		ring.PrepTruncate(fd, 4),
		ring.PrepAllocate(fd, 0, 0, 4),
		ring.PrepAdvise(fd, 0, 4, unix.FADV_NORMAL),
		ring.PrepPoll(fd, unix.POLLIN|unix.POLLOUT),
		ring.PrepMkdir(fd, "", 0o700),
		ring.PrepStat(fd, "none", 0),
		ring.PrepOpen(fd, "none", os.O_RDONLY, 0, 0),
	} {
		if g.Supports(req.Code) {
			res = append(res, g.run(req))
		}
	}
	return res
}

// A write to a file that is not to wait may be refused in two ways, and is not
// performed in either.
func TestWriteNoWait(t *testing.T) {
	g := newRig(t, Options{})
	fd := newFile(t, "")
	res := g.run(noWait(ring.PrepWrite(fd, []byte("hello"), 0)))
	if res == 5 {
		t.Skip("this file system writes without waiting")
	}
	require.Contains(t, []int32{-int32(unix.EAGAIN), -int32(unix.EOPNOTSUPP)}, res)
	require.Zero(t, g.ok(ring.PrepRead(fd, make([]byte, 8), 0)))
}

// tree is a directory with a file, a directory, and links.
func tree(t *testing.T) (fd int32, dir string) {
	dir = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o640))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "dir"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dir", "inner"), nil, 0o600))
	require.NoError(t, os.Symlink("file", filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	require.NoError(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	return openFile(t, dir, unix.O_DIRECTORY), dir
}

// listing is what is in a tree, and of what kind.
func listing(t *testing.T, dir string) (all []string) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		all = append(all, strings.TrimPrefix(path, dir)+" "+info.Mode().String())
		return nil
	}))
	return all
}

// inTree performs requests in a tree, and gives their results and what it
// looks like after them.
func inTree(name string, requests func(fd int32) []ring.Request) same {
	return same{name, func(t *testing.T, g *rig) any {
		fd, dir := tree(t)
		var res []int32
		for _, req := range requests(fd) {
			r := g.run(req)
			if req.Code == ring.CodeOpen && r >= 0 {
				require.NoError(t, unix.Close(int(r)))
				r = 0
			}
			res = append(res, r)
		}
		return []any{res, listing(t, dir)}
	}}
}

var samePaths = []same{
	inTree("open", func(fd int32) []ring.Request {
		return []ring.Request{
			ring.PrepOpen(fd, "file", os.O_RDONLY, 0, 0),
			async(ring.PrepOpen(fd, "new", os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o640, 0)),
			ring.PrepOpen(fd, "link", os.O_RDONLY, 0, 0),
			ring.PrepOpen(fd, ".", unix.O_TMPFILE|os.O_RDWR, 0o600, 0),
			ring.PrepOpen(fd, "dir", unix.O_DIRECTORY, 0, unix.RESOLVE_BENEATH),
			ring.PrepOpen(ring.NoDir, "/", unix.O_PATH, 0, 0),
		}
	}),
	inTree("mkdir", func(fd int32) []ring.Request {
		return []ring.Request{ring.PrepMkdir(fd, "new", 0o750), ring.PrepMkdir(fd, "dir/new", 0o777)}
	}),
	inTree("unlink", func(fd int32) []ring.Request {
		return []ring.Request{
			ring.PrepUnlink(fd, "dir/inner", false), ring.PrepUnlink(fd, "dir", true), ring.PrepUnlink(fd, "link", false),
		}
	}),
	inTree("rename", func(fd int32) []ring.Request {
		return []ring.Request{
			ring.PrepRename(fd, "file", fd, "moved", 0),
			ring.PrepRename(fd, "dir", fd, "moved", unix.RENAME_EXCHANGE),
			ring.PrepRename(fd, "moved", fd, "other", unix.RENAME_NOREPLACE),
		}
	}),
	inTree("link", func(fd int32) []ring.Request {
		return []ring.Request{
			ring.PrepLink(fd, "file", fd, "dir/second", 0),
			ring.PrepLink(fd, "link", fd, "followed", unix.AT_SYMLINK_FOLLOW),
			ring.PrepLink(fd, "link", fd, "not", 0),
			ring.PrepSymlink("target", fd, "soft"),
		}
	}),
}

// sameStat asks about files of this test alone, and about devices: the times of a
// directory that others write to change meanwhile.
func sameStat(t *testing.T) same {
	fd, dir := tree(t)
	null := openFile(t, os.DevNull, unix.O_RDONLY)
	return same{"stat", func(t *testing.T, g *rig) any {
		var res []any
		for _, req := range []ring.Request{
			ring.PrepStat(ring.NoDir, "/proc/self/exe", 0),
			async(ring.PrepStat(ring.NoDir, dir, 0)),
			ring.PrepStat(null, "", unix.AT_EMPTY_PATH),
			ring.PrepStat(fd, "file", 0),
			ring.PrepStat(fd, "link", unix.AT_SYMLINK_NOFOLLOW),
			ring.PrepStat(ring.NoDir, "/dev/zero", 0),
		} {
			name := g.start(req)
			res = append(res, g.await(name), *g.asked[name].Statx())
		}
		return res
	}}
}

var samePathErrors = []same{
	inTree("open errors", func(fd int32) []ring.Request {
		return []ring.Request{
			ring.PrepOpen(fd, "none", os.O_RDONLY, 0, 0),
			ring.PrepOpen(fd, "", os.O_RDONLY, 0, 0),
			ring.PrepOpen(fd, "file", os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600, 0),
			ring.PrepOpen(fd, "file/below", os.O_RDONLY, 0, 0),
			ring.PrepOpen(fd, "dir", os.O_RDWR, 0, 0),
			ring.PrepOpen(fd, "file", unix.O_DIRECTORY, 0, 0),
			ring.PrepOpen(fd, "loop", os.O_RDONLY, 0, 0),
			ring.PrepOpen(fd, "link", unix.O_NOFOLLOW, 0, 0),
			ring.PrepOpen(fd, "..", os.O_RDONLY, 0, unix.RESOLVE_BENEATH),
			ring.PrepOpen(fd, "link", os.O_RDONLY, 0, unix.RESOLVE_NO_SYMLINKS),
			ring.PrepOpen(fd, "file", os.O_RDONLY, 0, 1<<20),
			ring.PrepOpen(fd, "file", 1<<30, 0, 0),
			ring.PrepOpen(fd, "file", unix.O_PATH|os.O_CREATE, 0o600, 0),
			ring.PrepOpen(fd, strings.Repeat("n", 256), os.O_RDONLY, 0, 0),
			ring.PrepOpen(fd, strings.Repeat("n/", 3000), os.O_RDONLY, 0, 0),
			ring.PrepOpen(fd, "file\x00tail", os.O_RDONLY, 0, 0),
		}
	}),
	inTree("other errors", func(fd int32) []ring.Request {
		return []ring.Request{
			ring.PrepMkdir(fd, "dir", 0o700),
			ring.PrepMkdir(fd, "none/dir", 0o700),
			ring.PrepUnlink(fd, "none", false),
			ring.PrepUnlink(fd, "dir", false),
			ring.PrepUnlink(fd, "dir", true),
			ring.PrepUnlink(fd, "file", true),
			ring.PrepRename(fd, "none", fd, "file", 0),
			ring.PrepRename(fd, "dir", fd, "dir/below", 0),
			ring.PrepRename(fd, "file", fd, "dir", unix.RENAME_NOREPLACE),
			ring.PrepRename(fd, "file", fd, "dir", 1<<10),
			ring.PrepLink(fd, "dir", fd, "other", 0),
			ring.PrepLink(fd, "file", fd, "dir", 0),
			ring.PrepLink(fd, "file", fd, "other", 1<<30),
			ring.PrepSymlink("", fd, "soft"),
			ring.PrepSymlink("target", fd, "file"),
			ring.PrepStat(fd, "none", 0),
			ring.PrepStat(fd, "dangling", 0),
			ring.PrepStat(fd, "dangling", unix.AT_SYMLINK_NOFOLLOW),
			ring.PrepStat(fd, "", 0),
			ring.PrepStat(fd, "file", 1<<30),
		}
	}),
}

var sameStreams = []same{
	{"pipe", func(t *testing.T, g *rig) any {
		r, w := newPipe(t)
		res := []int32{g.run(noWait(ring.PrepRead(r, make([]byte, 8), ring.StreamOffset)))}
		late := g.start(ring.PrepRead(r, make([]byte, 8), ring.StreamOffset))
		g.pending(late)
		res = append(res, g.run(ring.PrepWrite(w, []byte("hello"), ring.StreamOffset)), g.await(late))
		writeAll(t, w, "some more")
		res = append(res,
			g.run(noWait(ring.PrepRead(r, make([]byte, 4), ring.StreamOffset))),
			g.run(ring.PrepReadV(r, [][]byte{make([]byte, 2), make([]byte, 8)}, ring.StreamOffset)))
		require.NoError(t, unix.Close(int(w)))
		return append(res, g.run(ring.PrepRead(r, make([]byte, 8), ring.StreamOffset)))
	}},
	{"pipe with an offset", func(t *testing.T, g *rig) any {
		r, w := newPipe(t)
		return []int32{
			g.run(ring.PrepWrite(w, []byte("hello"), 7)),
			g.run(noWait(ring.PrepWrite(w, []byte("hello"), 7))),
			g.run(ring.PrepRead(r, make([]byte, 3), 7)),
			g.run(noWait(ring.PrepRead(r, make([]byte, 3), 9))),
			g.run(ring.PrepReadV(r, [][]byte{make([]byte, 8)}, 1)),
			g.run(noWait(ring.PrepRead(r, make([]byte, 3), 9))),
		}
	}},
	{"wrong end", func(t *testing.T, g *rig) any {
		r, w := newPipe(t)
		return []int32{
			g.run(ring.PrepRead(w, make([]byte, 8), ring.StreamOffset)),
			g.run(ring.PrepWrite(r, make([]byte, 8), ring.StreamOffset)),
		}
	}},
	{"more than a pipe holds", func(t *testing.T, g *rig) any {
		r, w := newPipe(t)
		res := []int32{g.run(ring.PrepWrite(w, make([]byte, 100_000), ring.StreamOffset))}
		late := g.start(ring.PrepWrite(w, make([]byte, 100_000), ring.StreamOffset))
		g.pending(late)
		n, err := unix.Read(int(r), make([]byte, 8192))
		require.NoError(t, err)
		return append(res, int32(n), g.await(late))
	}},
	{"no reader", func(t *testing.T, g *rig) any {
		r, w := newPipe(t)
		fill(t, w)
		late := g.start(ring.PrepWrite(w, make([]byte, 8), ring.StreamOffset))
		g.pending(late)
		require.NoError(t, unix.Close(int(r)))
		return []int32{g.await(late), g.run(ring.PrepWrite(w, make([]byte, 8), ring.StreamOffset))}
	}},
	{"socket", func(t *testing.T, g *rig) any {
		a, b := newSockets(t)
		late := g.start(ring.PrepRead(a, make([]byte, 8), ring.StreamOffset))
		res := []int32{g.run(ring.PrepWrite(b, []byte("hello"), ring.StreamOffset)), g.await(late)}
		res = append(res,
			g.run(noWait(ring.PrepRead(a, make([]byte, 8), ring.StreamOffset))),
			g.run(ring.PrepWrite(b, []byte("hello"), 0)),
			g.run(ring.PrepRead(a, make([]byte, 8), 0)),
			g.run(ring.PrepRead(a, make([]byte, 8), 7)),
			g.run(ring.PrepWrite(a, make([]byte, 8), 7)),
			g.run(ring.PrepWrite(b, make([]byte, 1<<20), ring.StreamOffset)))
		require.NoError(t, unix.Shutdown(int(b), unix.SHUT_RDWR))
		return append(res, g.run(ring.PrepWrite(a, make([]byte, 8), ring.StreamOffset)))
	}},
	{"datagrams", func(t *testing.T, g *rig) any {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		defer func() { _, _ = unix.Close(fds[0]), unix.Close(fds[1]) }()
		writeAll(t, int32(fds[0]), "first")
		writeAll(t, int32(fds[0]), "second")
		buf := make([]byte, 3)
		return []any{
			g.run(ring.PrepRead(int32(fds[1]), buf, ring.StreamOffset)), string(buf),
			g.run(ring.PrepRead(int32(fds[1]), buf, ring.StreamOffset)), string(buf),
		}
	}},
	{"socket that is not connected", func(t *testing.T, g *rig) any {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(fd)
		return []int32{
			g.run(ring.PrepRead(int32(fd), make([]byte, 8), ring.StreamOffset)),
			g.run(ring.PrepWrite(int32(fd), make([]byte, 8), ring.StreamOffset)),
			g.run(ring.PrepPoll(int32(fd), unix.POLLIN)),
		}
	}},
	{"empty datagram", func(t *testing.T, g *rig) any {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		defer func() { _, _ = unix.Close(fds[0]), unix.Close(fds[1]) }()
		var res []int32
		for _, req := range []ring.Request{
			ring.PrepWrite(int32(fds[0]), nil, ring.StreamOffset),
			ring.PrepWrite(int32(fds[0]), nil, 0),
			ring.PrepWrite(int32(fds[0]), nil, 7),
			noWait(ring.PrepWrite(int32(fds[0]), nil, ring.StreamOffset)),
			ring.PrepWriteV(int32(fds[0]), nil, ring.StreamOffset),
			ring.PrepWriteV(int32(fds[0]), [][]byte{nil, {}}, ring.StreamOffset),
		} {
			n, got, err := g.run(req), 0, error(nil)
			if n == 0 {
				got, _, err = unix.Recvfrom(fds[1], make([]byte, 8), unix.MSG_DONTWAIT)
				require.NoError(t, err, "it did not arrive")
			}
			res = append(res, n, int32(got))
		}
		return append(res, g.run(ring.PrepRead(int32(fds[1]), nil, ring.StreamOffset)))
	}},
	{"empty write to nobody", func(t *testing.T, g *rig) any {
		a, b := newSockets(t)
		require.NoError(t, unix.Shutdown(int(b), unix.SHUT_RDWR))
		return []int32{
			g.run(ring.PrepWrite(a, nil, ring.StreamOffset)),
			g.run(noWait(ring.PrepWrite(a, nil, ring.StreamOffset))),
			g.run(ring.PrepRead(a, nil, ring.StreamOffset)),
		}
	}},
	{"eventfd", func(t *testing.T, g *rig) any {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		require.NoError(t, err)
		defer unix.Close(fd)
		late := g.start(ring.PrepRead(int32(fd), make([]byte, 8), 0))
		writeAll(t, int32(fd), "\x01\x00\x00\x00\x00\x00\x00\x00")
		return []int32{g.await(late), g.run(ring.PrepRead(int32(fd), make([]byte, 4), ring.StreamOffset))}
	}},
	{"FIFO", func(t *testing.T, g *rig) any {
		fd := openFile(t, newFIFO(t), unix.O_RDWR)
		late := g.start(ring.PrepRead(fd, make([]byte, 8), ring.StreamOffset))
		g.pending(late)
		return []int32{
			g.run(noWait(ring.PrepRead(fd, make([]byte, 8), ring.StreamOffset))),
			g.run(ring.PrepWrite(fd, []byte("hello"), ring.StreamOffset)), g.await(late),
			g.run(ring.PrepWrite(fd, make([]byte, 100_000), ring.StreamOffset)),
		}
	}},
	{"FIFO without a writer", func(t *testing.T, g *rig) any {
		path := newFIFO(t)
		fd := openFile(t, path, unix.O_RDONLY|unix.O_NONBLOCK)
		read := func() ring.Request { return ring.PrepRead(fd, make([]byte, 8), ring.StreamOffset) }
		res := []int32{g.run(read()), g.run(async(read()))}
		w, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		require.NoError(t, err)
		late := g.start(read())
		g.pending(late)
		writeAll(t, int32(w), "hello")
		res = append(res, g.await(late))
		late = g.start(read())
		require.NoError(t, unix.Close(w))
		return append(res, g.await(late), g.run(read()))
	}},
	{"terminal", func(t *testing.T, g *rig) any {
		master, slave := newTerminal(t)
		late := g.start(ring.PrepRead(slave, make([]byte, 16), ring.StreamOffset))
		g.pending(late)
		res := []int32{g.run(ring.PrepWrite(master, []byte("a line\n"), ring.StreamOffset)), g.await(late)}
		writeAll(t, master, "another\n")
		buf := make([]byte, 16)
		return []any{res, g.run(ring.PrepRead(slave, buf, 5)), string(bytes.TrimRight(buf, "\x00"))}
	}},
	{"non-blocking", func(t *testing.T, g *rig) any {
		r, w := newPipe(t)
		require.NoError(t, unix.SetNonblock(int(r), true))
		late := g.start(ring.PrepRead(r, make([]byte, 8), ring.StreamOffset))
		g.pending(late)
		writeAll(t, w, "hello")
		return g.await(late)
	}},
}

// newTerminal gives both sides of a pseudo-terminal.
func newTerminal(t *testing.T) (master, slave int32) {
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("no pseudo-terminals: ", err)
	}
	t.Cleanup(func() { _ = unix.Close(m) })
	require.NoError(t, unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(m, unix.TIOCGPTN)
	require.NoError(t, err)
	return int32(m), openFile(t, filepath.Join("/dev/pts", string(rune('0'+n%10))), unix.O_RDWR|unix.O_NOCTTY)
}

var samePolls = []same{
	one("file", "", func(fd int32) ring.Request { return ring.PrepPoll(fd, unix.POLLIN|unix.POLLOUT|unix.POLLPRI) }),
	one("file, never", "", func(fd int32) ring.Request { return ring.PrepPoll(fd, unix.POLLPRI) }),
	{"pipe", func(t *testing.T, g *rig) any {
		r, w := newPipe(t)
		late := g.start(ring.PrepPoll(r, unix.POLLIN))
		g.pending(late)
		res := []int32{g.run(ring.PrepPoll(w, unix.POLLOUT|unix.POLLIN))}
		writeAll(t, w, "hello")
		res = append(res, g.await(late), g.run(ring.PrepPoll(r, unix.POLLIN)))
		require.NoError(t, unix.Close(int(w)))
		return append(res, g.run(ring.PrepPoll(r, unix.POLLIN)), g.run(ring.PrepPoll(r, unix.POLLOUT)))
	}},
	{"pipe, and a read that is faster", func(t *testing.T, g *rig) any {
		r, w := newPipe(t)
		late := g.start(ring.PrepPoll(r, unix.POLLIN))
		g.pending(late)
		writeAll(t, w, "hello")
		return []int32{g.run(ring.PrepRead(r, make([]byte, 8), ring.StreamOffset)), g.await(late)}
	}},
	{"socket", func(t *testing.T, g *rig) any {
		a, b := newSockets(t)
		fill(t, a)
		late, silent := g.start(ring.PrepPoll(a, unix.POLLOUT)), g.start(ring.PrepPoll(a, 0))
		g.pending(late, silent)
		require.NoError(t, unix.Shutdown(int(b), unix.SHUT_WR))
		return []int32{g.await(late), g.await(silent), g.run(ring.PrepPoll(a, unix.POLLIN)), g.run(ring.PrepPoll(b, unix.POLLIN))}
	}},
}

var sameTimes = []same{
	{"timeout", func(t *testing.T, g *rig) any {
		return []int32{g.run(ring.PrepTimeout(0)), g.run(ring.PrepTimeout(time.Millisecond))}
	}},
	{"cancelled timeout", func(t *testing.T, g *rig) any {
		late := g.start(ring.PrepTimeout(time.Hour))
		return []int32{g.cancel(late), g.await(late), g.cancel(late)}
	}},
	{"cancelled read", func(t *testing.T, g *rig) any {
		r, _ := newPipe(t)
		late := g.start(ring.PrepRead(r, make([]byte, 8), ring.StreamOffset))
		return []int32{g.cancel(late), g.await(late), g.cancel(late)}
	}},
	{"cancelled poll", func(t *testing.T, g *rig) any {
		r, _ := newPipe(t)
		late := g.start(ring.PrepPoll(r, unix.POLLIN))
		return []int32{g.cancel(late), g.await(late), g.cancel(late)}
	}},
	{"cancelled before it came", func(t *testing.T, g *rig) any { return g.cancel(77) }},
	{"link timeout expires", func(t *testing.T, g *rig) any {
		r, _ := newPipe(t)
		op := g.push(linked(ring.PrepRead(r, make([]byte, 8), ring.StreamOffset)))
		limit := g.start(ring.PrepLinkTimeout(time.Millisecond))
		return []int32{g.await(op), g.await(limit)}
	}},
	{"link timeout is not needed", func(t *testing.T, g *rig) any {
		r, w := newPipe(t)
		op := g.push(linked(ring.PrepRead(r, make([]byte, 8), ring.StreamOffset)))
		limit := g.start(ring.PrepLinkTimeout(time.Hour))
		g.pending(op, limit)
		cancel := g.cancel(limit)
		writeAll(t, w, "hello")
		return []int32{cancel, g.await(op), g.await(limit)}
	}},
	{"link timeout of what ends at once", func(t *testing.T, g *rig) any {
		op := g.push(linked(ring.PrepNop()))
		limit := g.start(ring.PrepLinkTimeout(time.Hour))
		bad := g.push(linked(ring.PrepRead(9999, nil, 0)))
		limit2 := g.start(ring.PrepLinkTimeout(time.Hour))
		return []int32{g.await(op), g.await(limit), g.await(bad), g.await(limit2)}
	}},
	{"link timeout of what is cancelled", func(t *testing.T, g *rig) any {
		op := g.push(linked(ring.PrepTimeout(time.Hour)))
		limit := g.start(ring.PrepLinkTimeout(time.Hour))
		return []int32{g.cancel(op), g.await(op), g.await(limit)}
	}},
	{"link timeout of a timeout", func(t *testing.T, g *rig) any {
		op := g.push(linked(ring.PrepTimeout(time.Hour)))
		limit := g.start(ring.PrepLinkTimeout(time.Millisecond))
		return []int32{g.await(op), g.await(limit)}
	}},
	{"link timeout alone", func(t *testing.T, g *rig) any { return g.run(ring.PrepLinkTimeout(time.Millisecond)) }},
}
