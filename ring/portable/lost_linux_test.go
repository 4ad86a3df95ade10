package portable

import (
	"testing"

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
			hung, release := g.hung()
			r, w := newPipe(t)
			read := ring.PrepRead(r, make([]byte, 1), ring.StreamOffset)
			waits := g.start(read)
			g.placed(waits, placeWatch)
			require.False(t, g.Backlog())

			fd := c.fd(k)
			kept, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			require.NoError(t, err)
			t.Cleanup(func() { _ = unix.Close(kept) })
			use := func() { require.NoError(t, unix.Dup3(int(w), fd, unix.O_CLOEXEC)) }
			if c.again {
				use()
			} else {
				require.NoError(t, unix.Close(fd))
			}
			if c.tell {
				writeAll(t, w, "x")
			} else {
				g.start(read)
			}
			g.lost()
			use() // it is closed with the kernel
			g.pending(waits)

			nop := g.push(ring.PrepNop())
			_, err = g.Enter()
			require.ErrorAs(t, err, new(*ring.FatalError))
			g.TakeBack(func(name ring.UserData) { require.Equal(t, nop, name) })
			require.Zero(t, g.Unsubmitted())
			release()
			g.closeOpened(hung)
		})
	}
}

// lost waits until a kernel wants to be entered, which says then that it is lost.
func (g *rig) lost() {
	g.t.Helper()
	g.until("the loss", func(k *Kernel) bool { return k.Backlog() })
	within(g.t, g.signal, "a signal")
	_, err := g.Enter()
	require.ErrorAs(g.t, err, new(*ring.FatalError))
	require.False(g.t, g.Backlog(), "it was said")
}
