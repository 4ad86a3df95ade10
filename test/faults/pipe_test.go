//go:build linux

package faults

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// TestPipeThatHangs reads a pipe whose lock a peer keeps: he moves to it what a
// socket has yet to bring. The first read costs a ring, and is answered as
// unknown. The next is not issued before it is over, and so costs none.
func TestPipeThatHangs(t *testing.T) {
	const stuck = 50 * time.Millisecond
	o := start(t, supervisor.WithStuckAfter(stuck), hurried)
	o.unknownMax = 1
	reader, writer := o.pipe()
	release := keepLocked(t, writer)
	pipe := o.adopt(reader)
	r := o.requester()
	require.ErrorIs(t, r.submit(&messages.Read{Handle: pipe, Buf: pageOf()}).err(), messages.ErrOutcomeUnknown)

	next := r.submit(&messages.Read{Handle: pipe, Buf: pageOf()})
	require.True(t, next.whileOpen(func() {
		_, err := await(o, &messages.Timeout{After: 4 * stuck}) // more than a hang takes to be found
		require.NoError(t, err)
		require.EqualValues(t, 1, o.inspect().Failures)
	}))
	release()
	eventually(t, "the first is over, with what the socket brought", func() bool { return o.inspect().Quarantined == 0 })
	_, err := writer.WriteString("y")
	require.NoError(t, err)
	require.NoError(t, next.err())
}

// keepLocked has a thread keep a pipe's lock until release.
func keepLocked(t *testing.T, pipe *os.File) (release func()) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	ended := make(chan error, 1)
	tid := make(chan int, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		tid <- unix.Gettid()
		_, err := unix.Splice(pair[0], nil, int(pipe.Fd()), nil, 1, 0)
		ended <- err
	}()
	call, spliced := fmt.Sprintf("/proc/self/task/%d/syscall", <-tid), fmt.Sprintf("%d ", unix.SYS_SPLICE)
	eventually(t, "the lock is taken", func() bool {
		in, err := os.ReadFile(call)
		require.NoError(t, err)
		return strings.HasPrefix(string(in), spliced)
	})
	return func() {
		_, err := unix.Write(pair[1], []byte("x"))
		require.NoError(t, err)
		require.NoError(t, <-ended)
		require.NoError(t, unix.Close(pair[0]))
		require.NoError(t, unix.Close(pair[1]))
	}
}
