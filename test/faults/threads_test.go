//go:build linux

package faults

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// lockedGoroutines is how many goroutines have a thread of their own.
func lockedGoroutines() int { return bytes.Count(stacks(), []byte(", locked to thread]")) }

// waiters are operations of each kind that waits: on the pinned thread, in the
// kernel's workers, and in queues behind others.
type waiters struct {
	o       *oracle
	r       *requester
	reader  *os.File
	writer  *os.File
	pipe    messages.Handle
	fifos   []string
	entries []*entry
	reads   []*entry
	opens   []*entry
}

// newWaiters has so many opens wait among the others.
func newWaiters(o *oracle, opens int) *waiters {
	w := &waiters{o: o, r: o.requester()}
	w.reader, w.writer = o.pipe()
	w.pipe = o.adopt(w.reader)
	for range 50 {
		w.entries = append(w.entries, w.r.submit(&messages.Poll{Handle: w.pipe, Events: messages.Readable}))
	}
	for range 8 {
		w.reads = append(w.reads, w.r.submit(&messages.Read{Handle: w.pipe, Buf: make([]byte, 2)}))
	}
	for range opens {
		path := fifo(o.t)
		w.fifos = append(w.fifos, path)
		w.opens = append(w.opens, w.r.submit(&messages.Open{Path: path, Flags: os.O_RDONLY}))
	}
	o.inFlight(50 + 1 + opens) // the other reads wait for the first
	return w
}

// end brings about what they wait for, and judges the true results.
func (w *waiters) end() {
	t := w.o.t
	const text = "0123456789abcdef"
	_, err := w.writer.WriteString(text)
	require.NoError(t, err)
	for _, path := range w.fifos {
		openOtherEnd(t, path)
	}
	w.r.settled()
	for _, e := range w.entries {
		require.NoError(t, e.err())
	}
	var got strings.Builder
	for _, e := range w.reads {
		require.NoError(t, e.err())
		got.Write(e.data)
	}
	require.Equal(t, text, got.String())
	for _, e := range w.opens {
		do(w.o, &messages.Close{Handle: e.completed().Handle})
	}
	do(w.o, &messages.Close{Handle: w.pipe})
}

// endCancelled waits until those that the old ring had are cancelled, and ends
// what was in no kernel, and waits on the new one.
func (w *waiters) endCancelled() {
	t := w.o.t
	lost := append(append(w.entries, w.reads[0]), w.opens...)
	for _, e := range lost {
		require.ErrorIs(t, e.err(), messages.ErrRingLost)
	}
	in := w.o.inspect()
	require.Equal(t, len(w.reads), in.InFlight+in.Queued, "the reads behind the first, and the last poll")
	w.r.cancelAll()
	w.r.settled()
	for _, e := range w.reads[1:] {
		require.ErrorIs(t, e.err(), context.Canceled)
	}
	do(w.o, &messages.Close{Handle: w.pipe})
}

// TestRingThreadDies has the ring's own thread panic with polls armed, reads in
// flight, and opens in kernel workers (T23). The ring owner is restarted once,
// and serves at once; what the old ring has ends there, with its true result
// or by cancellation as the policy has it; then the old ring's thread is let go.
func TestRingThreadDies(t *testing.T) {
	for name, c := range map[string]struct {
		options   []supervisor.Option
		cancelled bool
	}{
		"drain":         {nil, false},
		"cancel":        {[]supervisor.Option{supervisor.WithPolicy(actors.CancelInFlight)}, true},
		"drain timeout": {[]supervisor.Option{supervisor.WithDrainTimeout(50 * time.Millisecond)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			// Only that thread issues a poll, and the failpoint is where it does.
			s := &striker{point: actors.FailEncoded}
			before := lockedGoroutines()
			o := start(t, append(c.options, supervisor.WithFailpoint(s.hook))...)
			opens := 20
			if c.cancelled && !o.onRing() {
				opens = 0 // only io_uring interrupts a call that has begun
			}
			w := newWaiters(o, opens)
			s.armed.Store(true)
			last := w.r.submit(&messages.Poll{Handle: w.pipe, Events: messages.Readable})
			eventually(t, "the thread has panicked", func() bool { return s.struck.Load() == 1 })
			serves(o)
			if c.cancelled {
				w.endCancelled()
				require.ErrorIs(t, last.err(), context.Canceled)
			} else {
				require.Equal(t, 1, o.inspect().Draining)
				require.Equal(t, before+2, lockedGoroutines(), "the thread lives as long as its ring")
				w.end()
				require.NoError(t, last.err())
			}
			eventually(t, "only the new ring has a thread of its own", func() bool { return lockedGoroutines() <= before+1 })
			require.EqualValues(t, 1, o.inspect().Restarts)
		})
	}
}

// serves checks that a new operation of each kind is performed at once.
func serves(o *oracle) {
	o.t.Helper()
	path := filepath.Join(o.t.TempDir(), "served")
	file := do(o, &messages.Open{Path: path, Flags: os.O_RDWR | os.O_CREATE, Mode: 0o600})
	do(o, &messages.Write{Handle: file, Buf: []byte("served")})
	require.Equal(o.t, "served", string(do(o, &messages.Read{Handle: file, Buf: make([]byte, 10)})))
	do(o, &messages.Timeout{After: time.Millisecond})
	do(o, &messages.Close{Handle: file})
}

// TestPosterThreadsDie has threads that submit and end at once: what they have
// submitted was theirs to the kernel, which cancels it with them. It happens
// all the same, and once.
func TestPosterThreadsDie(t *testing.T) {
	o := start(t)
	path := filepath.Join(t.TempDir(), "file")
	file := do(o, &messages.Open{Path: path, Flags: os.O_RDWR | os.O_CREATE, Mode: 0o600})
	logFile := do(o, &messages.Open{Path: path + ".log", Flags: os.O_WRONLY | os.O_CREATE | os.O_APPEND, Mode: 0o600})
	const threads = 200
	var mu sync.Mutex
	var entries, opens []*entry
	var group sync.WaitGroup
	r := o.requester()
	for k := range threads {
		group.Go(func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			mine := []*entry{
				r.submit(&messages.Write{Handle: file, Buf: record(k), Offset: int64(k) * recordSize}),
				r.submit(&messages.Write{Handle: logFile, Buf: record(k)}),
				r.submit(&messages.Mkdir{Path: fmt.Sprintf("%s-%d", path, k), Mode: 0o700}),
				r.submit(&messages.Timeout{After: time.Millisecond}),
			}
			open := r.submit(&messages.Open{Path: path})
			mu.Lock()
			defer mu.Unlock()
			entries, opens = append(entries, mine...), append(opens, open)
		})
	}
	group.Wait()
	for _, e := range entries {
		require.NoError(t, e.err())
	}
	for _, e := range opens {
		do(o, &messages.Close{Handle: e.completed().Handle})
	}
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	logged, err := os.ReadFile(path + ".log")
	require.NoError(t, err)
	require.Len(t, content, threads*recordSize)
	require.Len(t, logged, threads*recordSize)
	for k := range threads {
		require.Equal(t, record(k), content[k*recordSize:][:recordSize])
		require.Equal(t, 1, strings.Count(string(logged), string(record(k))))
	}
	do(o, &messages.Close{Handle: file})
	do(o, &messages.Close{Handle: logFile})
}
