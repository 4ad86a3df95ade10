//go:build linux

package ring

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
)

// onThread runs f on a new thread, which ends with it.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

// workersOf is how many kernel workers a thread has.
func workersOf(t *testing.T, thread int) (n int) {
	t.Helper()
	names, err := filepath.Glob("/proc/self/task/*/comm")
	require.NoError(t, err)
	for _, name := range names {
		comm, err := os.ReadFile(name)
		if err == nil && strings.TrimSpace(string(comm)) == fmt.Sprint("iou-wrk-", thread) {
			n++
		}
	}
	return n
}

// useWorker has a worker of the calling thread perform something on a ring, and
// closes that.
func useWorker(t *testing.T, r *Ring) {
	nop := PrepNop()
	nop.Async = true
	require.True(t, r.Push(1, &nop))
	_, err := r.Enter()
	require.NoError(t, err)
	eventually(t, "the worker has done it", func() bool {
		_, done := r.Peek()
		return done
	})
	r.Advance()
	require.NotZero(t, workersOf(t, unix.Gettid()))
	closeWhole(t, r)
}

// exitsSoon is how long a worker that is to exit takes at most. One that stays
// does so for five seconds at the least.
const exitsSoon = 2 * time.Second

// A thread that loses its last ring loses its workers: that is what the keeper
// is there against. With it they stay.
func TestKeeperKeepsWorkers(t *testing.T) {
	onThread(func() {
		kept, err := Open(Options{})
		if err != nil {
			t.Skip(err)
		}
		useWorker(t, kept)
		thread := unix.Gettid()
		onThread(func() {
			last, err := open(sys.Kernel{}, Options{}) // a ring without keeper
			require.NoError(t, err)
			useWorker(t, last)
			for over := time.Now().Add(exitsSoon); workersOf(t, unix.Gettid()) > 0; runtime.Gosched() {
				if time.Now().After(over) {
					t.Skip("this kernel keeps the workers of a thread that has lost its last ring")
				}
			}
		})
		require.NotZero(t, workersOf(t, thread), "they went, though nothing is wrong with them")
	})
}

// Each thread joins once.
func TestKeeperIsJoinedOnce(t *testing.T) {
	r, err := Open(Options{})
	if err != nil {
		t.Skip(err)
	}
	defer closeWhole(t, r)
	name := UserData(0)
	enters := func() uint64 {
		before := r.Enters()
		name++
		require.True(t, r.Push(name, ptr(PrepNop())))
		_, err := r.Enter()
		require.NoError(t, err)
		r.Peek()
		r.Advance()
		return r.Enters() - before
	}
	for range 2 {
		onThread(func() {
			thread := sys.Kernel{}.Thread()
			place := &r.keeper.joined[thread%uint32(len(r.keeper.joined))]
			place.Store(0) // as of a thread that is new
			require.EqualValues(t, 2, enters())
			require.Equal(t, thread, place.Load())
			require.EqualValues(t, 1, enters())
		})
	}
	before := r.Enters()
	_, err = r.Enter()
	require.NoError(t, err)
	require.Equal(t, before, r.Enters(), "there was nothing to submit")
}

// All rings of a process have one keeper.
func TestOneKeeper(t *testing.T) {
	a, err := Open(Options{})
	if err != nil {
		t.Skip(err)
	}
	defer closeWhole(t, a)
	b, err := Open(Options{})
	require.NoError(t, err)
	defer closeWhole(t, b)
	require.Same(t, a.keeper, b.keeper)
}
