package actors_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/fake"
)

// TestReadThatWouldWait is issued again by the thread that may.
func TestReadThatWouldWait(t *testing.T) {
	for _, res := range [...]int32{again, canceled, -int32(unix.EINTR)} {
		r := newRig(t)
		q := r.requester()
		k := r.kernel(1)
		buf := make([]byte, 8)
		id := q.send(&messages.Read{Handle: q.regular(), Buf: buf, Offset: 5})
		first := k.Next(t, ring.CodeRead)
		require.True(t, first.NoWait)
		require.False(t, first.Async)
		k.Complete(first.Name, res, 0)
		second := k.Next(t, ring.CodeRead)
		require.False(t, second.NoWait)
		require.NotEqual(t, first.Name, second.Name, "every request has a name of its own")
		require.EqualValues(t, 5, second.Off)
		require.Len(t, second.Buf, 8)
		require.NotZero(t, r.inspect().Pinned)
		k.CompleteRead(second, "12345678")
		part, err := messages.Result[[]byte](q.succeeds(id))
		require.NoError(t, err)
		require.Equal(t, "12345678", string(part))
	}
}

// TestFileSystemWithoutNowait: the read goes to a kernel worker, and so do the
// next ones on that device, at once.
func TestFileSystemWithoutNowait(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	file := q.regular()
	id := q.send(&messages.Read{Handle: file, Buf: make([]byte, 8)})
	k.Complete(k.Next(t, ring.CodeRead).Name, -int32(unix.EOPNOTSUPP), 0)
	second := k.Next(t, ring.CodeRead)
	require.True(t, second.Async)
	require.False(t, second.NoWait)
	k.CompleteRead(second, "12345678")
	q.succeeds(id)

	for _, handle := range [...]messages.Handle{file, q.regular()} { // another file of the same device
		id = q.send(&messages.Read{Handle: handle, Buf: make([]byte, 8)})
		taken := k.Next(t, ring.CodeRead)
		require.True(t, taken.Async)
		require.False(t, taken.NoWait)
		k.CompleteRead(taken, "12")
		require.Equal(t, 2, q.succeeds(id).N, "a short result of a read that may wait is the truth")
	}
}

// TestShortReadIsCompleted: a read that was not to wait may have got only what
// was in memory.
func TestShortReadIsCompleted(t *testing.T) {
	for name, c := range map[string]struct {
		rest string
		fail int32
		want string
	}{
		"and the rest comes":     {rest: "45678", want: "12345678"},
		"and a part of it comes": {rest: "45", want: "12345"},
		"and that was the end":   {rest: "", want: "123"},
		"and the rest fails":     {fail: -int32(unix.EIO), want: "123"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			q := r.requester()
			k := r.kernel(1)
			id := q.send(&messages.Read{Handle: q.regular(), Buf: make([]byte, 8), Offset: 100})
			k.CompleteRead(k.Next(t, ring.CodeRead), "123")
			second := k.Next(t, ring.CodeRead)
			require.EqualValues(t, 103, second.Off)
			require.Len(t, second.Buf, 5)
			require.False(t, second.NoWait)
			if c.fail != 0 {
				k.Complete(second.Name, c.fail, 0)
			} else {
				k.CompleteRead(second, c.rest)
			}
			part, err := messages.Result[[]byte](q.succeeds(id))
			require.NoError(t, err)
			require.Equal(t, c.want, string(part))
		})
	}
}

// TestShortReadIsCancelled between its two requests: what has been read counts.
func TestShortReadIsCancelled(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	id := q.send(&messages.Read{Handle: q.regular(), Buf: make([]byte, 8)})
	k.CompleteRead(k.Next(t, ring.CodeRead), "123")
	k.Next(t, ring.CodeRead)
	q.cancel(id)
	require.Equal(t, 3, q.cancelled(id).N)
}

func TestEmptyReadIsNotRepeated(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	id := q.send(&messages.Read{Handle: q.regular(), Buf: make([]byte, 8)})
	k.CompleteRead(k.Next(t, ring.CodeRead), "")
	require.Zero(t, q.succeeds(id).N, "the end of the file")
	require.Len(t, k.Consumed(), 1)
}

// TestCancellationNobodyAskedFor: the kernel withdraws what a thread issued
// that has ended. It is issued again, a bounded number of times.
func TestCancellationNobodyAskedFor(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	id := q.send(&messages.Fsync{Handle: q.regular()})
	for range 3 {
		k.Complete(k.Next(t, ring.CodeFsync).Name, canceled, 0)
	}
	k.Complete(k.Next(t, ring.CodeFsync).Name, 0, 0)
	q.succeeds(id)

	k.OnTaken(func(taken *fake.Taken) { k.Complete(taken.Name, canceled, 0) })
	before := len(k.Consumed())
	id = q.send(&messages.Nop{})
	c := q.completion(id)
	require.ErrorIs(t, c.Err, unix.ECANCELED)
	require.NotErrorIs(t, c.Err, messages.ErrRefused)
	require.Len(t, k.Consumed(), before+1+actors.RetriesMax)
	k.OnTaken(func(taken *fake.Taken) { r.oblige(k, taken) })
}

// TestEAGAIN: of a regular file it is the kernel's way to say that it had no worker;
// of a stream it is the caller's to know.
func TestEAGAIN(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	id := q.send(&messages.Write{Handle: q.regular(), Buf: []byte("x")})
	k.Complete(k.Next(t, ring.CodeWrite).Name, again, 0)
	taken := k.Next(t, ring.CodeWrite)
	require.True(t, taken.Async)
	k.Complete(taken.Name, 1, 0)
	q.succeeds(id)

	_, out := q.pipe()
	id = q.send(&messages.Write{Handle: out, Buf: []byte("x")})
	k.Complete(k.Next(t, ring.CodeWrite).Name, again, 0)
	require.ErrorIs(t, q.completion(id).Err, unix.EAGAIN)
}

// TestRetryAcrossARestart: what the old ring gives back undone is issued on the
// new one.
func TestRetryAcrossARestart(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option)
	q := r.requester()
	old := r.kernel(1)
	id := q.send(&messages.Read{Handle: q.regular(), Buf: make([]byte, 8)})
	first := old.Next(t, ring.CodeRead)
	crash.now(r, q)
	young := r.kernel(2)
	old.Complete(first.Name, again, 0)
	young.CompleteRead(young.Next(t, ring.CodeRead), "12345678")
	require.Equal(t, 8, q.succeeds(id).N)
	require.Len(t, old.Consumed(), 1)
}
