package portable

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// way is how streams are tried and waited for.
type way struct {
	name string
	open func(*Kernel) (readiness, error)
	as   route
}

// ways are all there are, those of other systems included.
var ways = []way{
	{"as here", openReadiness, routeFirst},
	{"no NOWAIT", openReadiness, routeUnknown},
	{"no epoll", openPollset, routeFirst},
	{"neither", openPollset, routeUnknown},
}

func (w way) kernel(t *testing.T, options Options) *Kernel {
	t.Helper()
	k, err := open(options, w.open)
	require.NoError(t, err)
	k.calls.first = w.as
	return k
}

func onEachWay(t *testing.T, test func(t *testing.T, g *rig)) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) { test(t, rigOn(t, w.kernel(t, Options{}))) })
	}
}

// noWorker fails if an operation occupies one.
func (g *rig) noWorker() {
	g.t.Helper()
	g.until("all workers to leave", func(k *Kernel) bool { return k.crew.alive == 0 })
}

func TestReadWaits(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		r, w := newPipe(t)
		a, b := newSockets(t)
		fifo := openFile(t, newFIFO(t), unix.O_RDWR)
		for _, way := range [][2]int32{{r, w}, {a, b}, {fifo, fifo}} {
			buf, buf2 := []byte("........"), []byte("........")
			name := g.start(ring.PrepRead(way[0], buf, ring.StreamOffset))
			g.placed(name, placeWatch)
			g.noWorker()
			g.pending(name)
			writeAll(t, way[1], "late")
			require.EqualValues(t, 4, g.await(name))
			require.Equal(t, "late....", string(buf))

			name = g.start(ring.PrepReadV(way[0], [][]byte{buf[:2], nil, buf2}, ring.StreamOffset))
			g.placed(name, placeWatch)
			writeAll(t, way[1], "again")
			n := g.await(name) // some ways fill the first only
			require.Equal(t, "again"[:n], string(append(buf[:2], buf2...)[:n]))
			if rest := int(5 - n); rest > 0 {
				require.EqualValues(t, rest, g.ok(ring.PrepRead(way[0], buf, ring.StreamOffset)))
				require.Equal(t, "again"[n:], string(buf[:rest]))
			}
		}
	})
}

func TestEndOfStream(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		r, w := newPipe(t)
		name := g.start(ring.PrepRead(r, make([]byte, 8), ring.StreamOffset))
		g.placed(name, placeWatch)
		require.NoError(t, unix.Close(int(w)))
		require.Zero(t, g.await(name))
		require.Zero(t, g.ok(ring.PrepRead(r, make([]byte, 8), ring.StreamOffset)))
		a, b := newSockets(t)
		require.NoError(t, unix.Shutdown(int(b), unix.SHUT_RDWR))
		require.Zero(t, g.ok(ring.PrepRead(a, make([]byte, 8), ring.StreamOffset)))
		g.fails(unix.EPIPE, ring.PrepWrite(a, make([]byte, 8), ring.StreamOffset))
	})
}

// What is larger than the room is written in part, as io_uring does it, and
// nothing is lost or doubled.
func TestWriteWaits(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		r, w := newPipe(t)
		a, b := newSockets(t)
		fifo := openFile(t, newFIFO(t), unix.O_RDWR)
		for _, way := range [][2]int32{{r, w}, {a, b}, {fifo, fifo}} {
			data := make([]byte, 1<<20)
			for i := range data {
				data[i] = byte(i >> 8 * i)
			}
			held := fill(t, way[1])
			name := g.start(ring.PrepWrite(way[1], data, ring.StreamOffset))
			g.placed(name, placeWatch)
			g.noWorker()
			drain(t, way[0], held)
			n := g.await(name)
			require.Positive(t, n)
			require.Less(t, n, int32(len(data)))
			require.Equal(t, data[:n], drain(t, way[0], int(n)))

			m := g.ok(ring.PrepWriteV(way[1], [][]byte{nil, data[:3], data[3:9]}, ring.StreamOffset))
			require.Equal(t, data[:m], drain(t, way[0], int(m)))
		}
	})
}

// drain reads so many bytes.
func drain(t *testing.T, fd int32, n int) (data []byte) {
	t.Helper()
	buf := make([]byte, 64<<10)
	for len(data) < n {
		m, err := unix.Read(int(fd), buf[:min(len(buf), n-len(data))])
		require.NoError(t, err)
		require.NotZero(t, m)
		data = append(data, buf[:m]...)
	}
	return data
}

// Several operations wait for one descriptor, in both directions, and for
// another number of the same open file.
func TestSharedDescriptor(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		a, b := newSockets(t)
		other, err := unix.Dup(int(a))
		require.NoError(t, err)
		unix.CloseOnExec(other)
		t.Cleanup(func() { _ = unix.Close(other) })
		held := fill(t, a)

		bufs := [3][]byte{make([]byte, 1), make([]byte, 1), make([]byte, 1)}
		write := g.start(ring.PrepWrite(a, []byte("w"), ring.StreamOffset))
		reads := []ring.UserData{
			g.start(ring.PrepRead(a, bufs[0], ring.StreamOffset)),
			g.start(ring.PrepRead(a, bufs[1], ring.StreamOffset)),
			g.start(ring.PrepRead(int32(other), bufs[2], ring.StreamOffset)),
		}
		in, out := g.start(ring.PrepPoll(a, unix.POLLIN)), g.start(ring.PrepPoll(a, unix.POLLOUT))
		g.pending(append(reads, write, in, out)...)

		drain(t, b, held)
		require.EqualValues(t, 1, g.await(write))
		require.EqualValues(t, unix.POLLOUT, g.await(out))
		require.Equal(t, "w", string(drain(t, b, 1)))
		g.pending(append(reads, in)...)

		writeAll(t, b, "xyz")
		require.EqualValues(t, unix.POLLIN, g.await(in)&unix.POLLIN)
		got := []byte{}
		for i, name := range reads {
			require.EqualValues(t, 1, g.await(name))
			got = append(got, bufs[i]...)
		}
		require.ElementsMatch(t, []byte("xyz"), got)
	})
}

// The open file is everybody's: it stays as it was.
func TestStreamStaysBlocking(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		r, _ := newPipe(t)
		a, _ := newSockets(t)
		for _, fd := range []int32{r, a} {
			before, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			require.NoError(t, err)
			name := g.start(ring.PrepRead(fd, make([]byte, 8), ring.StreamOffset))
			g.placed(name, placeWatch)
			during, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			require.NoError(t, err)
			require.Equal(t, before, during)
			require.Zero(t, g.cancel(name))
		}
	})
}

func TestPoll(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		r, w := newPipe(t)
		name := g.start(ring.PrepPoll(r, unix.POLLIN))
		g.placed(name, placeWatch)
		require.EqualValues(t, unix.POLLOUT, g.ok(ring.PrepPoll(w, unix.POLLOUT)))
		g.pending(name)
		writeAll(t, w, "x")
		require.EqualValues(t, unix.POLLIN, g.await(name))
		require.Equal(t, "x", string(drain(t, r, 1)), "it is still there")
		g.fails(unix.EBADF, ring.PrepPoll(9999, unix.POLLIN))
		g.fails(unix.EBADF, ring.PrepPoll(-1, unix.POLLIN))
	})
}

// A poll that has ended moved nothing: others are not told of it.
func TestPollBesidePoll(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		a, b := newSockets(t)
		in := g.start(ring.PrepPoll(a, unix.POLLIN))
		g.placed(in, placeWatch)
		require.EqualValues(t, unix.POLLOUT, g.ok(ring.PrepPoll(a, unix.POLLOUT)))
		g.pending(in)
		writeAll(t, b, "x")
		require.EqualValues(t, unix.POLLIN, g.await(in))
	})
}

// Waiting costs no thread, however many wait.
func TestManyStreams(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		const pipes = 100
		var reads, writes [pipes]int32
		var names [pipes]ring.UserData
		var bufs [pipes][]byte
		for i := range pipes {
			reads[i], writes[i] = newPipe(t)
			bufs[i] = make([]byte, 8)
			names[i] = g.start(ring.PrepRead(reads[i], bufs[i], ring.StreamOffset))
		}
		for _, name := range names {
			g.placed(name, placeWatch)
		}
		g.noWorker()
		for i := range pipes {
			writeAll(t, writes[i], string(rune('!'+i%90)))
		}
		for i, name := range names {
			require.EqualValues(t, 1, g.await(name))
			require.Equal(t, byte('!'+i%90), bufs[i][0])
		}
	})
}

// A stream may have been waited for, and be waited for again.
func TestPingPong(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		a, b := newSockets(t)
		ping, pong := make([]byte, 8), make([]byte, 8)
		for range 100 {
			read := g.start(ring.PrepRead(b, ping, ring.StreamOffset))
			back := g.start(ring.PrepRead(a, pong, ring.StreamOffset))
			require.EqualValues(t, 4, g.ok(ring.PrepWrite(a, []byte("ping"), ring.StreamOffset)))
			require.EqualValues(t, 4, g.await(read))
			g.pending(back)
			require.EqualValues(t, 4, g.ok(ring.PrepWrite(b, ping[:4], ring.StreamOffset)))
			require.EqualValues(t, 4, g.await(back))
			require.Equal(t, "ping", string(pong[:4]))
		}
	})
}

// A descriptor's number may come to mean another file between two waits.
func TestNumberIsUsedAgain(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		for range 20 {
			var fds [2]int
			require.NoError(t, unix.Pipe(fds[:]))
			buf := make([]byte, 8)
			name := g.start(ring.PrepRead(int32(fds[0]), buf, ring.StreamOffset))
			g.placed(name, placeWatch)
			writeAll(t, int32(fds[1]), "x")
			require.EqualValues(t, 1, g.await(name))
			// The open file outlives its number, and goes on being ready.
			other, err := unix.Dup(fds[0])
			require.NoError(t, err)
			writeAll(t, int32(fds[1]), "more")
			_, _ = unix.Close(fds[0]), unix.Close(fds[1])
			t.Cleanup(func() { _ = unix.Close(other) })
		}
	})
}

func TestBufferHelpers(t *testing.T) {
	bufs := [][]byte{nil, []byte("abc"), {}, []byte("de")}
	require.Equal(t, "ab", string(portion(bufs, 2)))
	require.Equal(t, "abc", string(portion(bufs, 9)))
	require.Empty(t, portion(nil, 9))
	require.Equal(t, "bcde", string(bytes.Join(skip(bufs, 1), nil)))
	require.Equal(t, "e", string(bytes.Join(skip(bufs, 4), nil)))
	require.Empty(t, skip(bufs, 5))
	require.Equal(t, "abc", string(bufs[1]), "they are the caller's")
}

// A poll that was told of its events has ended, though somebody may have taken
// what there was; one that began to wait later has not been told.
func TestPollIsTold(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		r, w := newPipe(t)
		k := g.kernel()
		first := g.start(ring.PrepPoll(r, unix.POLLIN))
		g.placed(first, placeWatch)
		k.mu.Lock()
		told := uint32(k.armings)
		k.mu.Unlock()
		second := g.start(ring.PrepPoll(r, unix.POLLIN))
		g.placed(second, placeWatch)
		k.told(r, unix.POLLIN, told)
		require.EqualValues(t, unix.POLLIN, g.await(first))
		g.pending(second)
		k.told(r, unix.POLLIN, told)
		g.pending(second)
		writeAll(t, w, "now")
		require.EqualValues(t, unix.POLLIN, g.await(second))
	})
}

// However often descriptors were armed meanwhile, what waits is told.
func TestManyArmings(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		k := g.kernel()
		for _, armings := range []uint64{1<<31 - 1, 1<<32 - 1, 1 << 40} {
			a, b := newSockets(t)
			held := fill(t, a)
			read := g.start(ring.PrepRead(a, make([]byte, 8), ring.StreamOffset))
			g.placed(read, placeWatch)
			k.mu.Lock()
			k.armings += armings
			k.mu.Unlock()
			write := g.start(ring.PrepWrite(a, []byte("w"), ring.StreamOffset)) // arms it again
			g.placed(write, placeWatch)
			writeAll(t, b, "hello")
			require.EqualValues(t, 5, g.await(read))
			drain(t, b, held)
			require.EqualValues(t, 1, g.await(write))
		}
	})
}

// Where nothing can be told not to wait, that is refused.
func TestNoWaitIsLacking(t *testing.T) {
	for _, w := range ways {
		if w.as == routeNoWait {
			continue
		}
		g := rigOn(t, w.kernel(t, Options{}))
		fd := newFile(t, "content")
		g.fails(unix.EOPNOTSUPP, noWait(ring.PrepRead(fd, make([]byte, 8), 0)))
		require.EqualValues(t, 7, g.ok(ring.PrepRead(fd, make([]byte, 8), 0)))
	}
}

// A poll has ended, too, when a transfer takes what it waits for before anybody
// has told of it.
func TestPollAndFasterRead(t *testing.T) {
	k, err := open(Options{}, func(*Kernel) (readiness, error) { return deaf{}, nil })
	require.NoError(t, err)
	g := rigOn(t, k)
	r, w := newPipe(t)
	in, out := g.start(ring.PrepPoll(r, unix.POLLIN)), g.start(ring.PrepPoll(r, unix.POLLPRI))
	writeAll(t, w, "now")
	require.EqualValues(t, 3, g.run(ring.PrepRead(r, make([]byte, 8), ring.StreamOffset)))
	require.EqualValues(t, unix.POLLIN, g.await(in))
	g.pending(out)
}

// deaf is readiness that hears of nothing.
type deaf struct{}

func (deaf) arm(int32, uint32, uint32) error { return nil }
func (deaf) disarm(int32)                    {}
func (deaf) pollable(int32) bool             { return true }
func (deaf) run()                            {}
func (deaf) stop()                           {}

// What is no event of a poll does no harm: to epoll one of these bits is a way of
// waiting that it would refuse.
func TestPollOfUnknownEvents(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		r, w := newPipe(t)
		name := g.start(ring.PrepPoll(r, unix.POLLIN|1<<28))
		g.placed(name, placeWatch)
		writeAll(t, w, "x")
		require.EqualValues(t, unix.POLLIN, g.await(name))
		_, err := g.kernel().Enter()
		require.NoError(t, err, "it is not lost")
	})
}
