//go:build linux

package ring

import (
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/test/leak"
)

func openRing(t testing.TB) *Ring {
	t.Helper()
	r, err := Open(Options{Entries: 16})
	if err != nil {
		t.Skip(err)
	}
	return r
}

// submit has the kernel consume a request, which must stay reachable.
func submit(t testing.TB, r *Ring, req *Request) {
	t.Helper()
	require.True(t, r.Push(1, req))
	n, err := r.Enter()
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

// armedPipe has a ring read from a pipe of which it soon has the only reading
// end: released gives whether the kernel has let go of that one.
func armedPipe(t testing.TB, r *Ring) (released func() bool) {
	t.Helper()
	var ends [2]int
	require.NoError(t, unix.Pipe2(ends[:], unix.O_CLOEXEC))
	t.Cleanup(func() { _ = unix.Close(ends[1]) })
	submit(t, r, ptr(PrepRead(int32(ends[0]), make([]byte, 8), StreamOffset)))
	require.NoError(t, unix.Close(ends[0]))
	return func() bool {
		poll := []unix.PollFd{{Fd: int32(ends[1])}}
		_, err := unix.Poll(poll, 0)
		return err == nil && poll[0].Revents&unix.POLLERR != 0
	}
}

// TestCloseIsNoBarrier: the kernel goes on writing after Close, and lets go of
// nothing that is in flight just because it has taken the rest of the ring down.
// Only when the last request is gone the canary says so, and then its memory is
// written no more.
func TestCloseIsNoBarrier(t *testing.T) {
	fs := mountSlow(t)
	r := openRing(t)
	device, worker := PrepRead(fs.device, poisoned(slowSize), 0), PrepRead(fs.cached, poisoned(slowSize), 0)
	worker.Async = true
	submit(t, r, &device)
	submit(t, r, &worker)
	fs.asked(2)
	released := armedPipe(t, r)
	gone := make(chan struct{})
	var then []byte // what the device's buffer held when all was said to be gone
	require.NoError(t, r.Close())
	go r.AwaitGone(func() {
		then = append(then, device.Buf...)
		close(gone)
	})
	eventually(t, "the ring's taking down", released)
	require.True(t, isAll(device.Buf, poison))
	require.False(t, isDone(gone), "two requests are left")

	fs.answer()
	within(t, gone, "the end of the last request")
	require.True(t, isAll(then, slowByte), "it was written after Close, and before the end")
}

// TestNoWriteAfterGone closes rings with reads of all kinds in flight, while
// what they wait for comes.
func TestNoWriteAfterGone(t *testing.T) {
	const rings = 20
	fs := mountSlow(t)
	path := filepath.Join(t.TempDir(), "file")
	file := openFile(t, path, unix.O_CREAT|unix.O_RDWR)
	require.NoError(t, unix.Ftruncate(int(file), slowSize))
	pipes, writers := make([]int32, rings), make([]int32, rings)
	var requests [rings][]*Request
	var waiting [rings]<-chan struct{}
	for i := range rings {
		r := openRing(t)
		pipes[i], writers[i] = newPipe(t)
		for _, async := range []bool{false, true} {
			for _, fd := range []int32{pipes[i], file} {
				read := PrepRead(fd, poisoned(slowSize), 0)
				if fd != file {
					read.Off = StreamOffset
				}
				read.Async = async
				requests[i] = append(requests[i], &read)
			}
		}
		requests[i] = append(requests[i], ptr(PrepRead(fs.device, poisoned(slowSize), 0)))
		for _, request := range requests[i] {
			submit(t, r, request)
		}
		submit(t, r, ptr(PrepPoll(pipes[i], unix.POLLIN)))
		gone := make(chan struct{})
		waiting[i] = gone
		go r.AwaitGone(func() {
			for _, request := range requests[i] {
				copy(request.Buf, poisoned(slowSize))
			}
			close(gone)
		})
		go func() { _ = r.Close() }()
		writePipe(t, writers[i], "data for two who read")
	}
	fs.asked(rings)
	fs.answer()
	for i := range rings {
		within(t, waiting[i], "the end of the last request")
	}
	closeWhole(t, openRing(t)) // and some time goes by
	for i := range rings {
		for k, request := range requests[i] {
			require.True(t, isAll(request.Buf, poison), "ring %d, request %d", i, k)
		}
	}
}

// AwaitGone may come before Close, after it, or both: each has its answer, and
// the canary is gone.
func TestAwaitGoneBeforeAndAfterClose(t *testing.T) {
	pipe, _ := newPipe(t)
	for name, arm := range map[string]func(*Ring){
		"idle":              func(*Ring) {},
		"in flight":         func(r *Ring) { submit(t, r, ptr(PrepPoll(pipe, unix.POLLIN))) },
		"completion unseen": func(r *Ring) { submit(t, r, ptr(PrepNop())) },
		"completion seen":   func(r *Ring) { submit(t, r, ptr(PrepNop())); completions(r) },
		"not even consumed": func(r *Ring) { r.Push(1, ptr(PrepNop())) },
	} {
		t.Run(name, func(t *testing.T) {
			files := leak.OpenFiles()
			r := openRing(t)
			arm(r)
			before := askGone(r)
			require.NoError(t, r.Close())
			within(t, before, "an answer to who asked before")
			within(t, askGone(r), "an answer to who asked after")
			require.Equal(t, files, leak.OpenFiles())
		})
	}
}

// A ring of which the kernel has nothing at Close keeps nothing, though nobody
// asks.
func TestIdleCloseKeepsNothing(t *testing.T) {
	files := leak.OpenFiles()
	r := openRing(t)
	submit(t, r, ptr(PrepNop()))
	completions(r)
	submit(t, r, ptr(PrepNop())) // its completion is seen by nobody
	r.Push(2, ptr(PrepNop()))    // the kernel has not seen it
	require.NoError(t, r.Close())
	require.Equal(t, files, leak.OpenFiles())
}

// A ring that was closed with requests in flight, and that nobody asks about,
// keeps a descriptor only until it is garbage.
func TestUnaskedCanaryIsCollected(t *testing.T) {
	pipe, _ := newPipe(t)
	files := leak.OpenFiles()
	func() {
		r := openRing(t)
		submit(t, r, ptr(PrepPoll(pipe, unix.POLLIN)))
		require.NoError(t, r.Close())
		require.Len(t, leak.OpenFiles(), len(files)+1)
	}()
	eventually(t, "the descriptor's end", func() bool {
		runtime.GC()
		return len(leak.OpenFiles()) <= len(files)
	})
}

// While an Enter hangs, a closed ring is not taken down, and nothing is gone.
func TestAwaitGoneWhileAnEnterHangs(t *testing.T) {
	g := newRig(t, Options{})
	fs, hung, left := hungEnter(g)
	buf := g.asked[hung].Buf
	gone := askGone(g.Ring)
	require.NoError(t, g.Close())
	require.Equal(t, 2, leak.RingMappings())
	require.False(t, isDone(gone))
	fs.answer()
	within(t, left, "the hung enter's return")
	within(t, gone, "the end of its request")
	require.True(t, isAll(buf, slowByte))
	require.Zero(t, leak.RingMappings())
}

// The kernel also waits for each thread that has entered the ring, though none
// of its requests is left: the canary may come late.
func TestGoneWaitsForThreadsThatEntered(t *testing.T) {
	g := newRig(t, Options{})
	var released func() bool
	newThread(t).run(func() { released = armedPipe(t, g.Ring) })
	g.push(PrepNop())
	s := newSleeper(g) // it enters for the nop, and then hangs in another call
	require.NoError(t, g.Close())
	gone := askGone(g.Ring)
	eventually(t, "the end of the request", released)
	r := openRing(t)
	armedPipe(t, r)
	closeWhole(t, r)
	require.False(t, isDone(gone))
	s.wake()
	within(t, gone, "the kernel's letting go")
}
