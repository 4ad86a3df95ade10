//go:build linux

package faults

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// scarce leaves this process so many descriptors to open. The function that it
// returns gives back what it took, and is called at the end of the test if it
// was not before.
func scarce(t testing.TB, left int) (plenty func()) {
	t.Helper()
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	var taken []int
	plenty = func() {
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
		for _, fd := range taken {
			_ = unix.Close(fd)
		}
		taken = nil
		_ = null.Close()
	}
	t.Cleanup(plenty)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 512, Max: limit.Max}))
	for {
		fd, err := unix.FcntlInt(null.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			require.ErrorIs(t, err, unix.EMFILE)
			break
		}
		taken = append(taken, fd)
	}
	for range left {
		last := len(taken) - 1
		require.NoError(t, unix.Close(taken[last]))
		taken = taken[:last]
	}
	return plenty
}

// TestRestartWithoutDescriptors loses the ring while the process can open no
// further descriptor, or too few for another ring. What the old ring has ends
// all the same; what is asked for meanwhile waits; and when there are
// descriptors again it is performed.
func TestRestartWithoutDescriptors(t *testing.T) {
	for left := range 3 {
		t.Run(fmt.Sprintf("%d left", left), func(t *testing.T) {
			s := &striker{point: actors.FailTaken}
			o := start(t, supervisor.WithFailpoint(s.hook))
			needs := 2 // a ring and its eventfd
			if !o.onRing() {
				needs = 1 // an epoll instance
			}
			r := o.requester()
			reader, writer := o.pipe()
			pipe := o.adopt(reader)
			poll := r.submit(&messages.Poll{Handle: pipe, Events: messages.Readable})
			o.inFlight(1)
			plenty := scarce(t, left)
			s.strike(o)
			waiting := r.submit(&messages.Nop{})
			if left < needs {
				eventually(t, "it is tried again and again", func() bool { return o.inspect().Failures > 4 })
				require.False(t, waiting.isDone())
			}
			_, err := writer.WriteString("now")
			require.NoError(t, err)
			require.NoError(t, poll.err())
			plenty()
			require.NoError(t, waiting.err())
			serves(o)
			do(o, &messages.Close{Handle: pipe})
		})
	}
}

// TestNoDescriptorForAnOpen: an open that finds no descriptor says so, and
// everything else goes on.
func TestNoDescriptorForAnOpen(t *testing.T) {
	o := start(t)
	reader, _ := o.pipe()
	plenty := scarce(t, 0)
	require.ErrorIs(t, fails(o, &messages.Open{Path: os.DevNull}), unix.EMFILE)
	require.ErrorIs(t, fails(o, &messages.Adopt{File: reader}), unix.EMFILE)
	do(o, &messages.Timeout{After: time.Millisecond})
	plenty()
	do(o, &messages.Close{Handle: do(o, &messages.Open{Path: os.DevNull})})
}
