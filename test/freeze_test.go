//go:build linux

package test

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
)

// TestHungDirectRead: a read with O_DIRECT of a device that hangs must not hang
// in its submission. A thread that does so holds the ring's lock, and each thread
// whose request on that ring ends waits for it; soon the whole program does, its
// garbage collector and its timers.
func TestHungDirectRead(t *testing.T) {
	fs := mountHungFS(t)
	r := start(t)
	p := r.probe()
	file := do(r, &messages.Open{Path: fs.read, Flags: unix.O_DIRECT})
	const opens = 8
	var fifos []string
	for i := range opens {
		fifos = append(fifos, fifo(t))
		r.send(p, uint64(10+i), &messages.Open{Path: fifos[i]})
	}
	r.send(p, 100, &messages.Read{Handle: file, Buf: aligned(4096, 4096)})
	require.Equal(t, "read", fs.hear())
	stuck := time.AfterFunc(patience, func() { fs.unmount() }) // a frozen program could not tell
	for _, f := range fifos {                                  // requests of many threads end
		w, err := os.OpenFile(f, os.O_WRONLY, 0)
		require.NoError(t, err)
		defer w.Close()
	}
	for range opens {
		require.NoError(t, next[*messages.Completion](p).Err)
	}
	for range 3 {
		runtime.GC()
	}
	do(r, &messages.Nop{})
	require.Zero(t, r.inspect().Failures, "the watchdog had to help")
	require.True(t, stuck.Stop())
	fs.unmount() // that answers, however often it is asked
	require.EqualValues(t, 100, next[*messages.Completion](p).ID.Seq)
}
