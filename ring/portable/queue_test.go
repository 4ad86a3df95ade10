package portable

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

func TestOptions(t *testing.T) {
	for _, options := range []Options{
		{Entries: 1<<20 + 1}, {Completions: 1 << 31}, {Workers: -1}, {Workers: 4, WorkersMax: 2},
	} {
		_, err := Open(options)
		require.Error(t, err, "%+v", options)
	}
	require.EqualValues(t, 1, roundUp(1))
	require.EqualValues(t, 64, roundUp(33))
	require.EqualValues(t, 64, roundUp(64))
}

func TestPushUntilFull(t *testing.T) {
	g := newRig(t, Options{Entries: 3})
	for range 4 {
		g.push(ring.PrepNop())
	}
	nop := ring.PrepNop()
	require.False(t, g.Push(99, &nop))
	require.Equal(t, 4, g.Unsubmitted())
	_, ok := g.Peek()
	require.False(t, ok, "nothing happens before an Enter")
	g.enter()
	for range 3 {
		g.push(ring.PrepNop())
	}
	both := linked(ring.PrepNop())
	require.False(t, g.Push(99, &both), "there is no room for what follows it")
	g.enter()
	g.reap()
	require.Len(t, g.got, 7)
}

func TestTakeBack(t *testing.T) {
	g := newRig(t, Options{Entries: 4})
	dir := t.TempDir()
	for range 3 { // the queue goes round
		g.push(ring.PrepNop())
		g.enter()
		first := g.push(ring.PrepMkdir(ring.NoDir, dir+"/never", 0o700))
		second := g.push(ring.PrepNop())
		var back []ring.UserData
		g.TakeBack(func(u ring.UserData) { back = append(back, u) })
		require.Equal(t, []ring.UserData{first, second}, back)
		require.Zero(t, g.Unsubmitted())
		g.enter()
		g.reap()
		require.NotContains(t, g.got, first)
	}
	require.NoDirExists(t, dir+"/never")
}

// A kernel refers to what it was given no longer than it has to.
func TestQueueLetsGo(t *testing.T) {
	g := newRig(t, Options{Entries: 4})
	fd := newFile(t, "content")
	g.ok(ring.PrepRead(fd, make([]byte, 4), 0))
	g.push(ring.PrepRead(fd, make([]byte, 4), 0))
	g.TakeBack(func(ring.UserData) {})
	for _, s := range g.kernel().sq.entries {
		require.Equal(t, ring.Request{}, s.request)
	}
	g.until("the worker to leave", func(k *Kernel) bool { return k.crew.alive == 0 })
	for o := g.kernel().spares.free; o != nil; o = o.next {
		require.Equal(t, ring.Request{}, o.request)
	}
}

// The queue of completions grows while it is in use, wherever it begins.
func TestCompletionsGrow(t *testing.T) {
	g := newRig(t, Options{Entries: 128, Completions: 4096})
	for begin := range 3 {
		for range begin {
			require.Zero(t, g.ok(ring.PrepNop()))
		}
		var names []ring.UserData
		for range 1000 {
			names = append(names, g.push(ring.PrepNop()))
			if len(names)%100 == 0 {
				g.enter()
			}
			if len(names)%7 == 0 {
				_, ok := g.Peek() // and goes on being the first
				require.Equal(t, len(names) > 100, ok)
			}
		}
		require.False(t, g.kernel().cq.overflowed.Load())
		for _, name := range names {
			cqe, ok := g.Peek()
			require.True(t, ok)
			require.Equal(t, name, cqe.UserData)
			g.Advance()
		}
		g.kernel().cq.init(4096) // from the start, where head and tail are now
	}
}

// Completions that do not fit are kept in order, and seen after an Enter.
func TestOverflow(t *testing.T) {
	g := newRig(t, Options{Entries: 32, Completions: 32})
	k := g.kernel()
	k.cq.init(8)
	var names []ring.UserData
	for range 20 {
		names = append(names, g.push(ring.PrepNop()))
	}
	g.enter()
	var seen []ring.UserData
	for range 3 {
		require.True(t, g.Backlog())
		for cqe, ok := g.Peek(); ok; cqe, ok = g.Peek() {
			seen = append(seen, cqe.UserData)
			g.Advance()
		}
		if len(seen) < len(names) {
			require.True(t, g.Backlog(), "an Enter will bring more")
		}
		before := g.Enters()
		n, err := g.Enter()
		require.NoError(t, err)
		require.Zero(t, n)
		if len(seen) < len(names) {
			require.Equal(t, before+1, g.Enters())
		} else {
			require.Equal(t, before, g.Enters(), "there was nothing to do")
		}
	}
	require.Equal(t, names, seen)
	require.False(t, g.Backlog())
}

func TestPeekIsRepeated(t *testing.T) {
	g := newRig(t, Options{})
	g.start(ring.PrepNop())
	first, ok := g.Peek()
	require.True(t, ok)
	again, ok := g.Peek()
	require.True(t, ok)
	require.Equal(t, first, again)
	g.Advance()
	_, ok = g.Peek()
	require.False(t, ok)
}

func TestInvariants(t *testing.T) {
	g := newRig(t, Options{})
	broken := func(what string, f func()) {
		t.Helper()
		defer func() {
			t.Helper()
			require.IsType(t, &ring.InvariantError{}, recover(), what)
		}()
		f()
	}
	broken("advance over nothing", func() { g.Advance() })
	broken("unknown code", func() { g.Push(1, &ring.Request{Code: ring.CodeLinkTimeout + 1}) })
	require.False(t, g.Supports(ring.CodeLinkTimeout+1))
	require.True(t, g.Supports(ring.CodeLinkTimeout))
}

func TestLinkTimeoutAlone(t *testing.T) {
	g := newRig(t, Options{})
	op := g.push(linked(ring.PrepTimeout(time.Hour)))
	g.enter() // the two are taken apart
	require.Equal(t, int32(-22), g.run(ring.PrepLinkTimeout(time.Millisecond)))
	require.Zero(t, g.cancel(op))
}

func TestResult(t *testing.T) {
	require.EqualValues(t, 7, result(7, nil))
	require.EqualValues(t, -int32(unix.ENOENT), result(-1, unix.ENOENT))
	require.EqualValues(t, -int32(unix.EINTR), result(-1, unix.Errno(513)), "the kernel's own")
	require.EqualValues(t, -int32(unix.EIO), result(-1, errors.New("no errno")))
	require.EqualValues(t, -int32(unix.EIO), result(-1, unix.Errno(0)))
}
