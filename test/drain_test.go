//go:build linux

package test

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// TestIdleReadAtDrainDeadline: what would wait for ever on a ring that is
// drained is cancelled when its time is up, not given up: the next bytes of the
// pipe are for the next read.
func TestIdleReadAtDrainDeadline(t *testing.T) {
	var crash atomic.Bool
	r := start(t, supervisor.WithDrainTimeout(20*time.Millisecond), supervisor.WithFailpoint(func(p actors.Failpoint, _ int) {
		if p == actors.FailTaken && crash.CompareAndSwap(true, false) {
			panic(errors.New("injected"))
		}
	}))
	reader, writer := r.pipe()
	h := r.adopt(reader)
	p := r.probe()
	r.send(p, 1, &messages.Read{Handle: h, Buf: make([]byte, 4)})
	eventually(t, "the kernel has the read", func() bool { return r.inspect().InFlight == 1 })
	crash.Store(true)
	r.send(p, 2, &messages.Nop{})
	require.ErrorIs(t, next[*messages.Refused](p).Err, messages.ErrRestarted)
	err := p.completed(1).Err
	require.ErrorIs(t, err, unix.ECANCELED)
	require.ErrorIs(t, err, messages.ErrRingLost)

	r.send(p, 3, &messages.Read{Handle: h, Buf: make([]byte, 4)})
	_, err = writer.WriteString("abcd")
	require.NoError(t, err)
	text, err := messages.Result[[]byte](p.completed(3))
	require.NoError(t, err)
	require.Equal(t, "abcd", string(text))
	eventually(t, "the old ring is closed", func() bool { return r.inspect().Draining == 0 })
}

// lingering is a socket whose close waits for a peer that reads nothing.
func lingering(t *testing.T) *os.File {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	conn, err := net.Dial("tcp4", listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).SetLinger(patienceSeconds))
	file, err := conn.(*net.TCPConn).File()
	require.NoError(t, err)
	fd := int(file.Fd()) // once: it makes the descriptor block
	require.NoError(t, unix.SetNonblock(fd, true))
	for buf := make([]byte, 1<<20); err == nil; {
		_, err = unix.Write(fd, buf)
	}
	require.ErrorIs(t, err, unix.EAGAIN)
	require.NoError(t, unix.SetNonblock(fd, false))
	// Without SO_LINGER on this reference its close would not wait; the last
	// one is the subsystem's.
	require.NoError(t, conn.Close())
	return file
}

const patienceSeconds = int(patience / time.Second)

// unpreempted is for a process whose runtime sends its threads no signals: one
// would end a close that lingers.
const unpreempted = "asyncpreemptoff=1"

// TestClosesThatHang hold up neither the blocking lane nor a Shutdown.
func TestClosesThatHang(t *testing.T) {
	if os.Getenv("GODEBUG") != unpreempted {
		out, err := runSelf(t, []string{"GODEBUG=" + unpreempted}, "-test.run=^TestClosesThatHang$")
		require.NoError(t, err, out)
		return
	}
	r := startUnchecked(t, supervisor.WithShutdownGrace(20*time.Millisecond))
	c := r.rm.NewClient()
	for range 4 {
		file := lingering(t)
		_, err := actors.Await(r.ctx, c, &messages.Adopt{File: file})
		require.NoError(t, err)
		require.NoError(t, file.Close())
	}
	c.Close()
	do(r, &messages.ReadLink{Path: "/proc/self/exe"})
	require.Equal(t, 4, r.inspect().Handles)
	ended, cancel := context.WithCancel(r.ctx)
	cancel()
	_, err := r.rm.Shutdown(ended)
	require.ErrorContains(t, err, "closing descriptors takes longer")
}
