//go:build linux

package ring

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
)

// patience is how long a test waits for an event before it fails.
const patience = 20 * time.Second

// rig drives one real ring for a test: it names requests, keeps them until
// their terminal CQE, and waits for completions as an owner would.
type rig struct {
	*Ring
	t      testing.TB
	last   uint64
	asked  map[UserData]*Request
	got    map[UserData]CQE
	order  []UserData
	signal chan struct{}
}

func newRig(t testing.TB, options Options) *rig {
	t.Helper()
	return newRigOn(t, sys.Kernel{}, options)
}

func newRigOn(t testing.TB, calls kernelCalls, options Options) *rig {
	t.Helper()
	r, err := open(calls, options)
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	require.NoError(t, err)
	g := &rig{
		Ring:   r,
		t:      t,
		asked:  map[UserData]*Request{},
		got:    map[UserData]CQE{},
		signal: make(chan struct{}, 1),
	}
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		r.Wait(func() {
			select {
			case g.signal <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(func() {
		closeWhole(t, r)
		within(t, waited, "Wait to return")
	})
	return g
}

func within(t testing.TB, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("no sign in time of ", what)
	}
}

// closeWhole closes a ring, and waits until the kernel has let go of whatever
// was outstanding.
func closeWhole(t testing.TB, r *Ring) {
	t.Helper()
	require.NoError(t, r.Close())
	within(t, askGone(r), "the kernel's letting go")
}

// askGone gives what is closed when AwaitGone has an answer.
func askGone(r *Ring) <-chan struct{} {
	gone := make(chan struct{})
	go r.AwaitGone(func() { close(gone) })
	return gone
}

// push names a request and pushes it.
func (g *rig) push(req Request) UserData {
	g.t.Helper()
	g.last++
	name := MakeUserData(KindOp, 1, g.last)
	g.asked[name] = &req
	require.True(g.t, g.Push(name, &req), "the queue is full")
	return name
}

// enter publishes all that was pushed.
func (g *rig) enter() {
	g.t.Helper()
	want := g.Unsubmitted()
	n, err := g.Enter()
	require.NoError(g.t, err)
	require.Equal(g.t, want, n)
	require.Zero(g.t, g.Unsubmitted())
}

func (g *rig) reap() {
	g.t.Helper()
	for cqe, ok := g.Peek(); ok; cqe, ok = g.Peek() {
		g.Advance()
		require.Contains(g.t, g.asked, cqe.UserData, "a completion nobody asked for")
		require.NotContains(g.t, g.got, cqe.UserData, "a second completion")
		g.got[cqe.UserData] = cqe
		g.order = append(g.order, cqe.UserData)
	}
}

// await waits for the completion of a request, and gives its result.
func (g *rig) await(name UserData) int32 {
	g.t.Helper()
	deadline := time.After(patience)
	for {
		g.reap()
		if cqe, ok := g.got[name]; ok {
			require.False(g.t, cqe.More())
			return cqe.Res
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

// run performs one request and gives its result.
func (g *rig) run(req Request) int32 {
	g.t.Helper()
	name := g.push(req)
	g.enter()
	return g.await(name)
}

// ok performs one request, which must succeed.
func (g *rig) ok(req Request) int32 {
	g.t.Helper()
	res := g.run(req)
	if res < 0 {
		require.NoError(g.t, syscall.Errno(-res))
	}
	return res
}

// fails performs one request, which must fail with an errno.
func (g *rig) fails(errno syscall.Errno, req Request) {
	g.t.Helper()
	g.failed(errno, g.run(req))
}

func (g *rig) failed(errno syscall.Errno, res int32) {
	g.t.Helper()
	require.Negative(g.t, res, "it succeeded")
	require.Equal(g.t, errno, syscall.Errno(-res), "got %v", syscall.Errno(-res))
}

func (g *rig) need(code Code, what string) {
	g.t.Helper()
	if !g.Supports(code) {
		g.t.Skip("this kernel has no ", what)
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

// newPipe gives the two ends of a pipe.
func newPipe(t testing.TB) (r, w int32) {
	t.Helper()
	var fds [2]int
	require.NoError(t, unix.Pipe2(fds[:], unix.O_CLOEXEC))
	t.Cleanup(func() { _, _ = unix.Close(fds[0]), unix.Close(fds[1]) })
	return int32(fds[0]), int32(fds[1])
}

func writePipe(t testing.TB, fd int32, data string) {
	t.Helper()
	n, err := unix.Write(int(fd), []byte(data))
	require.NoError(t, err)
	require.Len(t, data, n)
}

// fdinfo is what the kernel says of a descriptor of ours, by its names.
func fdinfo(t testing.TB, fd int) map[string]string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	require.NoError(t, err)
	info := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			info[name] = strings.TrimSpace(value)
		}
	}
	return info
}

func fdinfoNumber(t testing.TB, fd int, name string) uint32 {
	t.Helper()
	value, ok := fdinfo(t, fd)[name]
	if !ok {
		t.Skip("this kernel's fdinfo has no ", name)
	}
	n, err := strconv.ParseUint(value, 0, 32)
	require.NoError(t, err)
	return uint32(n)
}
