package portable

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// Each operation is proved by what it did to a real file or directory.

func TestOpenAndClose(t *testing.T) {
	g := newRig(t, Options{})
	dir := t.TempDir()
	dirfd := openFile(t, dir, unix.O_DIRECTORY)
	path := filepath.Join(dir, "new")

	// Made by hand: PrepOpen reads the flags of other systems as Linux's.
	create := ring.PrepOpen(dirfd, "new", os.O_CREATE|os.O_RDWR|os.O_EXCL, 0, 0)
	create.Mode = 0o640
	fd := g.ok(create)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640&^umask()), info.Mode())
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	require.NoError(t, err)
	require.Equal(t, unix.FD_CLOEXEC, flags)
	writeAll(t, fd, "through it")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "through it", string(content))

	require.Zero(t, g.ok(ring.PrepClose(fd)))
	_, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	require.Equal(t, unix.EBADF, err)
	g.fails(unix.EBADF, ring.PrepClose(fd))
	g.fails(unix.ENOENT, ring.PrepOpen(dirfd, "none", os.O_RDONLY, 0, 0))
	g.fails(unix.EEXIST, create)
}

func umask() os.FileMode {
	old := unix.Umask(0)
	unix.Umask(old)
	return os.FileMode(old)
}

func TestTransfers(t *testing.T) {
	g := newRig(t, Options{})
	path := filepath.Join(t.TempDir(), "file")
	fd := openFile(t, path, unix.O_CREAT|unix.O_RDWR)

	require.EqualValues(t, 5, g.ok(ring.PrepWrite(fd, []byte("hello"), 3)))
	require.EqualValues(t, 9, g.ok(ring.PrepWriteV(fd, [][]byte{[]byte(" big"), nil, []byte("world")}, 8)))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "\x00\x00\x00hello bigworld", string(content))

	buf := []byte("........")
	require.EqualValues(t, 8, g.ok(ring.PrepRead(fd, buf, 3)))
	require.Equal(t, "hello bi", string(buf))
	first, second := []byte("..."), []byte("......................")
	require.EqualValues(t, 14, g.ok(ring.PrepReadV(fd, [][]byte{first, nil, second}, 3)))
	require.Equal(t, "hel", string(first))
	require.Equal(t, "lo bigworld...........", string(second))

	switch res := g.run(noWait(ring.PrepRead(fd, buf, 12))); res {
	case -int32(unix.EOPNOTSUPP): // some systems cannot be told so
	default:
		require.EqualValues(t, 5, res)
		require.Equal(t, "world bi", string(buf))
	}

	require.EqualValues(t, 2, g.ok(ring.PrepWrite(fd, []byte("ab"), ring.StreamOffset)))
	require.EqualValues(t, 2, g.ok(ring.PrepRead(fd, buf[:2], ring.StreamOffset)))
	require.Equal(t, "\x00h", string(buf[:2]), "behind what was written at the position")
}

func TestAppend(t *testing.T) {
	g := newRig(t, Options{})
	path := filepath.Join(t.TempDir(), "file")
	fd := openFile(t, path, unix.O_CREAT|unix.O_WRONLY|unix.O_APPEND)
	g.ok(ring.PrepWrite(fd, []byte("one "), 0))
	g.ok(ring.PrepWriteV(fd, [][]byte{[]byte("two "), []byte("three")}, 0))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "one two three", string(content))
}

func TestTruncateAndSync(t *testing.T) {
	g := newRig(t, Options{})
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("content"), 0o600))
	fd := openFile(t, path, unix.O_RDWR)
	require.Zero(t, g.ok(ring.PrepTruncate(fd, 3)))
	require.Zero(t, g.ok(ring.PrepFsync(fd, false)))
	require.Zero(t, g.ok(ring.PrepFsync(fd, true)))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "con", string(content))
	if g.Supports(ring.CodeAllocate) {
		require.Zero(t, g.ok(ring.PrepAllocate(fd, 0, 0, 4096)))
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.EqualValues(t, 4096, info.Size())
	} else {
		g.fails(unix.EINVAL, ring.PrepAllocate(fd, 0, 0, 4096))
	}
}

func TestStat(t *testing.T) {
	g := newRig(t, Options{})
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(path, []byte("content"), 0o640))
	require.NoError(t, os.Chmod(path, 0o640))
	require.NoError(t, os.Symlink("file", filepath.Join(dir, "link")))
	info, err := os.Stat(path)
	require.NoError(t, err)

	name := g.start(ring.PrepStat(openFile(t, dir, unix.O_DIRECTORY), "link", 0))
	require.Zero(t, g.await(name))
	st := g.asked[name].Statx()
	require.EqualValues(t, 7, st.Size)
	require.EqualValues(t, unix.S_IFREG|0o640, st.Mode)
	require.EqualValues(t, 1, st.Links)
	require.EqualValues(t, os.Getuid(), st.UID)
	require.Equal(t, info.ModTime().UnixNano(), st.Modified.Sec*1e9+int64(st.Modified.Nsec))

	name = g.start(ring.PrepStat(openFile(t, dir, unix.O_DIRECTORY), "link", unix.AT_SYMLINK_NOFOLLOW))
	require.Zero(t, g.await(name))
	require.EqualValues(t, unix.S_IFLNK, g.asked[name].Statx().Mode&unix.S_IFMT)

	const emptyPath = 0x1000
	name = g.start(ring.PrepStat(openFile(t, path, unix.O_RDONLY), "", emptyPath))
	require.Zero(t, g.await(name))
	require.Equal(t, st.Inode, g.asked[name].Statx().Inode)
}

func TestNames(t *testing.T) {
	g := newRig(t, Options{})
	dir := t.TempDir()
	fd := openFile(t, dir, unix.O_DIRECTORY)
	names := func() (all []string) {
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}
	require.Zero(t, g.ok(ring.PrepMkdir(fd, "dir", 0o750)))
	require.Zero(t, g.ok(ring.PrepSymlink("where", fd, "soft")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o600))
	require.Zero(t, g.ok(ring.PrepLink(fd, "file", fd, "hard", 0)))
	require.Zero(t, g.ok(ring.PrepRename(fd, "file", fd, "moved", 0)))
	require.Equal(t, []string{"dir", "hard", "moved", "soft"}, names())
	target, err := os.Readlink(filepath.Join(dir, "soft"))
	require.NoError(t, err)
	require.Equal(t, "where", target)
	require.Zero(t, g.ok(ring.PrepUnlink(fd, "dir", true)))
	require.Zero(t, g.ok(ring.PrepUnlink(fd, "moved", false)))
	require.Zero(t, g.ok(ring.PrepUnlink(ring.NoDir, filepath.Join(dir, "soft"), false)))
	require.Equal(t, []string{"hard"}, names())
	content, err := os.ReadFile(filepath.Join(dir, "hard"))
	require.NoError(t, err)
	require.Equal(t, "content", string(content))
}

// A path with a NUL in it hits no other file.
func TestPathWithNUL(t *testing.T) {
	g := newRig(t, Options{})
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	g.fails(unix.ENAMETOOLONG, ring.PrepUnlink(openFile(t, dir, unix.O_DIRECTORY), "file\x00tail", false))
	require.FileExists(t, filepath.Join(dir, "file"))
}

// Many at once, of all kinds, each with its own result.
func TestMany(t *testing.T) {
	g := newRig(t, Options{Entries: 64, Workers: 8})
	const files = 40
	dir := openFile(t, t.TempDir(), unix.O_DIRECTORY)
	names := make([]ring.UserData, files)
	fds := make([]int32, files)
	each := func(make func(i int) ring.Request) {
		for i := range names {
			names[i] = g.push(make(i))
		}
		g.enter()
	}
	fileName := func(i int) string { return "file" + string(rune('A'+i)) }
	each(func(i int) ring.Request {
		req := ring.PrepOpen(dir, fileName(i), os.O_CREATE|os.O_RDWR, 0, 0)
		req.Mode = 0o600
		return req
	})
	for i, name := range names {
		fds[i] = g.await(name)
		require.Positive(t, fds[i])
	}
	bufs := make([][]byte, files)
	each(func(i int) ring.Request { return ring.PrepWrite(fds[i], []byte(fileName(i)), uint64(i)) })
	for _, name := range names {
		require.EqualValues(t, 5, g.await(name))
	}
	each(func(i int) ring.Request {
		bufs[i] = make([]byte, 8)
		return ring.PrepRead(fds[i], bufs[i], uint64(i))
	})
	for i, name := range names {
		require.EqualValues(t, 5, g.await(name))
		require.Equal(t, fileName(i), string(bufs[i][:5]))
	}
	each(func(i int) ring.Request { return ring.PrepClose(fds[i]) })
	for _, name := range names {
		require.Zero(t, g.await(name))
	}
}
