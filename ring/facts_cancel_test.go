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

// A cancel's ENOENT does not mean that its target has finished: what a device
// has is on none of the lists that a cancel looks through, and it goes on
// writing. Only the target's own completion ends it.
func TestCancelDoesNotFindWhatADeviceHas(t *testing.T) {
	g := newRig(t, Options{})
	fs := mountSlow(t)
	buf := poisoned(slowSize)
	name := g.push(PrepRead(fs.device, buf, 0))
	g.enter()
	fs.asked(1)
	for range 2 {
		g.fails(unix.ENOENT, PrepCancel(name))
	}
	require.NotContains(t, g.got, name)
	require.True(t, isAll(buf, poison))
	fs.answer()
	require.EqualValues(t, slowSize, g.await(name))
	require.True(t, isAll(buf, slowByte))
}

// A cancel cannot end a read that a kernel worker waits for inside a file
// system: it says EALREADY, as often as it is asked.
func TestCancelDoesNotEndWhatAWorkerWaitsFor(t *testing.T) {
	g := newRig(t, Options{})
	fs := mountSlow(t)
	read := PrepRead(fs.cached, poisoned(slowSize), 0)
	read.Async = true
	name := g.push(read)
	g.enter()
	fs.asked(1)
	for range 2 {
		g.fails(unix.EALREADY, PrepCancel(name))
	}
	require.NotContains(t, g.got, name)
	fs.answer()
	require.EqualValues(t, slowSize, g.await(name))
	require.True(t, isAll(read.Buf, slowByte))
}

// Of two requests of the same name a cancel ends one, whichever it finds
// first. So names never repeat.
func TestCancelEndsOneOfAName(t *testing.T) {
	g := newRig(t, Options{})
	r, w := newPipe(t)
	const name = 7
	for range 2 {
		require.True(t, g.Push(name, ptr(PrepPoll(r, unix.POLLIN))))
	}
	g.enter()
	require.True(t, g.Push(8, ptr(PrepCancel(name))))
	g.enter()
	var got []CQE
	take := func(n int) {
		t.Helper()
		eventually(t, "completions", func() bool {
			for cqe, ok := g.Peek(); ok; cqe, ok = g.Peek() {
				got = append(got, cqe)
				g.Advance()
			}
			_, err := g.Enter()
			require.NoError(t, err)
			return len(got) >= n
		})
	}
	take(2)
	require.ElementsMatch(t, []CQE{{UserData: 8}, {UserData: name, Res: -int32(unix.ECANCELED)}}, got)
	writePipe(t, w, "x")
	take(3)
	require.Equal(t, CQE{UserData: name, Res: unix.POLLIN}, got[2], "the other one waits on")
}

// Closing a descriptor cancels nothing: a read that waits keeps the file, and
// gets what is written later.
func TestClosingADescriptorCancelsNothing(t *testing.T) {
	g := newRig(t, Options{})
	var ends [2]int
	require.NoError(t, unix.Pipe2(ends[:], unix.O_CLOEXEC))
	defer func() { _ = unix.Close(ends[1]) }()
	buf := make([]byte, 8)
	name := g.push(PrepRead(int32(ends[0]), buf, StreamOffset))
	g.enter()
	require.NoError(t, unix.Close(ends[0]))
	writePipe(t, int32(ends[1]), "after")
	require.EqualValues(t, 5, g.await(name))
	require.Equal(t, "after", string(buf[:5]))
}

// An open that a kernel worker waits in ends, when it is cancelled, with one of
// the kernel's own codes, which no user is meant to see. Peek shows EINTR.
func TestCancelledOpenLeaksARestartCode(t *testing.T) {
	g := newRig(t, Options{})
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, unix.Mkfifo(fifo, 0o600))
	open, nop := PrepOpen(NoDir, fifo, os.O_RDONLY, 0, 0), PrepNop()
	open.Async, nop.Async = true, true
	name := g.push(open)
	g.enter()
	require.Zero(t, g.run(nop)) // of the same queue, and behind it: a worker has the open
	eventually(t, "the open's end", func() bool {
		g.run(PrepCancel(name))
		_, ended := g.got[name]
		return ended
	})
	g.failed(unix.EINTR, g.got[name].Res)
	raw := -g.result(name)
	t.Log("the kernel's own code: ", raw)
	require.True(t, raw == int32(unix.EINTR) || sys.RestartFirst <= raw && raw <= sys.RestartLast)
}

// result is what the queue still says of a completion that was given back.
func (g *rig) result(name UserData) int32 {
	g.t.Helper()
	for _, cqe := range g.cq.entries {
		if UserData(cqe.UserData) == name {
			return cqe.Res
		}
	}
	g.t.Fatal("its place was used again")
	return 0
}
