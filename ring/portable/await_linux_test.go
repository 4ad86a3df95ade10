package portable

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// onTerminal is for what waits for a terminal: a read and a poll, each of them
// from the start on a worker or not.
func onTerminal(t *testing.T, test func(t *testing.T, g *rig, master int32, req ring.Request)) {
	onEachWay(t, func(t *testing.T, g *rig) {
		master, slave := newTerminal(t)
		read, poll := ring.PrepRead(slave, make([]byte, 16), ring.StreamOffset), ring.PrepPoll(slave, unix.POLLIN)
		for _, req := range []ring.Request{read, async(read), poll, async(poll)} {
			test(t, g, master, req)
		}
	})
}

// A worker waits for a terminal, whose driver has to be asked.
func TestTerminalWaits(t *testing.T) {
	onTerminal(t, func(t *testing.T, g *rig, master int32, req ring.Request) {
		name := g.start(req)
		g.placed(name, placeAwait)
		g.pending(name)
		writeAll(t, master, "a line\n")
		if req.Code == ring.CodePoll {
			require.EqualValues(t, unix.POLLIN, g.await(name))
			require.EqualValues(t, 7, g.ok(ring.PrepRead(req.FD, make([]byte, 16), ring.StreamOffset)))
		} else {
			require.EqualValues(t, 7, g.await(name))
		}
		g.noWorker()
	})
}

// That can be cancelled, and then takes nothing away.
func TestTerminalCancelled(t *testing.T) {
	onTerminal(t, func(t *testing.T, g *rig, master int32, req ring.Request) {
		name := g.start(req)
		g.placed(name, placeAwait)
		g.failed(unix.EALREADY, g.cancel(name))
		g.failed(unix.ECANCELED, g.await(name))

		name = g.push(linked(req))
		limit := g.start(ring.PrepLinkTimeout(time.Millisecond))
		g.failed(unix.ECANCELED, g.await(name))
		require.Contains(t, []int32{ring.Expired, -int32(unix.EALREADY), -int32(unix.ECANCELED)}, g.await(limit))

		for range 50 { // wherever it is by then
			name = g.push(req)
			g.push(ring.PrepCancel(name))
			g.enter()
			g.failed(unix.ECANCELED, g.await(name))
		}
		g.noWorker()
		writeAll(t, master, "a line\n")
		require.EqualValues(t, 7, g.ok(ring.PrepRead(req.FD, make([]byte, 16), ring.StreamOffset)))
	})
}

// Close ends it.
func TestTerminalAndClose(t *testing.T) {
	for _, w := range ways {
		g := rigOn(t, w.kernel(t, Options{}))
		_, slave := newTerminal(t)
		var names []ring.UserData
		for range 10 {
			names = append(names, g.start(ring.PrepPoll(slave, unix.POLLIN)))
		}
		for _, name := range names {
			g.placed(name, placeAwait)
		}
		require.NoError(t, g.Close())
		within(t, gone(g.kernel()), "the kernel to let go of everything")
		g.pending(names...)
	}
}

// Where there are no more descriptors, it can be cancelled all the same.
func TestTerminalWithoutDescriptors(t *testing.T) {
	g := newRig(t, Options{})
	_, slave := newTerminal(t)
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	few := limit
	few.Cur = 3
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &few))
	name := g.start(ring.PrepPoll(slave, unix.POLLIN))
	g.placed(name, placeAwait)
	_, err := newWake()
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	require.ErrorIs(t, err, unix.EMFILE)
	g.failed(unix.EALREADY, g.cancel(name))
	g.failed(unix.ECANCELED, g.await(name))
}

// What waits together is only what answers at once whether it is ready.
func TestWhoWaitsHow(t *testing.T) {
	g := newRig(t, Options{})
	r, _ := newPipe(t)
	a, _ := newSockets(t)
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	require.NoError(t, err)
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = unix.Close(event), unix.Close(epoll) })
	_, slave := newTerminal(t)
	for _, c := range []struct {
		fd    int32
		place place
	}{
		{r, placeWatch}, {a, placeWatch}, {int32(event), placeWatch},
		{int32(epoll), placeAwait}, // it asks who is in it
		{slave, placeAwait},
		{openFile(t, "/proc/self/mounts", os.O_RDONLY), placeAwait},
	} {
		for _, req := range []ring.Request{ring.PrepPoll(c.fd, unix.POLLPRI), async(ring.PrepPoll(c.fd, unix.POLLPRI))} {
			name := g.start(req)
			g.placed(name, c.place)
			g.cancel(name)
			g.failed(unix.ECANCELED, g.await(name))
		}
	}
	file := newFile(t, "")
	g.fails(unix.EINVAL, ring.PrepPoll(file, unix.POLLPRI))
	g.fails(unix.EINVAL, async(ring.PrepPoll(file, unix.POLLPRI)))
	require.EqualValues(t, unix.POLLIN, g.ok(async(ring.PrepPoll(openFile(t, "/dev/null", os.O_RDWR), unix.POLLIN))))
}

// Nothing of a descriptor stays in the epoll instance when nothing waits for it
// any more: the open file may outlive it.
func TestNoEntriesStay(t *testing.T) {
	g := newRig(t, Options{})
	entries := func() int {
		info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", g.kernel().readiness.(*epoll).fd))
		require.NoError(t, err)
		return strings.Count(string(info), "tfd:")
	}
	for range 10 {
		r, w := newPipe(t)
		read := ring.PrepRead(r, make([]byte, 1), ring.StreamOffset)
		told := g.start(read)
		g.placed(told, placeWatch)
		require.Equal(t, 1, entries())
		writeAll(t, w, "x")
		require.EqualValues(t, 1, g.await(told))
		g.until("nothing to be in the instance", func(*Kernel) bool { return entries() == 0 })
		cancelled := g.start(read)
		g.placed(cancelled, placeWatch)
		require.Zero(t, g.cancel(cancelled))
		require.Zero(t, entries())
	}
}

// Where there is no room in it, a worker waits.
func TestNoRoomForEntries(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOSPC, unix.ENOMEM} {
		k, err := open(Options{}, func(*Kernel) (readiness, error) { return crowded{errno: errno}, nil })
		require.NoError(t, err)
		g := rigOn(t, k)
		a, b := newSockets(t)
		r, w := newPipe(t)
		for _, way := range [][2]int32{{a, b}, {r, w}} {
			for _, req := range []ring.Request{ring.PrepRead(way[0], make([]byte, 8), ring.StreamOffset), ring.PrepPoll(way[0], unix.POLLIN)} {
				name := g.start(req)
				g.placed(name, placeAwait)
				g.failed(unix.EALREADY, g.cancel(name))
				g.failed(unix.ECANCELED, g.await(name))
				name = g.start(req)
				g.placed(name, placeAwait)
				writeAll(t, way[1], "x")
				require.EqualValues(t, 1, g.await(name)) // POLLIN, too
			}
			require.Len(t, drain(t, way[0], 1), 1)
		}
	}
}

// crowded is readiness that has no room.
type crowded struct {
	deaf
	errno unix.Errno
}

func (c crowded) arm(int32, uint32, uint32) error { return c.errno }

// A worker that waits for a descriptor takes nothing from who waits for it with
// the others.
func TestWaitingInTwoWays(t *testing.T) {
	full := &sometimesFull{}
	k, err := open(Options{Workers: 1, WorkersMax: 1}, func(k *Kernel) (r readiness, err error) {
		full.readiness, err = openReadiness(k)
		return full, err
	})
	require.NoError(t, err)
	g := rigOn(t, k)
	busy, release := g.hung()
	r, w := newPipe(t)
	full.full = true
	poll := g.start(ring.PrepPoll(r, unix.POLLIN))
	g.placed(poll, placeQueue)
	full.full = false
	read := g.start(ring.PrepRead(r, make([]byte, 8), ring.StreamOffset))
	g.placed(read, placeWatch)
	release()
	g.closeOpened(busy)
	g.placed(poll, placeAwait)
	writeAll(t, w, "hello")
	require.EqualValues(t, 5, g.await(read))
	g.cancel(poll) // the read may have been faster
	g.await(poll)
}

// sometimesFull is readiness that may have no room. It is under Kernel.mu, or
// who reads it comes after.
type sometimesFull struct {
	readiness
	full bool
}

func (s *sometimesFull) arm(fd int32, events, arming uint32) error {
	if s.full {
		return unix.ENOSPC
	}
	return s.readiness.arm(fd, events, arming)
}
