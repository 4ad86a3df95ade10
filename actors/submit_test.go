package actors_test

import (
	"io/fs"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

func TestCompletionEchoesTheSubmit(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	var lent messages.Completion
	op := &messages.Nop{}
	id := q.post(&messages.Submit{Op: op, Token: "mine", Into: &lent})
	k := r.kernel(1)
	k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	c := q.succeeds(id)
	require.Same(t, &lent, c, "the storage that was lent")
	require.Same(t, op, c.Op)
	require.Equal(t, id, c.ID)
	require.Equal(t, "mine", c.Token)
	q.silent()
}

func TestAnswerGoesToTheReplyAddress(t *testing.T) {
	r := newRig(t)
	owner, other := r.requester(), r.requester()
	id := owner.post(&messages.Submit{Op: &messages.Nop{}, ReplyTo: other.pid})
	k := r.kernel(1)
	k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	other.succeeds(id)
	owner.silent()
}

func TestSenderIsTheOwnerByDefault(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	m := &messages.Submit{Op: &messages.Nop{}, ID: messages.OpID{Seq: 9}}
	r.system.Root.RequestWithCustomSender(r.pid, m, q.pid)
	k := r.kernel(1)
	k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	c := q.succeeds(messages.OpID{Seq: 9})
	require.Equal(t, q.pid, c.ID.Owner)
}

// TestResultsAreTyped answers one operation of each kind and reads its result.
func TestResultsAreTyped(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	file, dir := q.regular(), q.directory()

	t.Run("read", func(t *testing.T) {
		id := q.send(&messages.Read{Handle: file, Buf: make([]byte, 5), Offset: 3})
		taken := k.Next(t, ring.CodeRead)
		require.EqualValues(t, 3, taken.Off)
		require.True(t, taken.NoWait)
		k.CompleteRead(taken, "hello")
		part, err := messages.Result[[]byte](q.succeeds(id))
		require.NoError(t, err)
		require.Equal(t, "hello", string(part))
	})
	t.Run("write", func(t *testing.T) {
		id := q.send(&messages.Write{Handle: file, Buf: []byte("hello")})
		k.Complete(k.Next(t, ring.CodeWrite).Name, 3, 0)
		n, err := messages.Result[int](q.succeeds(id))
		require.NoError(t, err)
		require.Equal(t, 3, n, "a short write is visible")
	})
	t.Run("stat", func(t *testing.T) {
		id := q.send(&messages.Stat{Dir: dir, Path: "x", NoFollow: true})
		taken := k.Next(t, ring.CodeStat)
		taken.Statx().Size = 77
		taken.Statx().Mode = unix.S_IFLNK | 0o777
		k.Complete(taken.Name, 0, 0)
		info, err := messages.Result[*messages.Attributes](q.succeeds(id))
		require.NoError(t, err)
		require.EqualValues(t, 77, info.Size)
		require.Equal(t, fs.ModeSymlink|0o777, info.Mode)
	})
	t.Run("open", func(t *testing.T) {
		fd, isOpen := r.descriptor()
		id := q.send(&messages.Open{Dir: dir, Path: "x", Flags: os.O_RDWR})
		k.Complete(k.Next(t, ring.CodeOpen).Name, fd, 0)
		handle, err := messages.Result[messages.Handle](q.succeeds(id))
		require.NoError(t, err)
		require.False(t, handle.IsZero())
		require.True(t, isOpen())
		q.succeeds(q.send(&messages.Close{Handle: handle}))
		require.False(t, isOpen())
	})
	t.Run("poll", func(t *testing.T) {
		in, _ := q.pipe()
		id := q.send(&messages.Poll{Handle: in, Events: messages.Readable})
		k.Complete(k.Next(t, ring.CodePoll).Name, int32(messages.Readable|messages.HungUp), 0)
		events, err := messages.Result[messages.Events](q.succeeds(id))
		require.NoError(t, err)
		require.Equal(t, messages.Readable|messages.HungUp, events)
	})
	t.Run("timeout", func(t *testing.T) {
		id := q.send(&messages.Timeout{After: time.Hour})
		taken := k.Next(t, ring.CodeTimeout)
		require.Equal(t, time.Hour, taken.Duration())
		k.Complete(taken.Name, timerRang, 0)
		require.NoError(t, q.succeeds(id).Err, "that it expired is what was asked for")
	})
	t.Run("nothing", func(t *testing.T) {
		id := q.send(&messages.Mkdir{Dir: dir, Path: "new", Mode: 0o700})
		k.Complete(k.Next(t, ring.CodeMkdir).Name, 0, 0)
		_, err := messages.Result[messages.None](q.succeeds(id))
		require.NoError(t, err)
	})
}

func TestFailureWrapsTheErrno(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	id := q.send(&messages.Open{Path: "/no/such", Flags: os.O_RDONLY})
	k.Complete(k.Next(t, ring.CodeOpen).Name, -int32(unix.ENOENT), 0)
	c := q.completion(id)
	require.ErrorIs(t, c.Err, unix.ENOENT)
	require.ErrorIs(t, c.Err, fs.ErrNotExist)
	require.NotErrorIs(t, c.Err, messages.ErrRefused)
	require.Equal(t, "open /no/such: no such file or directory", c.Err.Error())
	var failed *messages.OpError
	require.ErrorAs(t, c.Err, &failed)
	require.Equal(t, syscall.ENOENT, failed.Errno())
	require.True(t, c.Handle.IsZero())
	require.NotNil(t, c.Op, "it comes back")
	require.EqualValues(t, 1, r.inspect().Failed)
}

func TestBatchIsManySubmits(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	good := func(seq uint64) *messages.Submit {
		return &messages.Submit{Op: &messages.Nop{}, ID: messages.OpID{Owner: q.pid, Seq: seq}}
	}
	bad := &messages.Submit{ID: messages.OpID{Owner: q.pid, Seq: 2}}
	r.system.Root.Send(r.pid, &messages.SubmitBatch{Submits: []*messages.Submit{good(1), bad, nil, good(3)}})
	refused := expect[*messages.Refused](q)
	require.EqualValues(t, 2, refused.ID.Seq)
	require.ErrorIs(t, refused.Err, messages.ErrNilMessage)
	for _, seq := range [...]uint64{1, 3} {
		k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
		q.succeeds(messages.OpID{Seq: seq})
	}
	in := r.inspect()
	require.EqualValues(t, 3, in.Submitted)
	require.EqualValues(t, 1, in.Strange)
	q.silent()
}

// TestFutureGetsOneMessage: protoactor overwrites a future's result with a
// second message, and with a Watch.
func TestFutureGetsOneMessage(t *testing.T) {
	r := newRig(t)
	k := r.kernel(1)
	future := r.system.Root.RequestFuture(r.pid, &messages.Submit{Op: &messages.Nop{}}, patience)
	k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	answer, err := future.Result()
	require.NoError(t, err)
	require.IsType(t, &messages.Completion{}, answer)

	future = r.system.Root.RequestFuture(r.pid, &messages.Submit{}, patience)
	answer, err = future.Result()
	require.NoError(t, err)
	require.IsType(t, &messages.Refused{}, answer)

	future = r.system.Root.RequestFuture(r.pid, &messages.Inspect{}, patience)
	answer, err = future.Result()
	require.NoError(t, err)
	require.IsType(t, &messages.Inspection{}, answer)
}

func TestFutureOfAnotherOwner(t *testing.T) {
	r := newRig(t)
	k := r.kernel(1)
	q := r.requester()
	future := actor.NewFuture(r.system, patience)
	id := q.post(&messages.Submit{Op: &messages.Nop{}, ReplyTo: future.PID()})
	k.Next(t, ring.CodeNop)
	q.cancel(id)
	require.Equal(t, messages.Cancelled, expect[*messages.CancelResult](q).Outcome)
	answer, err := future.Result()
	require.NoError(t, err)
	require.IsType(t, &messages.Completion{}, answer)
	require.Len(t, k.Consumed(), 2)
}
