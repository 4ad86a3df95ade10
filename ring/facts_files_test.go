//go:build linux

package ring

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// For a request that goes to a kernel worker from the start, the kernel looks
// its descriptor up only there: what has the number by then is read. So no
// descriptor is closed while an operation on it is in flight.
func TestAsyncLooksItsDescriptorUpLate(t *testing.T) {
	g := newRig(t, Options{})
	dir := t.TempDir()
	for _, name := range []string{"right", "wrong"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600))
	}
	wrong := openFile(t, filepath.Join(dir, "wrong"), unix.O_RDONLY)
	// The worker is not always the later one.
	for range 100 {
		fd := openFile(t, filepath.Join(dir, "right"), unix.O_RDONLY)
		read := PrepRead(fd, make([]byte, 5), 0)
		read.Async = true
		name := g.push(read)
		g.enter()
		require.NoError(t, unix.Dup3(int(wrong), int(fd), unix.O_CLOEXEC))
		require.EqualValues(t, 5, g.await(name))
		if string(read.Buf) == "wrong" {
			return
		}
		require.Equal(t, "right", string(read.Buf))
	}
	t.Fatal("it was never late")
}

// For any other request the descriptor is looked up when it is submitted.
func TestPlainRequestHasItsFileOnceConsumed(t *testing.T) {
	g := newRig(t, Options{})
	right, rightEnd := newPipe(t)
	wrong, wrongEnd := newPipe(t)
	read := PrepRead(right, make([]byte, 8), StreamOffset)
	name := g.push(read)
	g.enter()
	require.NoError(t, unix.Dup3(int(wrong), int(right), unix.O_CLOEXEC))
	writePipe(t, wrongEnd, "wrong")
	writePipe(t, rightEnd, "right")
	require.EqualValues(t, 5, g.await(name))
	require.Equal(t, "right", string(read.Buf[:5]))
}

// A read of a pipe that is O_NONBLOCK waits all the same: only NoWait makes
// EAGAIN final. Files that a program hands over are often O_NONBLOCK.
func TestNonblockingPipeIsWaitedFor(t *testing.T) {
	g := newRig(t, Options{})
	r, w := newPipe(t)
	require.NoError(t, unix.SetNonblock(int(r), true))
	buf := make([]byte, 8)
	_, err := unix.Read(int(r), buf)
	require.Equal(t, unix.EAGAIN, err)
	name := g.push(PrepRead(r, buf, StreamOffset))
	g.enter()
	g.reap()
	require.NotContains(t, g.got, name)
	writePipe(t, w, "later")
	require.EqualValues(t, 5, g.await(name))
}

// A file system that cannot be read without waiting says so at once, however
// long it would take: it is EOPNOTSUPP, and not EAGAIN.
func TestNoWaitIsRefusedAtOnceWhereItMeansNothing(t *testing.T) {
	g := newRig(t, Options{})
	fs := mountSlow(t)
	for _, fd := range []int32{fs.device, fs.cached} {
		read := PrepRead(fd, make([]byte, 8), 0)
		read.NoWait = true
		name := g.push(read)
		g.enter()
		g.reap()
		require.Contains(t, g.got, name)
		g.failed(unix.EOPNOTSUPP, g.got[name].Res)
	}
}

// What a request is only read from (SUBMIT_STABLE) is the submitter's again
// once the request is consumed, also if a kernel worker is to perform it. The
// queue uses its places' memory anew.
func TestQueueMemoryIsFreeOnceConsumed(t *testing.T) {
	g := newRig(t, Options{Entries: 1})
	require.Equal(t, 1, g.Entries(), "one place, for one request after the other")
	long := g.push(PrepTimeout(time.Hour))
	g.enter()
	g.fails(unix.ETIME, PrepTimeout(time.Millisecond))
	require.NotContains(t, g.got, long)

	dir := t.TempDir()
	create := PrepOpen(NoDir, filepath.Join(dir, "new"), os.O_CREATE|os.O_RDWR, 0o640, 0)
	create.Async = true
	created := g.push(create)
	g.enter()
	refused := g.push(PrepOpen(NoDir, filepath.Join(dir, "none"), os.O_RDONLY, 0, 0))
	g.enter()
	g.failed(unix.ENOENT, g.await(refused))
	fd := g.await(created)
	require.GreaterOrEqual(t, fd, int32(0))
	require.NoError(t, unix.Close(int(fd)))
	info, err := os.Stat(filepath.Join(dir, "new"))
	require.NoError(t, err)
	require.EqualValues(t, 0o640, info.Mode())

	require.Zero(t, g.ok(PrepCancel(long)))
	g.failed(unix.ECANCELED, g.await(long))
}
