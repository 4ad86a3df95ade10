//go:build linux

package ring

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
)

// An enter that fails takes nothing back: what was published stays published,
// and the next enter has it performed, once.
func TestFailedEnterLeavesWhatIsPublished(t *testing.T) {
	g := newRig(t, Options{})
	path := filepath.Join(t.TempDir(), "file")
	fd := openFile(t, path, unix.O_CREAT|unix.O_WRONLY|unix.O_APPEND)
	name := g.push(PrepWrite(fd, []byte("once"), 0))
	g.sq.publish()
	const noFlag = 1 << 30
	for range 2 {
		_, err := sys.Kernel{}.Enter(g.fd, 1, noFlag)
		require.Equal(t, unix.EINVAL, err)
		require.EqualValues(t, 1, fdinfoNumber(t, g.fd, "SqTail")-fdinfoNumber(t, g.fd, "SqHead"))
	}
	require.Equal(t, 1, g.Unsubmitted())
	g.enter()
	require.EqualValues(t, 4, g.await(name))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "once", string(content))
}

// A completion that goes to the kernel's overflow list signals nothing: only a
// bit in the submission queue's flags shows it, and only an enter that asks for
// events brings it.
func TestOverflowSignalsNothing(t *testing.T) {
	kernel := &refusingKernel{}
	g := newRigOn(t, kernel, Options{Entries: 4, Completions: 4})
	r, w := newPipe(t)
	late := g.push(PrepPoll(r, unix.POLLIN))
	g.enter()
	for range 4 {
		g.push(PrepNop())
	}
	g.enter()
	before := signals(t, kernel.eventfd)
	require.EqualValues(t, 4, g.cq.ready(), "the queue is full")
	require.Zero(t, g.sq.flags.Load()&sys.SQCQOverflow)

	writePipe(t, w, "x")
	eventually(t, "the bit", func() bool { return g.sq.flags.Load()&sys.SQCQOverflow != 0 })
	g.reap()
	require.NotContains(t, g.got, late)
	_, err := sys.Kernel{}.Enter(g.fd, 0, 0)
	require.NoError(t, err)
	g.reap()
	require.NotContains(t, g.got, late, "an enter that asks for nothing")
	require.Equal(t, before, signals(t, kernel.eventfd))
	_, err = sys.Kernel{}.Enter(g.fd, 0, sys.EnterGetEvents)
	require.NoError(t, err)
	g.reap()
	require.Contains(t, g.got, late)
	require.Zero(t, g.sq.flags.Load()&sys.SQCQOverflow)
}

// hungEnter has a thread hang in an enter, with the read of a file whose driver
// waits then and there.
func hungEnter(g *rig) (fs *slowFS, name UserData, left chan struct{}) {
	g.t.Helper()
	fs = mountSlow(g.t)
	name = g.push(PrepRead(fs.cached, make([]byte, slowSize), 0))
	left = newThread(g.t).start(func() { _, _ = g.Enter() })
	fs.asked(1)
	return fs, name, left
}

// While a thread hangs in an enter, it has the ring's lock: whoever submits or
// registers hangs behind it. So does any thread that once issued a request
// which ends now, be it by task work or by a kernel worker, for it is there that
// the kernel frees the request. An enter with nothing to submit returns, and
// what workers complete is seen.
func TestHungEnterHoldsTheRing(t *testing.T) {
	g := newRig(t, Options{})
	r, w := newPipe(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, unix.Mkfifo(fifo, 0o600))
	open := PrepOpen(NoDir, fifo, os.O_RDONLY, 0, 0)
	open.Async = true
	opens := g.push(open)
	opener := newThread(t)
	opener.run(g.enter)
	read := g.push(PrepRead(r, make([]byte, 1), StreamOffset))
	reader := newThread(t)
	reader.run(g.enter)
	fs, hung, left := hungEnter(g)

	newThread(t).run(func() {
		_, err := sys.Kernel{}.Enter(g.fd, 0, sys.EnterGetEvents)
		if err != nil {
			t.Error("an enter with nothing to submit: ", err)
		}
	})
	openFile(t, fifo, unix.O_WRONLY)
	eventually(t, "a worker's completion", func() bool { g.reap(); return g.got[opens] != CQE{} })
	opener.hangs()
	writePipe(t, w, "x")
	reader.hangs()
	var probe sys.Probe
	registers := newThread(t)
	registered := registers.start(func() { _ = sys.Kernel{}.Probe(g.fd, &probe) })
	registers.hangs()
	submits := newThread(t)
	// That there is nothing in the queue it would see only with the lock.
	submitted := submits.start(func() { _, _ = sys.Kernel{}.Enter(g.fd, 1, 0) })
	submits.hangs()

	fs.answer()
	for _, done := range []chan struct{}{left, registered, submitted} {
		within(t, done, "the end of a call that hung")
	}
	require.Equal(t, []int32{1, slowSize}, []int32{g.await(read), g.await(hung)})
	require.NoError(t, unix.Close(int(g.got[opens].Res)))
}

// To flush the overflow list needs the lock as well. So it is no backlog then.
func TestHungEnterHoldsTheOverflowList(t *testing.T) {
	g := newRig(t, Options{Entries: 4, Completions: 4})
	for range 8 {
		g.push(PrepNop())
		g.enter()
	}
	require.NotZero(t, g.sq.flags.Load()&sys.SQCQOverflow)
	fs, hung, left := hungEnter(g)

	flushes := newThread(t)
	flushed := flushes.start(func() { _, _ = sys.Kernel{}.Enter(g.fd, 0, sys.EnterGetEvents) })
	flushes.hangs()
	g.reap()
	require.Len(t, g.got, 4)
	require.False(t, g.Backlog())

	fs.answer()
	within(t, left, "the end of the enter")
	within(t, flushed, "the end of the flush")
	require.EqualValues(t, slowSize, g.await(hung))
	require.Len(t, g.got, 9)
}
