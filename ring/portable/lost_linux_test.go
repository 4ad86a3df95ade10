package portable

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// A kernel of whose descriptors somebody closes one says so, when it finds out,
// and is otherwise as before.
func TestLostDescriptor(t *testing.T) {
	epollFD := func(k *Kernel) int { return k.readiness.(*epoll).fd }
	pipeFD := func(k *Kernel) int { return int(k.readiness.(*pollset).wakeFD) }
	for _, c := range []struct {
		name  string
		open  func(*Kernel) (readiness, error)
		fd    func(*Kernel) int
		again bool // the number is used for another file
		tell  bool // it is found when something is to be told
	}{
		{"epoll", openReadiness, epollFD, false, false},
		{"epoll, used again", openReadiness, epollFD, true, false},
		{"epoll, used again, when it tells", openReadiness, epollFD, true, true},
		{"pipe", openPollset, pipeFD, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := open(Options{}, c.open)
			require.NoError(t, err)
			g := rigOn(t, k)
			timer := g.start(ring.PrepTimeout(20 * time.Millisecond))
			r, w := newPipe(t)
			read := ring.PrepRead(r, make([]byte, 1), ring.StreamOffset)
			waits := g.start(read)
			g.placed(waits, placeWatch)
			fd := c.fd(k)
			kept, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			require.NoError(t, err)
			t.Cleanup(func() { _ = unix.Close(kept) })
			if c.again {
				require.NoError(t, unix.Dup3(int(w), fd, unix.O_CLOEXEC))
			} else {
				require.NoError(t, unix.Close(fd))
			}
			if c.tell {
				writeAll(t, w, "x")
			} else {
				g.push(read)
			}
			if _, err := g.Enter(); err == nil { // else it was found before
				g.lost()
			} else {
				require.ErrorAs(t, err, new(*ring.FatalError))
			}
			g.pending(waits)

			nop := g.push(ring.PrepNop())
			_, err = g.Enter()
			require.ErrorAs(t, err, new(*ring.FatalError))
			last := ring.UserData(0)
			g.TakeBack(func(name ring.UserData) { last = name })
			require.Equal(t, nop, last)
			require.Equal(t, ring.Expired, g.await(timer))
		})
	}
}

// lost waits until a kernel wants to be entered, which says then that it is lost.
func (g *rig) lost() {
	g.t.Helper()
	g.until("the loss", func(k *Kernel) bool { return k.unsaid.Load() })
	require.True(g.t, g.Backlog())
	within(g.t, g.signal, "a signal")
	_, err := g.Enter()
	require.ErrorAs(g.t, err, new(*ring.FatalError))
	require.False(g.t, g.kernel().unsaid.Load())
}
