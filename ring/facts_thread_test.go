//go:build linux

package ring

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
)

// sleeper is a thread that issues requests and then waits inside another system
// call, where nothing can call it away.
type sleeper struct {
	*osThread
	fs    *slowFS
	awake chan struct{}
}

// newSleeper has a thread enter what was pushed, and puts it to sleep.
func newSleeper(g *rig) *sleeper {
	g.t.Helper()
	s := &sleeper{osThread: newThread(g.t), fs: mountSlow(g.t)}
	s.awake = s.start(func() { // without a stop in between, in which a timer might expire
		g.enter()
		_, _ = unix.Pread(int(s.fs.cached), make([]byte, 1), 0)
	})
	s.fs.asked(1)
	return s
}

func (s *sleeper) wake() {
	s.t.Helper()
	s.fs.answer()
	within(s.t, s.awake, "the end of the sleep")
}

// What waits for readiness, or for time, ends through task work of the thread
// that issued it. While that thread sleeps in another call the completion is
// only announced, by IORING_SQ_TASKRUN, and no other thread's enter brings it.
func TestTaskWorkNeedsTheThreadThatIssued(t *testing.T) {
	for what, prep := range map[string]func(pipe int32) Request{
		"read":    func(pipe int32) Request { return PrepRead(pipe, make([]byte, 1), StreamOffset) },
		"poll":    func(pipe int32) Request { return PrepPoll(pipe, unix.POLLIN) },
		"timeout": func(int32) Request { return PrepTimeout(250 * time.Millisecond) },
	} {
		t.Run(what, func(t *testing.T) {
			g := newRig(t, Options{})
			r, w := newPipe(t)
			name := g.push(prep(r))
			s := newSleeper(g)
			writePipe(t, w, "x")
			eventually(t, "task work", func() bool { return g.sq.flags.Load()&sys.SQTaskrun != 0 })
			require.True(t, g.Backlog())
			_, err := g.Enter()
			require.NoError(t, err)
			require.NotZero(t, g.sq.flags.Load()&sys.SQTaskrun, "it is still there")
			require.False(t, g.Backlog(), "and no backlog: nobody else can bring it")
			s.wake()
			g.await(name)
		})
	}
}

// What is done at once, or by a kernel worker, needs no thread of ours: any
// poster may issue it.
func TestWorkersNeedNoThread(t *testing.T) {
	g := newRig(t, Options{})
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("content"), 0o600))
	fd := openFile(t, file, unix.O_RDWR)
	cached, write := PrepRead(fd, make([]byte, 7), 0), PrepWrite(fd, []byte("written"), 0)
	cached.NoWait, write.Async = true, true
	names := map[string]UserData{
		"open":           g.push(PrepOpen(NoDir, filepath.Join(dir, "new"), os.O_CREATE|os.O_WRONLY, 0o600, 0)),
		"nop":            g.push(PrepNop()),
		"cached read":    g.push(cached),
		"buffered write": g.push(write),
		"fsync":          g.push(PrepFsync(fd, false)),
		"stat":           g.push(PrepStat(NoDir, file, 0)),
		"mkdir":          g.push(PrepMkdir(NoDir, filepath.Join(dir, "sub"), 0o700)),
		"rename":         g.push(PrepRename(NoDir, filepath.Join(dir, "sub"), NoDir, filepath.Join(dir, "sub2"), 0)),
		"unlink":         g.push(PrepUnlink(NoDir, filepath.Join(dir, "none"), false)),
		"close":          g.push(PrepClose(-1)),
	}
	s := newSleeper(g)
	entered := g.Enters()
	for what, name := range names {
		eventually(t, what, func() bool {
			g.reap()
			_, done := g.got[name]
			return done
		})
	}
	require.False(t, isDone(s.awake))
	require.Equal(t, entered, g.Enters(), "nobody entered for them")
	fd = g.got[names["open"]].Res
	require.GreaterOrEqual(t, fd, int32(0))
	require.NoError(t, unix.Close(int(fd)))
	s.wake()
}

// A thread that Go has parked is woken by the kernel for its task work: it is
// there for what it issued, though nobody calls it.
func TestParkedThreadIsThereForItsTaskWork(t *testing.T) {
	g := newRig(t, Options{})
	r, w := newPipe(t)
	name := g.push(PrepRead(r, make([]byte, 8), StreamOffset))
	newThread(t).run(g.enter)
	entered := g.Enters()
	writePipe(t, w, "woken")
	eventually(t, "the completion", func() bool { g.reap(); return g.got[name].Res == 5 })
	require.Equal(t, entered, g.Enters())
}

// What a thread issued does not outlive it: a read that waits is withdrawn when
// its data come after the thread's end, and the data stay in the pipe.
func TestRequestsEndWithTheirThread(t *testing.T) {
	g := newRig(t, Options{})
	r, w := newPipe(t)
	name := g.push(PrepRead(r, make([]byte, 8), StreamOffset))
	th := newThread(t)
	th.run(g.enter)
	th.end()
	writePipe(t, w, "kept")
	g.failed(unix.ECANCELED, g.await(name))
	require.EqualValues(t, 4, g.ok(PrepRead(r, make([]byte, 8), StreamOffset)))
}
