//go:build linux

package ring

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The tests in the files facts_*_test.go are about the kernel, not about us:
// each is named after something that the running kernel does, whatever its
// manual says, and that the design leans on. Where one fails on a new kernel,
// what leans on it is to be thought over.

// eventually waits until something holds for which there is no event.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !cond(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("not in time: ", what)
		}
	}
}

// osThread is a thread that does nothing but what a test has it do.
type osThread struct {
	t     testing.TB
	id    int
	tasks chan func()
	gone  chan struct{}
}

func newThread(t testing.TB) *osThread {
	t.Helper()
	th := &osThread{t: t, tasks: make(chan func()), gone: make(chan struct{})}
	ids := make(chan int)
	go th.live(ids)
	th.id = <-ids
	t.Cleanup(th.end)
	return th
}

// live never unlocks the thread, so that the thread ends with it. Go's main
// thread would not: there it leaves its place to another goroutine.
func (th *osThread) live(ids chan<- int) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		another := make(chan int)
		go th.live(another)
		ids <- <-another
		runtime.UnlockOSThread()
		return
	}
	defer close(th.gone)
	ids <- unix.Gettid()
	for task := range th.tasks {
		task()
	}
}

// start has the thread do something, and gives what is closed when it has.
func (th *osThread) start(task func()) (done chan struct{}) {
	done = make(chan struct{})
	th.tasks <- func() {
		defer close(done)
		task()
	}
	return done
}

// run has the thread do something, and waits for it.
func (th *osThread) run(task func()) {
	th.t.Helper()
	within(th.t, th.start(task), "the end of what a thread does")
}

// end ends the thread, and waits until it is no more.
func (th *osThread) end() {
	if th.tasks == nil {
		return
	}
	close(th.tasks)
	th.tasks = nil
	within(th.t, th.gone, "the end of a thread's goroutine")
	eventually(th.t, "the end of a thread", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", th.id))
		return os.IsNotExist(err)
	})
}

// hangs waits until the thread waits in the kernel where nothing can call it
// away. Until that is over the thread must be given nothing to do: the Go
// scheduler would give it a processor with it.
func (th *osThread) hangs() {
	th.t.Helper()
	eventually(th.t, "a thread that hangs in the kernel", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", th.id))
		require.NoError(th.t, err)
		_, after, found := bytes.Cut(stat, []byte(") "))
		return found && after[0] == 'D'
	})
}

// poison is what no test writes anywhere.
const poison = 0xee

func poisoned(n int) []byte { return bytes.Repeat([]byte{poison}, n) }

func isAll(buf []byte, with byte) bool { return bytes.Count(buf, []byte{with}) == len(buf) }

func isDone(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
