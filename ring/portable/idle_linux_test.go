package portable

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// processorTime is what this process has used.
func processorTime(t *testing.T) time.Duration {
	var usage unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// Waiting takes no processor time, whatever is waited for.
func TestIdle(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		r, _ := newPipe(t)
		a, _ := newSockets(t)
		g.hung()
		for _, fd := range []int32{r, a} {
			g.start(ring.PrepRead(fd, make([]byte, 8), ring.StreamOffset))
			g.start(ring.PrepPoll(fd, unix.POLLIN))
		}
		g.start(ring.PrepTimeout(time.Hour))
		requireIdle(t)
	})
}

// requireIdle looks at the processor time of a while.
func requireIdle(t *testing.T) {
	t.Helper()
	before := processorTime(t)
	<-time.After(300 * time.Millisecond)
	require.Less(t, processorTime(t)-before, 30*time.Millisecond)
}

// A descriptor may be told of for good, for what nobody asked: here, a
// timestamp in the socket's error queue. The read that waits for data gets it,
// and does not spin meanwhile.
func TestReadBesideErrorQueue(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		fd, peer := newDatagrams(t)
		require.NoError(t, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPING,
			unix.SOF_TIMESTAMPING_TX_SOFTWARE|unix.SOF_TIMESTAMPING_SOFTWARE|unix.SOF_TIMESTAMPING_OPT_TSONLY))
		require.EqualValues(t, 4, g.ok(ring.PrepWrite(fd, []byte("ping"), ring.StreamOffset)))
		require.EqualValues(t, unix.POLLERR, g.ok(ring.PrepPoll(fd, unix.POLLIN)))
		buf := make([]byte, 8)
		name := g.start(ring.PrepRead(fd, buf, ring.StreamOffset))
		g.until("a worker to wait", func(k *Kernel) bool { return k.crew.running.length == 1 })
		requireIdle(t)
		g.pending(name)
		writeAll(t, peer, "pong")
		require.EqualValues(t, 4, g.await(name))
		require.Equal(t, "pong", string(buf[:4]))
	})
}

// newDatagrams gives two UDP sockets that are connected to each other.
func newDatagrams(t *testing.T) (a, b int32) {
	t.Helper()
	var fds [2]int
	var names [2]unix.Sockaddr
	for i := range fds {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		t.Cleanup(func() { _ = unix.Close(fd) })
		require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
		names[i], err = unix.Getsockname(fd)
		require.NoError(t, err)
		fds[i] = fd
	}
	require.NoError(t, unix.Connect(fds[0], names[1]))
	require.NoError(t, unix.Connect(fds[1], names[0]))
	return int32(fds[0]), int32(fds[1])
}
