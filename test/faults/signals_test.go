//go:build linux

package faults

import (
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// stormOfSignals lasts so long.
const stormOfSignals = 2 * time.Second

// TestEnterEINTRStorm sends signals to each thread of the process a thousand
// times a second, while it works (T9): the one that the Go runtime itself uses
// for preemption, and an alarm that nobody has asked for. Nothing is lost, and
// nobody waits for a wake-up that was.
func TestEnterEINTRStorm(t *testing.T) {
	o := start(t)
	over := make(chan struct{})
	var sent int
	var group sync.WaitGroup
	group.Go(func() { sent = stormThreads(over) })
	rounds := 0
	for began := time.Now(); time.Since(began) < stormOfSignals; rounds += 100 {
		require.Zero(t, workFor(o, 100))
	}
	close(over)
	group.Wait()
	in := o.inspect()
	require.Zero(t, in.Restarts)
	require.Greater(t, sent, 1000)
	t.Logf("%d signals during %d operations and %d calls of io_uring_enter", sent, in.Submitted, in.Enters)
}

// stormThreads sends the signals until over is closed, and counts them.
func stormThreads(over <-chan struct{}) (sent int) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	pid := unix.Getpid()
	for n := 0; ; n++ {
		select {
		case <-over:
			return sent
		case <-tick.C:
		}
		signal := unix.SIGURG
		if n%2 == 1 {
			signal = unix.SIGALRM
		}
		tasks, _ := os.ReadDir("/proc/self/task")
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err == nil && unix.Tgkill(pid, tid, signal) == nil {
				sent++
			}
		}
	}
}
