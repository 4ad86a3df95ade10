package portable

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// patience is how long a test waits for an event before it fails.
const patience = 20 * time.Second

// rig drives one kernel for a test: it names requests, keeps them until their
// terminal completion, and waits for completions as an owner would.
type rig struct {
	ring.Kernel
	t      testing.TB
	last   uint64
	asked  map[ring.UserData]*ring.Request
	got    map[ring.UserData]int32
	signal chan struct{}
}

// newRig opens a portable kernel, and closes it with the test, which fails if
// the kernel does not let go of everything then.
func newRig(t testing.TB, options Options) *rig {
	t.Helper()
	k, err := Open(options)
	require.NoError(t, err)
	return rigOn(t, k)
}

func rigOn(t testing.TB, k ring.Kernel) *rig {
	t.Helper()
	g := &rig{
		Kernel: k,
		t:      t,
		asked:  map[ring.UserData]*ring.Request{},
		got:    map[ring.UserData]int32{},
		signal: make(chan struct{}, 1),
	}
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		k.Wait(func() {
			select {
			case g.signal <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(func() {
		require.NoError(t, k.Close())
		within(t, waited, "Wait to return")
		if p, ok := k.(*Kernel); ok {
			within(t, gone(p), "the kernel to let go of everything")
		}
	})
	return g
}

// gone is closed when a kernel says that it has let go of everything.
func gone(k *Kernel) <-chan struct{} {
	done := make(chan struct{})
	go k.AwaitGone(func() { close(done) })
	return done
}

func within(t testing.TB, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("no sign in time of ", what)
	}
}

// kernel is the portable one.
func (g *rig) kernel() *Kernel { return g.Kernel.(*Kernel) }

// push names a request and pushes it.
func (g *rig) push(req ring.Request) ring.UserData {
	g.t.Helper()
	g.last++
	name := ring.MakeUserData(ring.KindOp, 1, g.last)
	g.asked[name] = &req
	require.True(g.t, g.Push(name, &req), "the queue is full")
	return name
}

// enter has all be consumed that was pushed.
func (g *rig) enter() {
	g.t.Helper()
	want := g.Unsubmitted()
	n, err := g.Enter()
	require.NoError(g.t, err)
	require.Equal(g.t, want, n)
	require.Zero(g.t, g.Unsubmitted())
}

// start has one request be consumed.
func (g *rig) start(req ring.Request) ring.UserData {
	g.t.Helper()
	name := g.push(req)
	g.enter()
	return name
}

func (g *rig) reap() {
	g.t.Helper()
	for cqe, ok := g.Peek(); ok; cqe, ok = g.Peek() {
		g.Advance()
		require.Contains(g.t, g.asked, cqe.UserData, "a completion nobody asked for")
		require.NotContains(g.t, g.got, cqe.UserData, "a second completion")
		require.False(g.t, cqe.More())
		g.got[cqe.UserData] = cqe.Res
	}
}

// await waits for the completion of a request, and gives its result.
func (g *rig) await(name ring.UserData) int32 {
	g.t.Helper()
	deadline := time.After(patience)
	for {
		g.reap()
		if res, ok := g.got[name]; ok {
			return res
		}
		if g.Backlog() {
			_, err := g.Enter()
			require.NoError(g.t, err)
			continue
		}
		select {
		case <-g.signal:
		case <-deadline:
			g.t.Fatalf("no completion of request %v in time", name)
		}
	}
}

// pending fails if a request has ended. That it goes on not ending nobody can
// wait for.
func (g *rig) pending(names ...ring.UserData) {
	g.t.Helper()
	g.reap()
	for _, name := range names {
		require.NotContains(g.t, g.got, name, "it has ended")
	}
}

// run performs one request and gives its result.
func (g *rig) run(req ring.Request) int32 {
	g.t.Helper()
	return g.await(g.start(req))
}

// ok performs one request, which must succeed.
func (g *rig) ok(req ring.Request) int32 {
	g.t.Helper()
	res := g.run(req)
	if res < 0 {
		require.NoError(g.t, unix.Errno(-res))
	}
	return res
}

// fails performs one request, which must fail with an errno.
func (g *rig) fails(errno unix.Errno, req ring.Request) {
	g.t.Helper()
	g.failed(errno, g.run(req))
}

func (g *rig) failed(errno unix.Errno, res int32) {
	g.t.Helper()
	require.Negative(g.t, res, "it succeeded")
	require.Equal(g.t, errno, unix.Errno(-res), "got %v", unix.Errno(-res))
}

// cancel asks for the cancellation of a request, and gives the answer.
func (g *rig) cancel(target ring.UserData) int32 {
	g.t.Helper()
	return g.run(ring.PrepCancel(target))
}

// placed waits until an operation is at a place.
func (g *rig) placed(name ring.UserData, p place) {
	g.t.Helper()
	g.until("the operation to get there", func(k *Kernel) bool {
		o := k.pending[name]
		return o != nil && o.place == p
	})
}

// until waits until something holds of a kernel, which is locked meanwhile.
func (g *rig) until(what string, cond func(*Kernel) bool) {
	g.t.Helper()
	k := g.kernel()
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		k.mu.Lock()
		ok := cond(k)
		k.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			g.t.Fatal("no sign in time of ", what)
		}
	}
}

// openFile gives the descriptor of a file, and closes it with the test.
func openFile(t testing.TB, path string, flags int) int32 {
	t.Helper()
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o600)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	return int32(fd)
}

// newFile gives a file with some content.
func newFile(t testing.TB, content string) int32 {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return openFile(t, path, unix.O_RDWR)
}

// newPipe gives the two ends of a pipe.
func newPipe(t testing.TB) (r, w int32) {
	t.Helper()
	var fds [2]int
	require.NoError(t, unix.Pipe(fds[:]))
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	t.Cleanup(func() { _, _ = unix.Close(fds[0]), unix.Close(fds[1]) })
	return int32(fds[0]), int32(fds[1])
}

// newSockets gives two stream sockets that are connected.
func newSockets(t testing.TB) (a, b int32) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	t.Cleanup(func() { _, _ = unix.Close(fds[0]), unix.Close(fds[1]) })
	return int32(fds[0]), int32(fds[1])
}

// newFIFO makes a FIFO.
func newFIFO(t testing.TB) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, unix.Mkfifo(path, 0o600))
	return path
}

func writeAll(t testing.TB, fd int32, data string) {
	t.Helper()
	n, err := unix.Write(int(fd), []byte(data))
	require.NoError(t, err)
	require.Len(t, data, n)
}

// fill writes until there is no more room, and gives how much it was.
func fill(t testing.TB, fd int32) (total int) {
	t.Helper()
	require.NoError(t, unix.SetNonblock(int(fd), true))
	chunk := make([]byte, 4096)
	for {
		n, err := unix.Write(int(fd), chunk)
		if err == unix.EAGAIN {
			require.NoError(t, unix.SetNonblock(int(fd), false))
			return total
		}
		require.NoError(t, err)
		total += n
	}
}

func noWait(req ring.Request) ring.Request {
	req.NoWait = true
	return req
}

func linked(req ring.Request) ring.Request {
	req.Linked = true
	return req
}
