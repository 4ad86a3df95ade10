package actors_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// opened makes a handle, through Open, to a descriptor that the test knows.
func (q *requester) opened() (handle messages.Handle, isOpen func() bool) {
	q.r.t.Helper()
	k := q.r.kernel(1)
	fd, isOpen := q.r.descriptor()
	id := q.send(&messages.Open{Path: "/real", Flags: os.O_RDWR})
	k.Complete(k.Next(q.r.t, ring.CodeOpen).Name, fd, 0)
	return q.succeeds(id).Handle, isOpen
}

func TestCloseWaitsForTheOperations(t *testing.T) {
	r := newRig(t)
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	handle, isOpen := q.opened()
	mine := q.send(&messages.Write{Handle: handle, Buf: []byte("1")})
	first := k.Next(t, ring.CodeWrite)
	theirs := other.send(&messages.Fsync{Handle: handle}) // another actor's
	second := k.Next(t, ring.CodeFsync)
	closing := q.send(&messages.Close{Handle: handle})

	// The handle is closed at once, the descriptor is not.
	for _, op := range [...]messages.Op{
		&messages.Read{Handle: handle, Buf: make([]byte, 1)},
		&messages.Close{Handle: handle},
		&messages.Give{Handle: handle, To: other.pid},
		&messages.Stat{Dir: handle},
	} {
		other.send(op)
		require.ErrorIs(t, expect[*messages.Refused](other).Err, messages.ErrHandleClosed)
	}
	require.ErrorIs(t, messages.ErrHandleClosed, os.ErrClosed)
	require.True(t, isOpen())
	k.Complete(first.Name, 1, 0)
	q.succeeds(mine)
	q.silent()
	require.True(t, isOpen(), "another actor's operation is still on it")
	k.Complete(second.Name, 0, 0)
	other.succeeds(theirs)
	q.succeeds(closing)
	require.False(t, isOpen())
	require.Zero(t, r.glass.Look().Handles)
}

// TestCloseWaitsForOrphans: an orphan is an operation like any.
func TestCloseWaitsForOrphans(t *testing.T) {
	r := newRig(t, manual)
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	handle, isOpen := q.opened()
	other.send(&messages.Write{Handle: handle, Buf: []byte("1")})
	op := k.Next(t, ring.CodeWrite)
	other.stop()
	k.Complete(k.Next(t, ring.CodeCancel).Name, 0, 0)
	closing := q.send(&messages.Close{Handle: handle})
	q.silent()
	require.True(t, isOpen())
	k.Complete(op.Name, 1, 0)
	q.succeeds(closing)
	require.False(t, isOpen())
	r.until("the cancels are done", func() bool { r.letGo(); return r.glass.Look().Live == 0 })
}

func TestCloseThatFails(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	handle := q.regular()
	k.OnTaken(nil)
	id := q.send(&messages.Close{Handle: handle})
	taken := k.Next(t, ring.CodeClose)
	require.NoError(t, unix.Close(int(taken.FD)))
	k.Complete(taken.Name, -int32(unix.EIO), 0)
	require.ErrorIs(t, q.completion(id).Err, unix.EIO)
	require.Zero(t, r.glass.Look().Handles, "the descriptor is gone all the same")
	q.send(&messages.Close{Handle: handle})
	require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrHandleClosed)
}

func TestOwnersDeathClosesItsHandles(t *testing.T) {
	r := newRig(t)
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	idle, idleOpen := q.opened()
	busy, busyOpen := q.opened()
	given, givenOpen := q.opened()
	q.succeeds(q.send(&messages.Give{Handle: given, To: other.pid}))
	id := other.send(&messages.Write{Handle: busy, Buf: []byte("1")})
	taken := k.Next(t, ring.CodeWrite)

	q.stop()
	r.until("the idle one is closed", func() bool { return !idleOpen() })
	require.True(t, busyOpen(), "another actor's operation is on it")
	require.True(t, givenOpen(), "it is another's")
	other.send(&messages.Read{Handle: idle, Buf: make([]byte, 1)})
	require.ErrorIs(t, expect[*messages.Refused](other).Err, messages.ErrHandleClosed)
	k.Complete(taken.Name, 1, 0)
	other.succeeds(id)
	r.until("the busy one is closed", func() bool { return !busyOpen() })
	require.True(t, givenOpen())
	other.stop()
	r.until("the given one is closed", func() bool { return !givenOpen() })
}

func TestGiveToNobody(t *testing.T) {
	r := newRig(t)
	q, gone := r.requester(), r.requester()
	gone.stop()
	handle := q.regular()
	c := q.completion(q.send(&messages.Give{Handle: handle, To: gone.pid}))
	require.ErrorIs(t, c.Err, unix.ESRCH)
	c = q.completion(q.send(&messages.Give{Handle: handle}))
	require.ErrorIs(t, c.Err, unix.ESRCH)
	q.succeeds(q.send(&messages.Give{Handle: handle, To: q.pid}))
	q.succeeds(q.send(&messages.Close{Handle: handle}))
}

// TestRightsAreNarrowed: a handle may be given fewer rights than its file has,
// and never more.
func TestRightsAreNarrowed(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	f, err := os.Create(t.TempDir() + "/f")
	require.NoError(t, err)
	defer f.Close()
	narrow := q.succeeds(q.send(&messages.Adopt{File: f, Rights: messages.RightRead})).Handle
	q.send(&messages.Write{Handle: narrow, Buf: []byte("x")})
	require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrRights)
	q.send(&messages.Fsync{Handle: narrow})
	require.ErrorIs(t, expect[*messages.Refused](q).Err, os.ErrPermission)

	reader, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer reader.Close()
	wide := q.succeeds(q.send(&messages.Adopt{File: reader, Rights: messages.RightsAll})).Handle
	q.send(&messages.Write{Handle: wide, Buf: []byte("x")})
	require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrRights)
}

// TestHandleOutlivesTheRing: the same handle works on the next ring, and the
// descriptor is the same.
func TestHandleOutlivesTheRing(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option)
	q := r.requester()
	file := q.regular()
	id := q.send(&messages.Fsync{Handle: file})
	k := r.kernel(1)
	before := k.Next(t, ring.CodeFsync)
	k.Complete(before.Name, 0, 0)
	q.succeeds(id)
	crash.now(r, q)
	id = q.send(&messages.Fsync{Handle: file})
	k = r.kernel(2)
	after := k.Next(t, ring.CodeFsync)
	require.Equal(t, before.FD, after.FD)
	k.Complete(after.Name, 0, 0)
	q.succeeds(id)
}

// TestCloseAcrossARestart: an operation on the old ring still holds the
// descriptor, and the Close goes to the new one.
func TestCloseAcrossARestart(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option)
	q := r.requester()
	handle, isOpen := q.opened()
	old := r.kernel(1)
	write := q.send(&messages.Write{Handle: handle, Buf: []byte("1")})
	taken := old.Next(t, ring.CodeWrite)
	closing := q.send(&messages.Close{Handle: handle})
	crash.now(r, q)
	r.kernel(2)
	q.silent()
	require.True(t, isOpen())
	old.Complete(taken.Name, 1, 0)
	q.succeeds(write)
	q.succeeds(closing)
	require.False(t, isOpen())
}

// TestClosedClient: its handles are closed with it, and it makes no more.
func TestClosedClient(t *testing.T) {
	r := newRig(t)
	k := r.kernel(1)
	c := r.rm.NewClient()
	fd, isOpen := r.descriptor()
	type outcome struct {
		handle messages.Handle
		err    error
	}
	open := func() <-chan outcome {
		done := make(chan outcome, 1)
		go func() {
			handle, err := actors.Await(t.Context(), c, &messages.Open{Path: "/x", Flags: os.O_RDONLY})
			done <- outcome{handle, err}
		}()
		return done
	}
	done := open()
	k.Complete(k.Next(t, ring.CodeOpen).Name, fd, 0)
	require.NoError(t, (<-done).err)
	require.True(t, isOpen())
	c.Close()
	c.Close()
	r.until("its handle is closed", func() bool { return !isOpen() })

	done = open()
	r.until("a closed client is refused", func() bool {
		for _, taken := range k.InFlight() {
			k.TryComplete(taken.Name, canceled, 0)
		}
		select {
		case o := <-done:
			require.ErrorIs(t, o.err, messages.ErrRefused)
			return true
		default:
			return false
		}
	})
}

// TestClientClosedWithAnOpenInFlight: a descriptor that comes after its owner
// has ended has nobody to close it.
func TestClientClosedWithAnOpenInFlight(t *testing.T) {
	r := newRig(t, manual)
	k := r.kernel(1)
	c := r.rm.NewClient()
	done := make(chan error, 1)
	go func() {
		_, err := actors.Await(t.Context(), c, &messages.Open{Path: "/x", Flags: os.O_RDONLY})
		done <- err
	}()
	op := k.Next(t, ring.CodeOpen)
	c.Close()
	k.Complete(k.Next(t, ring.CodeCancel).Name, already, 0)
	fd, isOpen := r.descriptor()
	k.Complete(op.Name, fd, 0)
	<-done
	r.until("the late descriptor is closed", func() bool { return !isOpen() })
}

// TestClosedClientsAreForgotten: clients come and go; nothing of them stays.
func TestClosedClientsAreForgotten(t *testing.T) {
	r := newRig(t)
	k := r.kernel(1)
	for range 3 {
		c := r.rm.NewClient()
		fd, isOpen := r.descriptor()
		done := make(chan error, 1)
		go func() {
			_, err := actors.Await(t.Context(), c, &messages.Open{Path: "/x", Flags: os.O_RDONLY})
			done <- err
		}()
		k.Complete(k.Next(t, ring.CodeOpen).Name, fd, 0)
		require.NoError(t, <-done)
		c.Close()
		r.until("its handle is closed", func() bool { return !isOpen() })
		r.until("it is forgotten", func() bool { return r.glass.Look().Parties == 0 })
		_, known := r.system.ProcessRegistry.Get(c.Owner())
		require.False(t, known, "its process is registered still")
	}
}
