//go:build linux

package ring

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Each operation is proved by what it did to a real file, pipe or directory.

func TestRequestIsSmall(t *testing.T) {
	require.LessOrEqual(t, reflect.TypeFor[Request]().Size(), uintptr(80))
}

func TestNop(t *testing.T) {
	g := newRig(t, Options{})
	require.Zero(t, g.ok(PrepNop()))
}

func TestOpen(t *testing.T) {
	g := newRig(t, Options{})
	dir := t.TempDir()
	dirfd := openFile(t, dir, unix.O_DIRECTORY)

	fd := g.ok(PrepOpen(dirfd, "new", os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o640, 0))
	defer unix.Close(int(fd))
	info, err := os.Stat(filepath.Join(dir, "new"))
	require.NoError(t, err)
	umask := unix.Umask(0)
	unix.Umask(umask)
	require.Equal(t, os.FileMode(0o640&^umask), info.Mode())

	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	require.NoError(t, err)
	require.Equal(t, unix.FD_CLOEXEC, flags)
	writePipe(t, fd, "through it")
	content, err := os.ReadFile(filepath.Join(dir, "new"))
	require.NoError(t, err)
	require.Equal(t, "through it", string(content))

	g.fails(unix.EEXIST, PrepOpen(dirfd, "new", os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o640, 0))
	g.fails(unix.ENOENT, PrepOpen(dirfd, "none", os.O_RDONLY, 0, 0))
	g.fails(unix.EXDEV, PrepOpen(dirfd, "..", os.O_RDONLY, 0, unix.RESOLVE_BENEATH))
}

// A mode where nothing is created is refused by openat2 and ignored by open;
// and bits that are no mode likewise.
func TestOpenMode(t *testing.T) {
	g := newRig(t, Options{})
	path := filepath.Join(t.TempDir(), "file")

	fd := g.ok(PrepOpen(NoDir, path, os.O_CREATE|os.O_WRONLY, uint32(os.ModeDir)|0o600, 0))
	require.NoError(t, unix.Close(int(fd)))
	fd = g.ok(PrepOpen(NoDir, path, os.O_RDONLY, 0o600, 0))
	require.NoError(t, unix.Close(int(fd)))

	fd = g.run(PrepOpen(NoDir, filepath.Dir(path), unix.O_TMPFILE|os.O_RDWR, 0o600, 0))
	if fd == -int32(unix.EOPNOTSUPP) {
		t.Skip("no O_TMPFILE on this file system")
	}
	require.GreaterOrEqual(t, fd, int32(0))
	defer unix.Close(int(fd))
	var stat unix.Stat_t
	require.NoError(t, unix.Fstat(int(fd), &stat))
	require.Zero(t, stat.Nlink)
	require.Equal(t, uint32(unix.S_IFREG|0o600), stat.Mode)
}

// A NUL byte would end the path for the kernel, and hit another file.
func TestPathWithNUL(t *testing.T) {
	g := newRig(t, Options{})
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	require.True(t, ValidPath(file))
	require.False(t, ValidPath(file+"\x00tail"))
	g.fails(unix.ENAMETOOLONG, PrepUnlink(NoDir, file+"\x00tail", false))
	g.fails(unix.ENAMETOOLONG, PrepRename(NoDir, file, NoDir, filepath.Join(dir, "a\x00b"), 0))
	g.fails(unix.ENAMETOOLONG, PrepMkdir(NoDir, filepath.Join(dir, "a\x00b"), 0o700))
	g.fails(unix.ENAMETOOLONG, PrepSymlink("a\x00b", NoDir, filepath.Join(dir, "a")))
	g.fails(unix.ENAMETOOLONG, PrepStat(openFile(t, dir, unix.O_DIRECTORY), "\x00", unix.AT_EMPTY_PATH))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestClose(t *testing.T) {
	g := newRig(t, Options{})
	fd, err := unix.Open(t.TempDir(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	require.Zero(t, g.ok(PrepClose(int32(fd))))
	_, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	require.Equal(t, unix.EBADF, err)
	g.fails(unix.EBADF, PrepClose(int32(fd)))
}

func TestReadWrite(t *testing.T) {
	g := newRig(t, Options{})
	path := filepath.Join(t.TempDir(), "file")
	fd := openFile(t, path, unix.O_CREAT|unix.O_RDWR)

	require.EqualValues(t, 5, g.ok(PrepWrite(fd, []byte("hello"), 3)))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "\x00\x00\x00hello", string(content))

	for _, async := range []bool{false, true} {
		buf := bytes.Repeat([]byte{'.'}, 8)
		read := PrepRead(fd, buf, 4)
		read.Async = async
		require.EqualValues(t, 4, g.ok(read))
		require.Equal(t, "ello....", string(buf), "async %v", async)
	}
	require.Zero(t, g.ok(PrepRead(fd, make([]byte, 8), 8)), "end of file")
	require.Zero(t, g.ok(PrepRead(fd, nil, 0)), "empty buffer")
}

func TestReadNoWait(t *testing.T) {
	g := newRig(t, Options{})
	r, w := newPipe(t)
	buf := make([]byte, 8)
	read := PrepRead(r, buf, StreamOffset)
	read.NoWait = true
	g.fails(unix.EAGAIN, read)
	writePipe(t, w, "now")
	require.EqualValues(t, 3, g.ok(read))
	require.Equal(t, "now", string(buf[:3]))
}

// StreamOffset goes on where the file's position is.
func TestStreamOffset(t *testing.T) {
	g := newRig(t, Options{})
	fd := openFile(t, filepath.Join(t.TempDir(), "file"), unix.O_CREAT|unix.O_RDWR)
	g.ok(PrepWrite(fd, []byte("ab"), StreamOffset))
	g.ok(PrepWrite(fd, []byte("cd"), StreamOffset))
	position, err := unix.Seek(int(fd), 0, 1)
	require.NoError(t, err)
	require.EqualValues(t, 4, position)
	buf := make([]byte, 4)
	require.EqualValues(t, 4, g.ok(PrepRead(fd, buf, 0)))
	require.Equal(t, "abcd", string(buf))
}

// A read that waits is completed by what is written later.
func TestReadWaits(t *testing.T) {
	g := newRig(t, Options{})
	r, w := newPipe(t)
	buf := make([]byte, 8)
	name := g.push(PrepRead(r, buf, StreamOffset))
	g.enter()
	_, ok := g.Peek()
	require.False(t, ok)
	writePipe(t, w, "late")
	require.EqualValues(t, 4, g.await(name))
	require.Equal(t, "late", string(buf[:4]))
}

func TestVectors(t *testing.T) {
	g := newRig(t, Options{})
	path := filepath.Join(t.TempDir(), "file")
	fd := openFile(t, path, unix.O_CREAT|unix.O_RDWR)

	write := PrepWriteV(fd, [][]byte{[]byte("one "), nil, []byte("two "), []byte("three")}, 1)
	require.Equal(t, "two ", string(write.Bufs()[2]))
	require.EqualValues(t, 13, g.ok(write))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "\x00one two three", string(content))

	first, second := make([]byte, 6), bytes.Repeat([]byte{'.'}, 10)
	require.EqualValues(t, 10, g.ok(PrepReadV(fd, [][]byte{first, second}, 4)))
	require.Equal(t, " two t", string(first))
	require.Equal(t, "hree......", string(second))

	many := make([][]byte, 1500)
	for i := range many {
		many[i] = []byte{byte(i)}
	}
	require.EqualValues(t, 1024, g.ok(PrepWriteV(fd, many, 0)), "as many as the kernel takes")
}

// A transfer is cut to what one may have, and not to its low 32 bits. The
// memory is only mapped, not touched: /dev/null does not read it.
func TestTransferMax(t *testing.T) {
	g := newRig(t, Options{})
	mem, err := unix.Mmap(-1, 0, 1<<32+4096, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		t.Skip("no room for a large mapping: ", err)
	}
	defer unix.Munmap(mem)
	null := openFile(t, "/dev/null", unix.O_WRONLY)
	require.EqualValues(t, 0x7ffff000, g.ok(PrepWrite(null, mem, StreamOffset)))
}

func dirtyPages(t *testing.T, fd int32) uint64 {
	var stat unix.Cachestat_t
	if err := unix.Cachestat(uint(fd), &unix.CachestatRange{}, &stat, 0); err != nil {
		t.Skip("no cachestat (Linux 6.5): ", err)
	}
	return stat.Dirty + stat.Writeback
}

func TestFsync(t *testing.T) {
	g := newRig(t, Options{})
	fd := openFile(t, filepath.Join(t.TempDir(), "file"), unix.O_CREAT|unix.O_RDWR)
	for _, dataOnly := range []bool{false, true} {
		g.ok(PrepWrite(fd, make([]byte, 64<<10), 0))
		if dirtyPages(t, fd) == 0 {
			t.Skip("this file system has no dirty pages")
		}
		require.Zero(t, g.ok(PrepFsync(fd, dataOnly)))
		require.Zero(t, dirtyPages(t, fd), "data only %v", dataOnly)
	}
	r, _ := newPipe(t)
	g.fails(unix.EINVAL, PrepFsync(r, false))
}

func TestStat(t *testing.T) {
	g := newRig(t, Options{})
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), make([]byte, 5000), 0o604))
	require.NoError(t, os.Symlink("file", filepath.Join(dir, "link")))
	dirfd := openFile(t, dir, unix.O_DIRECTORY)

	stat := func(dirfd int32, path string, flags uint32) *Statx {
		t.Helper()
		request := PrepStat(dirfd, path, flags)
		require.Zero(t, g.ok(request))
		return request.Statx()
	}
	const mask = unix.STATX_BASIC_STATS | unix.STATX_BTIME | unix.STATX_MNT_ID | unix.STATX_DIOALIGN
	var want unix.Statx_t
	require.NoError(t, unix.Statx(int(dirfd), "file", 0, mask, &want))
	got := stat(dirfd, "file", 0)
	require.EqualValues(t, 5000, got.Size)
	require.EqualValues(t, unix.S_IFREG|0o604, got.Mode)
	require.Equal(t, want, unix.Statx_t{
		Mask:                      got.Mask,
		Blksize:                   got.BlockSize,
		Attributes:                got.Attributes,
		Nlink:                     got.Links,
		Uid:                       got.UID,
		Gid:                       got.GID,
		Mode:                      got.Mode,
		Ino:                       got.Inode,
		Size:                      got.Size,
		Blocks:                    got.Blocks,
		Attributes_mask:           got.AttributesMask,
		Atime:                     unix.StatxTimestamp{Sec: got.Accessed.Sec, Nsec: got.Accessed.Nsec},
		Btime:                     unix.StatxTimestamp{Sec: got.Born.Sec, Nsec: got.Born.Nsec},
		Ctime:                     unix.StatxTimestamp{Sec: got.Changed.Sec, Nsec: got.Changed.Nsec},
		Mtime:                     unix.StatxTimestamp{Sec: got.Modified.Sec, Nsec: got.Modified.Nsec},
		Rdev_major:                got.RDeviceMajor,
		Rdev_minor:                got.RDeviceMinor,
		Dev_major:                 got.DeviceMajor,
		Dev_minor:                 got.DeviceMinor,
		Mnt_id:                    got.MountID,
		Dio_mem_align:             got.DirectMemoryAlign,
		Dio_offset_align:          got.DirectOffsetAlign,
		Dio_read_offset_align:     got.DirectReadOffsetAlign,
		Subvol:                    got.SubvolumeID,
		Atomic_write_unit_min:     got.AtomicWriteUnitMin,
		Atomic_write_unit_max:     got.AtomicWriteUnitMax,
		Atomic_write_segments_max: got.AtomicWriteSegments,
		Atomic_write_unit_max_opt: got.AtomicWriteUnitOpt,
	}, "as statx(2) says")
	require.WithinDuration(t, time.Now(), time.Unix(got.Modified.Sec, int64(got.Modified.Nsec)), time.Hour)

	require.EqualValues(t, unix.S_IFREG, stat(dirfd, "link", 0).Mode&unix.S_IFMT)
	require.EqualValues(t, unix.S_IFLNK, stat(dirfd, "link", unix.AT_SYMLINK_NOFOLLOW).Mode&unix.S_IFMT)
	require.EqualValues(t, unix.S_IFDIR, stat(dirfd, "", unix.AT_EMPTY_PATH).Mode&unix.S_IFMT)
	require.Equal(t, got.Inode, stat(NoDir, filepath.Join(dir, "file"), 0).Inode)
	g.fails(unix.ENOENT, PrepStat(dirfd, "none", 0))
}

func TestTruncate(t *testing.T) {
	g := newRig(t, Options{})
	g.need(CodeTruncate, "ftruncate (requires Linux 6.9)")
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("longer than it was"), 0o600))
	fd := openFile(t, path, unix.O_RDWR)
	require.Zero(t, g.ok(PrepTruncate(fd, 6)))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "longer", string(content))
	require.Zero(t, g.ok(PrepTruncate(fd, 5<<30)))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 5<<30, info.Size())
	g.fails(unix.EINVAL, PrepTruncate(fd, -1))
}

func TestAllocate(t *testing.T) {
	g := newRig(t, Options{})
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte{'x'}, 12<<10), 0o600))
	fd := openFile(t, path, unix.O_RDWR)
	res := g.run(PrepAllocate(fd, 0, 16<<10, 4<<10))
	if res == -int32(unix.EOPNOTSUPP) {
		t.Skip("no fallocate on this file system")
	}
	require.Zero(t, res)
	require.Zero(t, g.ok(PrepAllocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 4<<10, 4<<10)))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, content, 20<<10)
	require.Equal(t, strings.Repeat("x", 4<<10), string(content[:4<<10]))
	require.Equal(t, make([]byte, 4<<10), content[4<<10:8<<10])
	require.Equal(t, strings.Repeat("x", 4<<10), string(content[8<<10:12<<10]))
}

// POSIX_FADV_DONTNEED drops clean pages. (A read with NoWait would be no proof
// of it: it starts the disk, and succeeds if that is quick.)
func TestAdvise(t *testing.T) {
	g := newRig(t, Options{})
	fd := openFile(t, filepath.Join(t.TempDir(), "file"), unix.O_CREAT|unix.O_RDWR)
	g.ok(PrepWrite(fd, make([]byte, 64<<10), 0))
	g.ok(PrepFsync(fd, false))
	cached := func() uint64 {
		var stat unix.Cachestat_t
		if err := unix.Cachestat(uint(fd), &unix.CachestatRange{}, &stat, 0); err != nil {
			t.Skip("no cachestat (Linux 6.5): ", err)
		}
		return stat.Cache
	}
	require.NotZero(t, cached())
	require.Zero(t, g.ok(PrepAdvise(fd, 0, 5<<30, unix.FADV_WILLNEED)), "a length beyond 32 bits")
	require.Zero(t, g.ok(PrepAdvise(fd, 0, 0, unix.FADV_DONTNEED)))
	if cached() == 16 {
		t.Skip("this file system keeps its pages")
	}
	require.Zero(t, cached())
	g.fails(unix.EINVAL, PrepAdvise(fd, 0, 0, 99))
}

func TestRename(t *testing.T) {
	g := newRig(t, Options{})
	from, to := t.TempDir(), t.TempDir()
	fromfd, tofd := openFile(t, from, unix.O_DIRECTORY), openFile(t, to, unix.O_DIRECTORY)
	require.NoError(t, os.WriteFile(filepath.Join(from, "a"), []byte("a"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(to, "b"), []byte("b"), 0o600))
	content := func(path ...string) string {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(path...))
		require.NoError(t, err)
		return string(content)
	}
	first, second := ptr(PrepRename(1, "old", 2, "new", 0)).Paths()
	require.Equal(t, []string{"old", "new"}, []string{first, second})

	g.fails(unix.EEXIST, PrepRename(fromfd, "a", tofd, "b", unix.RENAME_NOREPLACE))
	require.Equal(t, "a", content(from, "a"))
	require.Equal(t, "b", content(to, "b"))

	require.Zero(t, g.ok(PrepRename(fromfd, "a", tofd, "b", unix.RENAME_EXCHANGE)))
	require.Equal(t, "b", content(from, "a"))
	require.Equal(t, "a", content(to, "b"))

	require.Zero(t, g.ok(PrepRename(fromfd, "a", tofd, "b", 0)))
	require.Equal(t, "b", content(to, "b"))
	require.NoFileExists(t, filepath.Join(from, "a"))
}

func ptr[T any](v T) *T { return &v }

func TestMkdirUnlink(t *testing.T) {
	g := newRig(t, Options{})
	dir := t.TempDir()
	dirfd := openFile(t, dir, unix.O_DIRECTORY)
	require.Zero(t, g.ok(PrepMkdir(dirfd, "sub", 0o710)))
	info, err := os.Stat(filepath.Join(dir, "sub"))
	require.NoError(t, err)
	require.Equal(t, os.ModeDir|0o710, info.Mode())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sub", "file"), nil, 0o600))

	g.fails(unix.EEXIST, PrepMkdir(dirfd, "sub", 0o710))
	g.fails(unix.EISDIR, PrepUnlink(dirfd, "sub", false))
	g.fails(unix.ENOTEMPTY, PrepUnlink(dirfd, "sub", true))
	g.fails(unix.ENOTDIR, PrepUnlink(dirfd, "sub/file", true))
	require.Zero(t, g.ok(PrepUnlink(dirfd, "sub/file", false)))
	require.NoFileExists(t, filepath.Join(dir, "sub", "file"))
	require.Zero(t, g.ok(PrepUnlink(dirfd, "sub", true)))
	require.NoDirExists(t, filepath.Join(dir, "sub"))
}

func TestLinks(t *testing.T) {
	g := newRig(t, Options{})
	dir := t.TempDir()
	dirfd := openFile(t, dir, unix.O_DIRECTORY)
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	require.Zero(t, g.ok(PrepSymlink("file", dirfd, "soft")))
	target, err := os.Readlink(filepath.Join(dir, "soft"))
	require.NoError(t, err)
	require.Equal(t, "file", target)

	same := func(a, b string) bool {
		t.Helper()
		x, err := os.Lstat(filepath.Join(dir, a))
		require.NoError(t, err)
		y, err := os.Lstat(filepath.Join(dir, b))
		require.NoError(t, err)
		return os.SameFile(x, y)
	}
	require.Zero(t, g.ok(PrepLink(dirfd, "file", dirfd, "hard", 0)))
	require.True(t, same("file", "hard"))
	require.Zero(t, g.ok(PrepLink(dirfd, "soft", dirfd, "soft2", 0)))
	require.True(t, same("soft", "soft2"))
	require.Zero(t, g.ok(PrepLink(dirfd, "soft", dirfd, "hard2", unix.AT_SYMLINK_FOLLOW)))
	require.True(t, same("file", "hard2"))
}

func TestTimeout(t *testing.T) {
	g := newRig(t, Options{})
	const d = 30 * time.Millisecond
	request := PrepTimeout(d)
	require.Equal(t, d, request.Duration())
	start := time.Now()
	g.fails(unix.ETIME, request)
	require.GreaterOrEqual(t, time.Since(start), d)
	g.fails(unix.ETIME, PrepTimeout(-time.Second))

	// Seconds and nanoseconds are not mixed up: the long one is still there
	// when the short one is over.
	long, short := g.push(PrepTimeout(time.Hour)), g.push(PrepTimeout(time.Millisecond))
	g.enter()
	g.failed(unix.ETIME, g.await(short))
	require.NotContains(t, g.got, long)
	require.Zero(t, g.ok(PrepCancel(long)))
	g.failed(unix.ECANCELED, g.await(long))
}

func TestPollAndCancel(t *testing.T) {
	g := newRig(t, Options{})
	r, w := newPipe(t)
	fires, ends := g.push(PrepPoll(r, unix.POLLIN)), g.push(PrepPoll(r, unix.POLLPRI))
	g.enter()
	require.False(t, g.Backlog())

	writePipe(t, w, "x")
	require.EqualValues(t, unix.POLLIN, g.await(fires)&unix.POLLIN)
	require.NotContains(t, g.got, ends)

	require.Zero(t, g.ok(PrepCancel(ends)))
	g.failed(unix.ECANCELED, g.await(ends))
	g.fails(unix.ENOENT, PrepCancel(ends))
}

// A cancel reaches a read that a kernel worker has, if it is asked often
// enough: between the worker and the poll that it arms, the kernel answers
// EALREADY and cancels nothing.
func TestCancelAsync(t *testing.T) {
	g := newRig(t, Options{})
	r, _ := newPipe(t)
	read := PrepRead(r, make([]byte, 8), StreamOffset)
	read.Async = true
	name := g.push(read)
	g.enter()
	for deadline := time.Now().Add(patience); ; {
		res := g.run(PrepCancel(name))
		if res == 0 {
			break
		}
		require.Contains(t, []unix.Errno{unix.EALREADY, unix.ENOENT}, unix.Errno(-res))
		require.True(t, time.Now().Before(deadline), "not cancelled in time")
	}
	g.failed(unix.ECANCELED, g.await(name))
}

func TestLinkTimeout(t *testing.T) {
	g := newRig(t, Options{})
	r, w := newPipe(t)
	read := func(d time.Duration) (read, timer UserData) {
		request := PrepRead(r, make([]byte, 8), StreamOffset)
		request.Linked = true
		read, timer = g.push(request), g.push(PrepLinkTimeout(d))
		g.enter()
		return read, timer
	}
	start := time.Now()
	ends, fires := read(20 * time.Millisecond)
	g.failed(unix.ECANCELED, g.await(ends))
	g.failed(unix.ETIME, g.await(fires))
	require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)

	succeeds, unused := read(time.Hour)
	writePipe(t, w, "data")
	require.EqualValues(t, 4, g.await(succeeds))
	g.failed(unix.ECANCELED, g.await(unused))

	g.fails(unix.EINVAL, PrepLinkTimeout(time.Hour))
}

// The kernel keeps what it only reads until it has consumed the request, and
// no longer: the paths of consumed requests may be overwritten at once.
func TestPathsStableOnceConsumed(t *testing.T) {
	g := newRig(t, Options{})
	dir := t.TempDir()
	request := PrepOpen(NoDir, filepath.Join(dir, "right"), os.O_CREATE|os.O_WRONLY, 0o600, 0)
	request.Async = true // looked up later, by a kernel worker
	name := g.push(request)
	g.enter()
	copy(request.Mem.path[len(dir)+1:], "wrong")
	fd := g.await(name)
	require.GreaterOrEqual(t, fd, int32(0))
	require.NoError(t, unix.Close(int(fd)))
	require.FileExists(t, filepath.Join(dir, "right"))
}

// readOnStack reads into an array that, but for the escape in Push, would be
// on its stack, and moves the stack while the kernel has the read.
func readOnStack(t *testing.T, r *Ring, pipe [2]int32) string {
	var array [16]byte
	request := PrepRead(pipe[0], array[:], StreamOffset)
	require.True(t, r.Push(1, &request))
	_, err := r.Enter()
	require.NoError(t, err)
	deepen(1000)
	writePipe(t, pipe[1], "not on the stack")
	for range 1000 {
		if cqe, ok := r.Peek(); ok {
			r.Advance()
			require.EqualValues(t, 16, cqe.Res)
			return string(array[:])
		}
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}}, 1000)
		require.NoError(t, err)
	}
	t.Fatal("the read did not complete")
	return ""
}

//go:noinline
func deepen(n int) int {
	var block [256]byte
	if n == 0 {
		return int(block[0])
	}
	return deepen(n-1) + int(block[n%256])
}

func TestBuffersAreNotOnStacks(t *testing.T) {
	g := newRig(t, Options{})
	r, w := newPipe(t)
	require.Equal(t, "not on the stack", readOnStack(t, g.Ring, [2]int32{r, w}))
}
