package actors_test

import (
	"io/fs"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/fake"
)

// alien is an operation that is none of the package's: it gets in by what it
// embeds.
type alien struct{ *messages.Read }

// hollow embeds the interface and nothing in it: its methods panic.
type hollow struct{ messages.Op }

// hostile has a Name of its own.
type hostile struct{ *messages.Nop }

func (hostile) Name() string { panic("foreign code") }

// requireRefused checks the one answer to a Submit that is refused, and that
// nothing of it is left.
func requireRefused(t *testing.T, q *requester, id messages.OpID, op messages.Op, want error) {
	t.Helper()
	before := len(q.r.kernel(1).Consumed())
	refused := expect[*messages.Refused](q)
	require.Equal(t, id.Seq, refused.ID.Seq)
	require.Equal(t, id.Seq, refused.Token)
	require.Equal(t, op, refused.Op, "the operation comes back")
	require.ErrorIs(t, refused.Err, want)
	require.ErrorIs(t, refused.Err, messages.ErrRefused)
	var failed *messages.OpError
	require.ErrorAs(t, refused.Err, &failed)
	require.NotEmpty(t, refused.Err.Error())
	p := q.r.glass.Look()
	require.Zero(t, p.Live, "a slot is left")
	require.Zero(t, p.IDs)
	require.Zero(t, p.Open)
	require.Zero(t, p.Deadlines)
	require.Len(t, q.r.kernel(1).Consumed(), before, "something has reached the kernel")
	require.Zero(t, q.r.kernel(1).Pushed())
}

func TestRefusedOperations(t *testing.T) {
	const most = 0x7ffff000
	r := newRig(t)
	q := r.requester()
	file, dir := q.regular(), q.directory()
	in, out := q.pipe()
	closed := q.regular()
	q.succeeds(q.send(&messages.Close{Handle: closed}))
	reused := q.regular() // the place of the closed one
	require.Equal(t, uint32(closed.ID()), uint32(reused.ID()))
	reader, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer reader.Close()
	readOnly := q.adopt(reader)

	buf := make([]byte, 8)
	huge := make([]byte, most+1) // never touched: it costs address space only
	forged := messages.NewHandle(file.ID(), file.Key()^4)
	vectors := func(n, size int) [][]byte {
		bufs := make([][]byte, n)
		for i := range bufs {
			bufs[i] = huge[:size]
		}
		return bufs
	}
	for _, c := range []struct {
		name string
		op   messages.Op
		want error
	}{
		{"nil", nil, messages.ErrNilMessage},
		{"typed nil", (*messages.Read)(nil), messages.ErrNilMessage},
		{"alien", &alien{&messages.Read{}}, messages.ErrUnknownOp},
		{"alien by value", alien{&messages.Read{}}, messages.ErrUnknownOp},
		{"alien and empty", &alien{}, messages.ErrUnknownOp},

		{"no handle", &messages.Read{Buf: buf}, messages.ErrBadHandle},
		{"forged key", &messages.Read{Handle: forged, Buf: buf}, messages.ErrBadHandle},
		{"forged place", &messages.Read{Handle: messages.NewHandle(99, file.Key()), Buf: buf}, messages.ErrBadHandle},
		{"stale handle", &messages.Read{Handle: closed, Buf: buf}, messages.ErrBadHandle},
		{"close of a stale handle", &messages.Close{Handle: closed}, messages.ErrBadHandle},
		{"close of nothing", &messages.Close{}, messages.ErrBadHandle},
		{"give of nothing", &messages.Give{To: q.pid}, messages.ErrBadHandle},
		{"fsync of nothing", &messages.Fsync{}, messages.ErrBadHandle},
		{"readdir of nothing", &messages.ReadDir{}, messages.ErrBadHandle},
		{"forged directory", &messages.Stat{Dir: forged, Path: "x"}, messages.ErrBadHandle},
		{"forged second directory", &messages.Rename{OldDir: dir, OldPath: "a", NewDir: forged, NewPath: "b"}, messages.ErrBadHandle},

		{"write to a reader", &messages.Write{Handle: readOnly, Buf: buf}, messages.ErrRights},
		{"truncate of a reader", &messages.Truncate{Handle: readOnly}, messages.ErrRights},
		{"read from a writer", &messages.Read{Handle: out, Buf: buf}, messages.ErrRights},
		{"poll of a writer for input", &messages.Poll{Handle: out, Events: messages.Readable}, messages.ErrRights},
		{"file as a directory", &messages.Stat{Dir: file, Path: "x"}, messages.ErrRights},

		{"empty path", &messages.Open{Dir: dir}, messages.ErrPath},
		{"NUL in a path", &messages.Open{Path: "/etc/passwd\x00.txt"}, messages.ErrPath},
		{"relative path", &messages.Open{Path: "etc/passwd"}, messages.ErrPath},
		{"relative path of a stat", &messages.Stat{Path: "x"}, messages.ErrPath},
		{"stat of nothing", &messages.Stat{}, messages.ErrPath},
		{"long path", &messages.Open{Path: "/" + strings.Repeat("a", 4095)}, messages.ErrPath},
		{"long path of an unlink", &messages.Unlink{Path: "/" + strings.Repeat("a", 70000)}, messages.ErrPath},
		{"relative new path", &messages.Rename{OldPath: "/a", NewPath: "b"}, messages.ErrPath},
		{"NUL in a new path", &messages.Link{OldPath: "/a", NewPath: "/b\x00"}, messages.ErrPath},
		{"NUL in a target", &messages.Symlink{Target: "a\x00", Path: "/b"}, messages.ErrPath},
		{"empty target", &messages.Symlink{Path: "/b"}, messages.ErrPath},
		{"relative path of a readlink", &messages.ReadLink{Path: "x"}, messages.ErrPath},
		{"relative path of times", &messages.SetTimes{Path: "x"}, messages.ErrPath},

		{"offset -1", &messages.Read{Handle: file, Buf: buf, Offset: -1}, messages.ErrRange},
		{"write at -1", &messages.Write{Handle: file, Buf: buf, Offset: -1}, messages.ErrRange},
		{"least offset", &messages.Read{Handle: file, Buf: buf, Offset: math.MinInt64}, messages.ErrRange},
		{"end beyond 2^63", &messages.Read{Handle: file, Buf: buf, Offset: math.MaxInt64 - 7}, messages.ErrRange},
		{"offset on a stream", &messages.Read{Handle: in, Buf: buf, Offset: 1}, messages.ErrRange},
		{"offset -1 on a stream", &messages.Read{Handle: in, Buf: buf, Offset: -1}, messages.ErrRange},
		{"long read", &messages.Read{Handle: file, Buf: huge}, messages.ErrRange},
		{"long write", &messages.Write{Handle: file, Buf: huge}, messages.ErrRange},
		{"long read of a stream", &messages.Read{Handle: in, Buf: huge}, messages.ErrRange},
		{"long readv", &messages.ReadV{Handle: file, Bufs: vectors(3, most/2)}, messages.ErrRange},
		{"many buffers", &messages.WriteV{Handle: file, Bufs: vectors(1025, 1)}, messages.ErrRange},
		{"negative size", &messages.Truncate{Handle: file, Size: -1}, messages.ErrRange},
		{"no length", &messages.Allocate{Handle: file}, messages.ErrRange},
		{"allocation beyond 2^63", &messages.Allocate{Handle: file, Offset: math.MaxInt64, Length: 1}, messages.ErrRange},
		{"negative advice", &messages.Advise{Handle: file, Length: -1}, messages.ErrRange},
		{"negative timeout", &messages.Timeout{After: -1}, messages.ErrRange},
		{"negative limit", &messages.ReadDir{Handle: dir, Limit: -1}, messages.ErrRange},
		{"owner -2", &messages.Chown{Handle: file, UID: -2}, messages.ErrRange},

		{"no such advice", &messages.Advise{Handle: file, Advice: 99}, messages.ErrArgument},
		{"negative flags", &messages.Open{Path: "/x", Flags: -1}, messages.ErrArgument},
		{"unknown resolve bits", &messages.Open{Path: "/x", Resolve: 1 << 40}, messages.ErrArgument},
		{"type in a mode", &messages.Open{Path: "/x", Flags: os.O_CREATE, Mode: fs.ModeDir | 0o700}, messages.ErrArgument},
		{"type in a mode of mkdir", &messages.Mkdir{Path: "/x", Mode: fs.ModeDir | 0o700}, messages.ErrArgument},
		{"unknown rename flags", &messages.Rename{OldPath: "/a", NewPath: "/b", Flags: 1 << 9}, messages.ErrArgument},
		{"no events", &messages.Poll{Handle: in}, messages.ErrArgument},
		{"no such events", &messages.Poll{Handle: in, Events: 1 << 20}, messages.ErrArgument},
		{"no file", &messages.Adopt{}, messages.ErrArgument},
	} {
		t.Run(c.name, func(t *testing.T) {
			q.r.t = t
			defer func() { q.r.t = r.t }()
			id := q.post(&messages.Submit{Op: c.op, Deadline: time.Now().Add(time.Hour)})
			requireRefused(t, q, id, c.op, c.want)
		})
	}
	q.silent()
	require.Zero(t, r.inspect().Restarts)
}

// TestForeignCodeIsNotRun: an operation that is not of the package may have
// methods that panic, or worse.
func TestForeignCodeIsNotRun(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	for _, op := range [...]messages.Op{&hollow{}, hollow{}, &hostile{}, hostile{&messages.Nop{}}} {
		id := q.send(op)
		requireRefused(t, q, id, op, messages.ErrUnknownOp)
	}
	require.Zero(t, r.inspect().Restarts, "the ring owner failed over it")
	q.silent()
}

func TestUnsupportedIsRefused(t *testing.T) {
	r := newRig(t, func(r *rig, _ *actors.Config) {
		r.setUp = func(_ int, k *fake.Kernel) { k.Lacks(ring.CodeTruncate) }
	})
	q := r.requester()
	op := &messages.Truncate{Handle: q.regular(), Size: 1}
	requireRefused(t, q, q.send(op), op, messages.ErrUnsupported)
}

func TestStrangeMessages(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	strange := []any{
		nil,
		"text",
		(*messages.Submit)(nil),
		(*messages.SubmitBatch)(nil),
		(*messages.Cancel)(nil),
		(*messages.CancelOwner)(nil),
		(*messages.CancelHandle)(nil),
		(*messages.Inspect)(nil),
		messages.Submit{}, // a value is none of ours
		&messages.Completion{},
	}
	for n, m := range strange {
		r.system.Root.Send(r.pid, m)
		r.system.Root.RequestWithCustomSender(r.pid, m, q.pid)
		refused := expect[*messages.Refused](q)
		require.ErrorIs(t, refused.Err, messages.ErrRefused, "%T", m)
		require.EqualValues(t, 2*(n+1), r.inspect().Strange, "%T", m)
	}
	r.system.Root.Send(r.pid, &messages.SubmitBatch{})
	in := r.inspect()
	require.Zero(t, in.Submitted)
	require.Zero(t, in.Restarts)
	q.silent()
}

func TestDuplicateID(t *testing.T) {
	r := newRig(t)
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	id := q.send(&messages.Nop{})
	first := k.Next(t, ring.CodeNop)
	op := &messages.Nop{}
	q.post(&messages.Submit{Op: op, ID: id})
	refused := expect[*messages.Refused](q)
	require.ErrorIs(t, refused.Err, messages.ErrDuplicateID)
	require.Same(t, op, refused.Op)

	// The same number is another owner's as well; and 0 is no name.
	other.post(&messages.Submit{Op: op, ID: messages.OpID{Owner: other.pid, Seq: id.Seq}})
	second := k.Next(t, ring.CodeNop)
	for range 2 {
		q.post(&messages.Submit{Op: op, ID: messages.OpID{Owner: q.pid}})
		k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
		q.succeeds(messages.OpID{})
	}
	k.Complete(first.Name, 0, 0)
	q.succeeds(id)
	k.Complete(second.Name, 0, 0)
	other.succeeds(id)

	q.post(&messages.Submit{Op: op, ID: id}) // it has ended: the name is free
	k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	q.succeeds(id)
}

func TestQuota(t *testing.T) {
	const quota = 4
	r := newRig(t, config(func(c *actors.Config) { c.OwnerQuota = quota }))
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	var names []ring.UserData
	for range quota {
		q.send(&messages.Nop{})
		names = append(names, k.Next(t, ring.CodeNop).Name)
	}
	for range 3 {
		q.send(&messages.Nop{})
		require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrQuota)
	}
	id := other.send(&messages.Nop{})
	k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	other.succeeds(id)

	for _, name := range names {
		k.Complete(name, 0, 0)
	}
	ready, completions := 0, 0
	for range quota + 1 {
		switch q.next().(type) {
		case *messages.Ready:
			ready++
		case *messages.Completion:
			completions++
		}
	}
	require.Equal(t, 1, ready, "one Ready for any number of refusals")
	require.Equal(t, quota, completions)
	id = q.send(&messages.Nop{})
	k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	q.succeeds(id)
	q.silent()
	other.silent()
}

func TestOverload(t *testing.T) {
	const limit = 3 // too few to reserve one
	r := newRig(t, config(func(c *actors.Config) { c.InFlight, c.Queue = 2, limit-2 }))
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	for range limit {
		q.send(&messages.Nop{})
	}
	for range 2 {
		q.send(&messages.Nop{})
		require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrOverloaded)
		other.send(&messages.Nop{})
		require.ErrorIs(t, expect[*messages.Refused](other).Err, messages.ErrOverloaded)
	}
	require.Len(t, k.Consumed(), 2, "no more than that are with the kernel at once")
	ready, completions := 0, 0
	for range limit {
		require.LessOrEqual(t, len(k.InFlight()), 2)
		k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	}
	for range limit + 1 {
		switch q.next().(type) {
		case *messages.Ready:
			ready++
		case *messages.Completion:
			completions++
		}
	}
	require.Equal(t, 1, ready)
	require.Equal(t, limit, completions)
	expect[*messages.Ready](other)
	q.silent()
	other.silent()
}

// TestAddressesThatAreNone: the answer to a Submit that names an owner or a
// reply address that is dead, remote or nobody goes to whoever can be told.
func TestAddressesThatAreNone(t *testing.T) {
	t.Run("while nobody is at it", func(t *testing.T) {
		addressesThatAreNone(t, newRig(t), func(post func()) { post() })
	})
	t.Run("from the mailbox", func(t *testing.T) {
		r := newRig(t)
		addressesThatAreNone(t, r, r.glass.Hold)
	})
}

func addressesThatAreNone(t *testing.T, r *rig, when func(post func())) {
	send := func(m *messages.Submit) { when(func() { r.system.Root.Send(r.pid, m) }) }
	q := r.requester()
	gone := r.requester()
	gone.stop()
	remote := actor.NewPID("example.org:8080", "someone")
	nobody := actor.NewPID(r.system.Address(), "no-such-actor")
	k := r.kernel(1)

	for what, pid := range map[string]*actor.PID{"dead": gone.pid, "remote": remote, "nobody": nobody} {
		op := &messages.Nop{}
		when(func() {
			r.system.Root.RequestWithCustomSender(r.pid, &messages.Submit{Op: op, ReplyTo: pid, Token: what}, q.pid)
		})
		refused := expect[*messages.Refused](q)
		require.ErrorIs(t, refused.Err, messages.ErrOwner, "%s reply address, and a sender", what)
		require.Equal(t, what, refused.Token)
		require.Same(t, op, refused.Op)

		send(&messages.Submit{Op: op, ID: messages.OpID{Owner: q.pid}, ReplyTo: pid})
		require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrOwner, "%s reply address, and an owner", what)

		send(&messages.Submit{Op: op, ID: messages.OpID{Owner: pid}, ReplyTo: q.pid})
		require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrOwner, "%s owner", what)

		before := r.inspect().DeadReplies
		send(&messages.Submit{Op: op, ID: messages.OpID{Owner: pid}})
		require.Equal(t, before+1, r.inspect().DeadReplies, "%s owner, and nobody to tell", what)
	}
	send(&messages.Submit{Op: &messages.Nop{}})
	q.silent()
	require.Empty(t, k.Consumed())
	require.Zero(t, r.glass.Look().Live)
	in := r.inspect()
	require.Equal(t, in.Submitted, in.Refused)
}

func TestHandleNeedsAnOwnerThatLasts(t *testing.T) {
	r := newRig(t)
	for _, op := range [...]messages.Op{
		&messages.Open{Path: "/etc/passwd"},
		&messages.Adopt{File: os.Stdin},
	} {
		answer, err := r.system.Root.RequestFuture(r.pid, &messages.Submit{Op: op}, patience).Result()
		require.NoError(t, err)
		require.ErrorIs(t, answer.(*messages.Refused).Err, messages.ErrOwner)
	}
	require.Empty(t, r.kernel(1).Consumed())
	require.Zero(t, r.glass.Look().Handles)
}

func TestAdoptOfAClosedFile(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	c := q.completion(q.send(&messages.Adopt{File: f}))
	require.ErrorIs(t, c.Err, unix.EBADF)
	require.Zero(t, r.glass.Look().Handles)
}
