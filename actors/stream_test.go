package actors_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// TestStreamReadsAreOneAtATime: a ring keeps no order, a pipe needs one.
func TestStreamReadsAreOneAtATime(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	in, out := q.pipe()
	bufs := [...][]byte{make([]byte, 1), make([]byte, 2), make([]byte, 3)}
	var ids []messages.OpID
	for _, buf := range bufs {
		ids = append(ids, q.send(&messages.Read{Handle: in, Buf: buf}))
	}
	// The other direction, and the other end, are not held up by it.
	write := q.send(&messages.Write{Handle: out, Buf: []byte("w")})
	k.Complete(k.Next(t, ring.CodeWrite).Name, 1, 0)
	q.succeeds(write)

	for n, id := range ids {
		taken := k.Next(t, ring.CodeRead)
		require.Len(t, taken.Buf, len(bufs[n]), "in order of arrival")
		require.EqualValues(t, ring.StreamOffset, taken.Off)
		require.False(t, taken.NoWait)
		require.Len(t, k.InFlight(), 1, "one at a time")
		k.CompleteRead(taken, "abc")
		q.succeeds(id)
	}
}

func TestStreamOrderWhenOneIsCancelled(t *testing.T) {
	for name, victim := range map[string]int{"the first": 0, "one that waits": 1} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			q := r.requester()
			k := r.kernel(1)
			in, _ := q.pipe()
			var ids []messages.OpID
			for n := range 3 {
				ids = append(ids, q.send(&messages.Read{Handle: in, Buf: make([]byte, n+1)}))
			}
			first := k.Next(t, ring.CodeRead)
			q.cancel(ids[victim])
			requireCancelled(t, q.cancelled(ids[victim]))
			for n, id := range ids {
				if n == victim {
					continue
				}
				taken := first
				if n > 0 {
					taken = k.Next(t, ring.CodeRead)
				}
				require.Len(t, taken.Buf, n+1)
				k.CompleteRead(taken, "abc")
				q.succeeds(id)
			}
		})
	}
}

// TestStreamOrderAcrossARestart: the first is with the old ring when it fails,
// those behind it go to the new one, and only when their turn comes.
func TestStreamOrderAcrossARestart(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option)
	q := r.requester()
	in, _ := q.pipe()
	old := r.kernel(1)
	var ids []messages.OpID
	for n := range 3 {
		ids = append(ids, q.send(&messages.Read{Handle: in, Buf: make([]byte, n+1)}))
	}
	first := old.Next(t, ring.CodeRead)
	crash.now(r, q)
	young := r.kernel(2)
	require.NotZero(t, r.inspect().Restarts)
	require.Zero(t, r.glass.Look().Pinned, "the next may not be issued yet")
	require.Empty(t, young.InFlight())

	old.CompleteRead(first, "a")
	q.succeeds(ids[0])
	for n, id := range ids[1:] {
		taken := young.Next(t, ring.CodeRead)
		require.Len(t, taken.Buf, n+2)
		require.Len(t, young.InFlight(), 1)
		young.CompleteRead(taken, "abc")
		q.succeeds(id)
	}
	old.AwaitClosed(t)
}

func TestStreamOrderWhenAnOwnerDies(t *testing.T) {
	r := newRig(t)
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	in, _ := q.pipe()
	other.send(&messages.Read{Handle: in, Buf: make([]byte, 1)})
	k.Next(t, ring.CodeRead)
	other.send(&messages.Read{Handle: in, Buf: make([]byte, 2)})
	id := q.send(&messages.Read{Handle: in, Buf: make([]byte, 3)})
	other.stop()
	taken := k.Next(t, ring.CodeRead)
	require.Len(t, taken.Buf, 3, "the turn is passed on over the dead owner's")
	k.CompleteRead(taken, "abc")
	q.succeeds(id)
}

func TestAppendsAreOneAtATime(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	require.NoError(t, err)
	defer f.Close()
	handle := q.adopt(f)
	first := q.send(&messages.Write{Handle: handle, Buf: []byte("1")})
	second := q.send(&messages.WriteV{Handle: handle, Bufs: [][]byte{[]byte("22")}})
	taken := k.Next(t, ring.CodeWrite)
	require.Len(t, k.InFlight(), 1)
	read := q.send(&messages.Read{Handle: handle, Buf: make([]byte, 1), Offset: 7})
	k.CompleteRead(k.Next(t, ring.CodeRead), "x") // reads have their positions
	q.succeeds(read)
	k.Complete(taken.Name, 1, 0)
	q.succeeds(first)
	k.Complete(k.Next(t, ring.CodeWriteV).Name, 2, 0)
	q.succeeds(second)
}

func TestPositionedOperationsAreParallel(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	file := q.regular()
	byID := map[uint64]messages.OpID{}
	for n := range 4 {
		id := q.send(&messages.Read{Handle: file, Buf: make([]byte, 1), Offset: int64(n)})
		byID[uint64(n)] = id
		k.Next(t, ring.CodeRead)
	}
	flying := k.InFlight()
	require.Len(t, flying, 4, "all at once")
	for n := len(flying) - 1; n >= 0; n-- { // and answered in the order of their ends
		k.CompleteRead(flying[n], "x")
		q.succeeds(byID[flying[n].Off])
	}
}

// TestReadDirsOfOneHandle: they share the directory's position. (They run in
// the blocking lane, for real.)
func TestReadDirsOfOneHandle(t *testing.T) {
	r := newRig(t, config(func(c *actors.Config) { c.BlockingWorkers = 4 }))
	q := r.requester()
	dir := t.TempDir()
	const files = 64
	for n := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, string(rune('A'+n))), nil, 0o600))
	}
	f, err := os.Open(dir)
	require.NoError(t, err)
	defer f.Close()
	handle := q.adopt(f)
	var ids []messages.OpID
	for range 8 {
		ids = append(ids, q.send(&messages.ReadDir{Handle: handle, Limit: files / 4}))
	}
	seen := map[string]bool{}
	for _, id := range ids {
		entries, err := messages.Result[[]messages.DirEntry](q.succeeds(id))
		require.NoError(t, err)
		for _, entry := range entries {
			require.False(t, seen[entry.Name], "%s twice", entry.Name)
			seen[entry.Name] = true
		}
	}
	require.Len(t, seen, files)
}
