package portable

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/test/leak"
)

// Close gives up everything in whatever state it is; what runs goes on, and
// AwaitGone waits for it.
func TestCloseWithEverythingInFlight(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		k := g.kernel()
		k.crew.limit, k.crew.most = 1, 1
		path := filepath.Join(t.TempDir(), "never")
		r, _ := newPipe(t)
		before := leak.OpenFiles()
		hung, release := g.hung()
		queued := g.start(ring.PrepMkdir(ring.NoDir, path, 0o700))
		read := g.start(ring.PrepRead(r, make([]byte, 8), ring.StreamOffset))
		timer := g.start(ring.PrepTimeout(50 * time.Millisecond))
		limited := g.push(linked(ring.PrepPoll(r, unix.POLLIN)))
		limit := g.push(ring.PrepLinkTimeout(50 * time.Millisecond))
		g.enter()
		g.push(ring.PrepNop())
		g.placed(queued, placeQueue)
		g.placed(read, placeWatch)

		require.NoError(t, g.Close())
		require.NoError(t, g.Close())
		gone := gone(k)
		g.pending(hung, queued, read, timer, limited, limit)
		nop := ring.PrepNop()
		require.False(t, g.Push(99, &nop))
		require.False(t, g.Backlog())
		_, err := g.Enter()
		require.ErrorAs(t, err, new(*ring.FatalError))
		select {
		case <-gone:
			t.Fatal("gone with a call that hangs")
		case <-time.After(100 * time.Millisecond): // the timers too would have come
		}
		release()
		within(t, gone, "the kernel to let go of everything")
		require.NoDirExists(t, path)
		g.reap()
		require.Empty(t, g.got)
		requireFiles(t, before)
	})
}

// requireFiles checks that of the files that are open all but one are known:
// that which releases a FIFO.
func requireFiles(t *testing.T, before []string) {
	t.Helper()
	known := map[string]bool{}
	for _, file := range before {
		known[file] = true
	}
	var more []string
	for _, file := range leak.OpenFiles() {
		if !known[file] {
			more = append(more, file)
		}
	}
	require.LessOrEqual(t, len(more), 1, "%v", more)
}

// A descriptor that nobody took is closed; one that somebody has seen is his.
func TestCloseWithDescriptorsUnseen(t *testing.T) {
	before := len(leak.OpenFiles())
	g := newRig(t, Options{})
	g.kernel().cq.init(4) // some overflow
	for range 8 {
		g.push(ring.PrepOpen(ring.NoDir, "/", os.O_RDONLY, 0, 0))
	}
	g.enter()
	g.until("all of them to be open", func(k *Kernel) bool { return len(k.pending) == 0 })
	first, ok := g.Peek()
	require.True(t, ok)
	g.Advance()
	second, ok := g.Peek()
	require.True(t, ok)
	require.NoError(t, g.Close())
	within(t, gone(g.kernel()), "the kernel to let go of everything")
	if before > 0 { // this system tells
		require.Len(t, leak.OpenFiles(), before+2)
	}
	require.NoError(t, unix.Close(int(first.Res)))
	require.NoError(t, unix.Close(int(second.Res)))
	_, ok = g.Peek()
	require.False(t, ok)
}

// A kernel's own descriptors are closed when Close returns, whatever waits.
func TestCloseClosesItsOwn(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			r, _ := newPipe(t)
			for waiting := range 3 {
				before := leak.OpenFiles()
				k := way.kernel(t, Options{})
				var kept []ring.Request
				for i := range waiting {
					kept = append(kept, ring.PrepPoll(r, unix.POLLIN))
					require.True(t, k.Push(ring.UserData(i), &kept[i]))
				}
				_, err := k.Enter()
				require.NoError(t, err)
				require.NoError(t, k.Close())
				require.Equal(t, before, leak.OpenFiles())
				within(t, gone(k), "the kernel to let go of everything")
				runtime.KeepAlive(kept)
			}
		})
	}
}

// What a waiting request refers to is let go of.
func TestCloseLetsGo(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		r, _ := newPipe(t)
		buf := new([4096]byte)
		held := weak.Make(buf)
		read := ring.PrepRead(r, buf[:], ring.StreamOffset)
		require.True(t, g.Push(1, &read))
		g.enter()
		g.placed(1, placeWatch)
		read, buf = ring.Request{}, nil
		runtime.GC()
		require.NotNil(t, held.Value(), "the kernel may write to it")
		require.NoError(t, g.Close())
		within(t, gone(g.kernel()), "the kernel to let go of everything")
		runtime.GC()
		require.Nil(t, held.Value())
	})
}

// AwaitGone waits for Close as well.
func TestAwaitGoneBeforeClose(t *testing.T) {
	g := newRig(t, Options{})
	gone := gone(g.kernel())
	require.Zero(t, g.ok(ring.PrepStat(ring.NoDir, "/", 0)))
	select {
	case <-gone:
		t.Fatal("gone and not closed")
	default:
	}
	require.NoError(t, g.Close())
	within(t, gone, "the kernel to let go of everything")
}

// Close may come at any moment of what else goes on.
func TestCloseRaces(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			for range 50 {
				closeRace(t, way.kernel(t, Options{Workers: 2}))
			}
		})
	}
}

func closeRace(t *testing.T, k *Kernel) {
	waited, closed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(waited)
		k.Wait(func() {})
	}()
	r, w := newPipe(t)
	var kept []*ring.Request
	push := func(req ring.Request) {
		kept = append(kept, &req)
		require.True(t, k.Push(ring.UserData(len(kept)), &req))
	}
	for range 10 {
		push(ring.PrepRead(r, make([]byte, 1), ring.StreamOffset))
		push(ring.PrepWrite(w, make([]byte, 1), ring.StreamOffset))
		push(ring.PrepOpen(ring.NoDir, "/", os.O_RDONLY, 0, 0))
		push(linked(ring.PrepTimeout(time.Microsecond)))
		push(ring.PrepLinkTimeout(time.Microsecond))
	}
	_, err := k.Enter()
	require.NoError(t, err)
	go func() {
		defer close(closed)
		_ = k.Close()
	}()
	_, _ = k.Enter()
	within(t, closed, "Close to return")
	within(t, gone(k), "the kernel to let go of everything")
	within(t, waited, "Wait to return")
	runtime.KeepAlive(kept)
}
