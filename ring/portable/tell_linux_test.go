package portable

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// hold has somebody hang with a pipe in his hands: he moves to it what a socket
// will bring. Whoever reads that pipe waits for him, and cannot be told not to.
// release has it brought; the test's end does so too.
func hold(t *testing.T, pipe int32) (release func()) {
	t.Helper()
	from, to := newSockets(t)
	thread, done := make(chan int, 1), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- unix.Gettid()
		_, err := unix.Splice(int(from), nil, int(pipe), nil, 1, 0)
		if err != nil {
			t.Error(err)
		}
	}()
	var once sync.Once
	release = func() {
		once.Do(func() {
			writeAll(t, to, "x")
			within(t, done, "the end of what hangs")
		})
	}
	t.Cleanup(release)
	inCall(t, <-thread, unix.SYS_SPLICE)
	return release
}

// inCall waits until a thread of this process waits in a call.
func inCall(t *testing.T, thread, call int) {
	t.Helper()
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		said, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", thread))
		if err != nil {
			t.Skip("needs to see what a thread is doing: ", err)
		}
		if strings.HasPrefix(string(said), fmt.Sprintf("%d ", call)) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("no sign in time of the call; the thread is in ", string(said))
		}
	}
}

// hungRead has the teller hang: a read that is told of data finds its pipe held.
func (g *rig) hungRead() (name ring.UserData, release func()) {
	g.t.Helper()
	t, k := g.t.(*testing.T), g.kernel()
	r, w := newPipe(t)
	name = g.start(ring.PrepRead(r, make([]byte, 1), ring.StreamOffset))
	g.placed(name, placeWatch)
	func() {
		k.mu.Lock() // nobody is told yet
		defer k.mu.Unlock()
		writeAll(t, w, "x")
		release = hold(t, w)
	}()
	g.placed(name, placeCall)
	return name, release
}

// onNoWaitWays is for the ways in which the teller tries a pipe.
func onNoWaitWays(t *testing.T, test func(t *testing.T, g *rig)) {
	for _, w := range ways {
		if w.as == routeNoWait {
			t.Run(w.name, func(t *testing.T) { test(t, rigOn(t, w.kernel(t, Options{}))) })
		}
	}
}

// Attempts that hang stop nobody else.
func TestHungAttempts(t *testing.T) {
	onNoWaitWays(t, func(t *testing.T, g *rig) {
		var hung []ring.UserData
		var releases []func()
		r, w := newPipe(t)
		for range 3 {
			other := g.start(ring.PrepRead(r, make([]byte, 1), ring.StreamOffset))
			g.placed(other, placeWatch)
			name, release := g.hungRead()
			hung, releases = append(hung, name), append(releases, release)
			writeAll(t, w, "y")
			require.EqualValues(t, 1, g.await(other))
			g.failed(unix.EALREADY, g.cancel(name))
			require.Zero(t, g.ok(ring.PrepStat(ring.NoDir, "/", 0)))
		}
		g.pending(hung...)
		for i, name := range hung {
			releases[i]()
			require.EqualValues(t, 1, g.await(name))
		}
		g.until("nobody to be stuck", func(k *Kernel) bool {
			return k.crew.alive == 0 && k.crew.stuck == 0 && k.crew.running.length == 0 && !k.teller.looking
		})
	})
}

// What is due behind an attempt that hangs can be cancelled, and is tried.
func TestDueBehindHungAttempt(t *testing.T) {
	onNoWaitWays(t, func(t *testing.T, g *rig) {
		k := g.kernel()
		r, w := newPipe(t)
		a, b := newSockets(t)
		k.mu.Lock()
		k.crew.alive = k.crew.most // nobody replaces the teller for now
		k.mu.Unlock()
		read := func(fd int32) ring.UserData {
			return g.start(ring.PrepRead(fd, make([]byte, 1), ring.StreamOffset))
		}
		cancelled, goesOn := read(r), read(a)
		g.placed(cancelled, placeWatch)
		g.placed(goesOn, placeWatch)
		hung, release := g.hungRead()
		k.mu.Lock()
		told := uint32(k.armings)
		k.mu.Unlock()
		k.told(r, unix.POLLIN, told)
		k.told(a, unix.POLLIN, told)
		g.placed(cancelled, placeDue)
		g.placed(goesOn, placeDue)
		require.Zero(t, g.cancel(cancelled))
		g.failed(unix.ECANCELED, g.await(cancelled))
		writeAll(t, w, "r")
		writeAll(t, b, "s")
		g.pending(goesOn)
		k.mu.Lock()
		k.crew.alive = 0
		k.mu.Unlock()
		require.EqualValues(t, 1, g.await(goesOn))
		release()
		require.EqualValues(t, 1, g.await(hung))
	})
}

// closeBeside closes a kernel while an attempt hangs: that does not wait for it,
// and AwaitGone does.
func (g *rig) closeBeside(release func()) {
	g.t.Helper()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = g.Close()
	}()
	within(g.t, closed, "Close to return")
	gone := gone(g.kernel())
	select {
	case <-gone:
		g.t.Fatal("gone with an attempt that hangs")
	default:
	}
	release()
	within(g.t, gone, "the kernel to let go of everything")
}

// That is so whether another tells meanwhile or not.
func TestCloseWithHungAttempt(t *testing.T) {
	for _, replaced := range []bool{false, true} {
		onNoWaitWays(t, func(t *testing.T, g *rig) {
			k := g.kernel()
			if !replaced {
				k.mu.Lock()
				k.crew.alive = k.crew.most
				k.mu.Unlock()
			}
			name, release := g.hungRead()
			if replaced {
				g.until("another to tell", func(k *Kernel) bool { return k.crew.stuck == 1 })
			}
			g.closeBeside(release)
			g.pending(name)
		})
	}
}

// An Enter that hangs in its first attempt stops nothing but what is entered.
func TestHungEnter(t *testing.T) {
	onNoWaitWays(t, func(t *testing.T, g *rig) {
		k := g.kernel()
		r, w := newPipe(t)
		a, b := newPipe(t)
		name := g.start(ring.PrepRead(a, make([]byte, 1), ring.StreamOffset))
		timer := g.start(ring.PrepTimeout(time.Millisecond))
		release := hold(t, w)
		hung := g.push(ring.PrepRead(r, make([]byte, 1), ring.StreamOffset))
		entered := make(chan error, 1)
		go func() {
			_, err := k.Enter()
			entered <- err
		}()
		g.until("it to be under way", func(k *Kernel) bool { return k.Enters() == 3 })
		writeAll(t, b, "x")
		require.EqualValues(t, 1, g.await(name))
		g.failed(unix.Errno(-ring.Expired), g.await(timer))
		g.closeBeside(release)
		require.NoError(t, <-entered)
		g.pending(hung)
	})
}
