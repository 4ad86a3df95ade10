//go:build linux

package test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// TestStreamOperations performs operations on pipes and sockets, and those that
// wait.
func TestStreamOperations(t *testing.T) {
	runEffects(t, []effect{
		{"adopt-pipe", effectPipe},
		{"adopt-socketpair", effectSocketpair},
		{"adopt-rights", effectAdoptRights},
		{"poll", effectPoll},
		{"timeout", effectTimeout},
		{"deadline", effectDeadline},
		{"pipe-full", effectPipeFull},
		{"cancel-handle", effectCancelHandle},
		{"batch", effectBatch},
	})
}

// effectPipe: the descriptor is a duplicate, and the file's owner may close it
// when it likes.
func effectPipe(r *rig, _ string) {
	reader, writer, err := os.Pipe()
	require.NoError(r.t, err)
	in, out := r.adopt(reader), r.adopt(writer)
	require.NoError(r.t, errors.Join(reader.Close(), writer.Close()))
	require.Equal(r.t, 5, do(r, &messages.Write{Handle: out, Buf: []byte("hello")}))
	require.Equal(r.t, "he", string(do(r, &messages.Read{Handle: in, Buf: make([]byte, 2)})))
	bufs := [][]byte{make([]byte, 1), make([]byte, 9)}
	require.Equal(r.t, 3, do(r, &messages.ReadV{Handle: in, Bufs: bufs}))
	require.Equal(r.t, "llo", string(bufs[0])+string(bufs[1][:2]))
	do(r, &messages.Close{Handle: out})
	require.Empty(r.t, do(r, &messages.Read{Handle: in, Buf: make([]byte, 2)}))
	do(r, &messages.Close{Handle: in})
	closed, _ := r.pipe()
	require.NoError(r.t, closed.Close())
	require.ErrorIs(r.t, fails(r, &messages.Adopt{File: closed}), unix.EBADF)
}

func effectSocketpair(r *rig, _ string) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(r.t, err)
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer func() { _, _ = ours.Close(), theirs.Close() }()
	socket := r.adopt(ours)
	p := r.probe()
	r.send(p, 1, &messages.Read{Handle: socket, Buf: make([]byte, 10)})
	require.Equal(r.t, 4, do(r, &messages.Write{Handle: socket, Buf: []byte("ping")})) // the read does not hold it up
	buf := make([]byte, 10)
	n, err := theirs.Read(buf)
	require.NoError(r.t, err)
	require.Equal(r.t, "ping", string(buf[:n]))
	_, err = theirs.WriteString("pong")
	require.NoError(r.t, err)
	got, err := messages.Result[[]byte](p.completed(1))
	require.NoError(r.t, err)
	require.Equal(r.t, "pong", string(got))
	do(r, &messages.Close{Handle: socket})
	p.stop()
}

func effectAdoptRights(r *rig, _ string) {
	reader, writer := r.pipe()
	in, out := r.adopt(reader), r.adopt(writer)
	require.ErrorIs(r.t, fails(r, &messages.Write{Handle: in, Buf: []byte("x")}), messages.ErrRights)
	require.ErrorIs(r.t, fails(r, &messages.Read{Handle: out, Buf: make([]byte, 1)}), messages.ErrRights)
	none := do(r, &messages.Adopt{File: reader, Rights: messages.RightMeta})
	require.ErrorIs(r.t, fails(r, &messages.Read{Handle: none, Buf: make([]byte, 1)}), messages.ErrRights)
	for _, handle := range []messages.Handle{in, out, none} {
		do(r, &messages.Close{Handle: handle})
	}
}

func effectPoll(r *rig, _ string) {
	reader, writer, err := os.Pipe()
	require.NoError(r.t, err)
	defer func() { _, _ = reader.Close(), writer.Close() }()
	in, out := r.adopt(reader), r.adopt(writer)
	p := r.probe()
	r.send(p, 1, &messages.Poll{Handle: in, Events: messages.Readable})
	require.Equal(r.t, messages.Writable, do(r, &messages.Poll{Handle: out, Events: messages.Writable}))
	p.silent()
	_, err = writer.WriteString("x")
	require.NoError(r.t, err)
	events, err := messages.Result[messages.Events](p.completed(1))
	require.NoError(r.t, err)
	require.Equal(r.t, messages.Readable, events)
	require.Equal(r.t, "x", string(do(r, &messages.Read{Handle: in, Buf: make([]byte, 2)})))
	require.NoError(r.t, writer.Close())
	do(r, &messages.Close{Handle: out})
	require.Equal(r.t, messages.HungUp, do(r, &messages.Poll{Handle: in, Events: messages.Readable}))
	do(r, &messages.Close{Handle: in})
	p.stop()
}

func effectTimeout(r *rig, _ string) {
	for _, after := range []time.Duration{0, 1, time.Microsecond, 3 * time.Millisecond} {
		begun := time.Now()
		do(r, &messages.Timeout{After: after})
		require.GreaterOrEqual(r.t, time.Since(begun), after)
	}
	p := r.probe()
	afters := []time.Duration{time.Hour, 20 * time.Millisecond, 10 * time.Millisecond}
	begun := time.Now()
	for k, after := range afters { // each ends in its own time
		r.send(p, uint64(k), &messages.Timeout{After: after})
	}
	for range afters[1:] {
		c := next[*messages.Completion](p)
		require.NoError(r.t, c.Err)
		require.GreaterOrEqual(r.t, time.Since(begun), afters[c.ID.Seq])
	}
	r.system.Root.Send(r.rm.PID(), &messages.CancelOwner{Owner: p.pid})
	require.ErrorIs(r.t, p.completed(0).Err, context.Canceled)
	next[*messages.CancelResult](p)
	p.stop()
}

func effectDeadline(r *rig, _ string) {
	reader, _ := r.pipe()
	pipe := r.adopt(reader)
	p := r.probe()
	begun := time.Now()
	deadlines := []time.Time{begun.Add(20 * time.Millisecond), begun.Add(time.Hour), begun.Add(10 * time.Millisecond)}
	for k, deadline := range deadlines {
		r.system.Root.Send(r.rm.PID(), &messages.Submit{
			Op:       &messages.Read{Handle: pipe, Buf: make([]byte, 1)},
			ID:       messages.OpID{Owner: p.pid, Seq: uint64(k)},
			Deadline: deadline,
		})
	}
	for range 2 { // those that wait for their turn have a deadline, too
		c := next[*messages.Completion](p)
		require.ErrorIs(r.t, c.Err, context.DeadlineExceeded)
		require.ErrorIs(r.t, c.Err, unix.ECANCELED)
		require.False(r.t, time.Now().Before(deadlines[c.ID.Seq]))
	}
	r.system.Root.Send(r.rm.PID(), &messages.CancelOwner{Owner: p.pid})
	require.ErrorIs(r.t, p.completed(1).Err, context.Canceled)
	next[*messages.CancelResult](p)
	do(r, &messages.Close{Handle: pipe})
	p.stop()
}

// effectPipeFull writes more than a pipe holds: the write waits for a reader.
func effectPipeFull(r *rig, _ string) {
	reader, writer := r.pipe()
	out := r.adopt(writer)
	want := bytes.Repeat([]byte("pipe"), 100_000)
	ended := make(chan error)
	go func() { ended <- actors.WriteFull(r.ctx, r.c, out, want, 0) }()
	got := make([]byte, len(want))
	_, err := io.ReadFull(reader, got)
	require.NoError(r.t, err)
	require.NoError(r.t, <-ended)
	require.True(r.t, bytes.Equal(want, got))
	do(r, &messages.Close{Handle: out})
}

func effectCancelHandle(r *rig, _ string) {
	reader, _ := r.pipe()
	pipe := r.adopt(reader)
	mine, other := r.probe(), r.probe()
	r.send(mine, 1, &messages.Read{Handle: pipe, Buf: make([]byte, 1)})
	r.send(mine, 2, &messages.Read{Handle: pipe, Buf: make([]byte, 1)})
	r.send(other, 1, &messages.Poll{Handle: pipe, Events: messages.Readable})
	r.send(other, 2, &messages.Timeout{After: time.Hour})
	r.system.Root.Send(r.rm.PID(), &messages.CancelHandle{Handle: pipe, ReplyTo: other.pid, Token: 7})
	require.ErrorIs(r.t, other.completed(1).Err, context.Canceled)
	ended := map[uint64]bool{}
	for range 2 { // the second, which waits for its turn, may end before the first
		c := next[*messages.Completion](mine)
		require.ErrorIs(r.t, c.Err, context.Canceled)
		ended[c.ID.Seq] = true
	}
	require.Equal(r.t, map[uint64]bool{1: true, 2: true}, ended)
	result := next[*messages.CancelResult](other)
	require.Equal(r.t, 3, result.Count)
	require.Equal(r.t, 7, result.Token)
	do(r, &messages.Close{Handle: pipe})
	r.system.Root.Send(r.rm.PID(), &messages.CancelOwner{Owner: other.pid})
	other.completed(2)
	next[*messages.CancelResult](other)
	mine.stop()
	other.stop()
}

// effectBatch sends many Submits in one message; each is answered on its own.
func effectBatch(r *rig, _ string) {
	p := r.probe()
	batch := &messages.SubmitBatch{}
	into := make([]messages.Completion, 1000)
	for k := range into {
		batch.Submits = append(batch.Submits, &messages.Submit{
			Op: &messages.Nop{}, ID: messages.OpID{Owner: p.pid, Seq: uint64(k + 1)}, Token: k, Into: &into[k],
		})
	}
	r.system.Root.Send(r.rm.PID(), batch)
	for range into {
		c := next[*messages.Completion](p)
		require.NoError(r.t, c.Err)
		require.Same(r.t, &into[c.Token.(int)], c)
	}
	p.silent()
	p.stop()
}
