//go:build linux

package test

import (
	"bytes"
	"context"
	"io"
	"os"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// poisoned is a buffer of which every byte that the kernel writes shows.
func poisoned(n int) []byte { return bytes.Repeat([]byte{0xEE}, n) }

// requirePoisoned checks that nobody wrote to a buffer.
func requirePoisoned(t testing.TB, buf []byte) {
	t.Helper()
	require.True(t, bytes.Equal(buf, poisoned(len(buf))), "the kernel wrote to a buffer that was not its own: %q", buf)
}

// TestCancelledRead cancels a pipe read: the answer brings the very buffer
// back, and what is written to the pipe later is neither in it nor lost.
func TestCancelledRead(t *testing.T) {
	r := start(t)
	reader, writer := r.pipe()
	pipe := r.adopt(reader)
	p := r.probe()
	for round := range uint64(50) {
		read := &messages.Read{Handle: pipe, Buf: poisoned(64)}
		r.send(p, round+1, read)
		r.system.Root.Send(r.rm.PID(), &messages.Cancel{ID: messages.OpID{Owner: p.pid, Seq: round + 1}})
		c := p.completed(round + 1)
		require.ErrorIs(t, c.Err, unix.ECANCELED)
		require.ErrorIs(t, c.Err, context.Canceled)
		require.Same(t, read, c.Op)
		require.Equal(t, messages.Cancelled, next[*messages.CancelResult](p).Outcome)
		_, err := writer.WriteString("later")
		require.NoError(t, err)
		requirePoisoned(t, read.Buf)
		require.Equal(t, "later", string(do(r, &messages.Read{Handle: pipe, Buf: make([]byte, 64)})))
		requirePoisoned(t, read.Buf)
	}
}

// TestOrphanedRead has the requester die instead.
func TestOrphanedRead(t *testing.T) {
	r := start(t)
	reader, writer := r.pipe()
	pipe := r.adopt(reader)
	bufs := make([][]byte, 4)
	before := r.footprint()
	p := r.probe()
	for k := range bufs {
		bufs[k] = poisoned(64)
		r.send(p, uint64(k+1), &messages.Read{Handle: pipe, Buf: bufs[k]})
	}
	p.stop()
	r.comesBackTo(before)
	_, err := writer.WriteString("later")
	require.NoError(t, err)
	require.Equal(t, "later", string(do(r, &messages.Read{Handle: pipe, Buf: make([]byte, 64)})))
	for _, buf := range bufs {
		requirePoisoned(t, buf)
	}
}

// TestShortRead leaves the rest of a buffer alone.
func TestShortRead(t *testing.T) {
	r := start(t)
	path := t.TempDir() + "/short"
	require.NoError(t, os.WriteFile(path, []byte("1234567890"), 0o600))
	file := do(r, &messages.Open{Path: path})
	buf := poisoned(100)
	require.Equal(t, "567890", string(do(r, &messages.Read{Handle: file, Buf: buf, Offset: 4})))
	requirePoisoned(t, buf[6:])
	require.Empty(t, do(r, &messages.Read{Handle: file, Buf: buf[6:], Offset: 10}))
	requirePoisoned(t, buf[6:])
}

// TestStreamOrder has many reads wait on one pipe: each gets the next part, in
// the order of their arrival, a cancelled one in between gets none.
func TestStreamOrder(t *testing.T) {
	r := start(t)
	reader, writer := r.pipe()
	pipe := r.adopt(reader)
	p := r.probe()
	const reads, cancelled = 20, 7
	for seq := range uint64(reads) {
		r.send(p, seq+1, &messages.Read{Handle: pipe, Buf: make([]byte, 1)})
	}
	r.system.Root.Send(r.rm.PID(), &messages.Cancel{ID: messages.OpID{Owner: p.pid, Seq: cancelled}})
	require.Error(t, p.completed(cancelled).Err)
	require.Equal(t, messages.Cancelled, next[*messages.CancelResult](p).Outcome)
	_, err := io.WriteString(writer, "abcdefghijklmnopqrs")
	require.NoError(t, err)
	want := byte('a')
	for seq := uint64(1); seq <= reads; seq++ {
		if seq == cancelled {
			continue
		}
		got, err := messages.Result[[]byte](p.completed(seq))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
		want++
	}
}

// TestCancelRacesData cancels a read while its data come: whichever wins, the
// answer says so, no byte is lost or comes twice, and the CancelResult follows.
func TestCancelRacesData(t *testing.T) {
	r := start(t)
	reader, writer := r.pipe()
	pipe := r.adopt(reader)
	p := r.probe()
	for round := range uint64(200) {
		seq := round + 1
		read := &messages.Read{Handle: pipe, Buf: poisoned(1)}
		r.send(p, seq, read)
		go func() { _, _ = writer.Write([]byte("x")) }() // races the cancel
		r.system.Root.Send(r.rm.PID(), &messages.Cancel{ID: messages.OpID{Owner: p.pid, Seq: seq}})
		c, cancelled := answerAndResult(p, seq)
		if c.Err == nil { // the read won
			require.Equal(t, "x", string(read.Buf))
			require.Contains(t, []messages.CancelOutcome{messages.Cancelled, messages.AlreadyDone}, cancelled)
			continue
		}
		require.ErrorIs(t, c.Err, unix.ECANCELED)
		requirePoisoned(t, read.Buf)
		require.Equal(t, "x", string(do(r, &messages.Read{Handle: pipe, Buf: make([]byte, 1)})))
		requirePoisoned(t, read.Buf)
	}
}

// answerAndResult takes an operation's answer and then its CancelResult.
func answerAndResult(p *probe, seq uint64) (*messages.Completion, messages.CancelOutcome) {
	p.rig.t.Helper()
	c := p.completed(seq)
	return c, next[*messages.CancelResult](p).Outcome
}

// TestAbandonedCancel drops an operation's answer; the CancelResult still
// comes.
func TestAbandonedCancel(t *testing.T) {
	r := start(t)
	p := r.probe()
	r.send(p, 1, &messages.Timeout{After: time.Hour})
	r.system.Root.Send(r.rm.PID(), &messages.Cancel{ID: messages.OpID{Owner: p.pid, Seq: 1}, Abandon: true, Token: "mine"})
	require.Equal(t, &messages.CancelResult{
		ID: messages.OpID{Owner: p.pid, Seq: 1}, Token: "mine", Outcome: messages.Cancelled, Count: 1,
	}, next[*messages.CancelResult](p))
	r.system.Root.Send(r.rm.PID(), &messages.Cancel{ID: messages.OpID{Owner: p.pid, Seq: 1}})
	require.Equal(t, messages.AlreadyDone, next[*messages.CancelResult](p).Outcome)
	r.system.Root.Send(r.rm.PID(), &messages.Cancel{ID: messages.OpID{Owner: p.pid, Seq: 2}})
	require.Equal(t, messages.NotFound, next[*messages.CancelResult](p).Outcome)
	p.silent()
}

// TestCancelOfOthers does not reach another owner's operation under the same
// number, nor that of a new actor under an old name.
func TestCancelOfOthers(t *testing.T) {
	r := start(t)
	mine, other := r.probe(), r.probe()
	r.send(mine, 1, &messages.Timeout{After: time.Hour})
	r.system.Root.Send(r.rm.PID(), &messages.Cancel{ID: messages.OpID{Owner: other.pid, Seq: 1}})
	require.Equal(t, messages.NotFound, next[*messages.CancelResult](other).Outcome)
	r.system.Root.Send(r.rm.PID(), &messages.CancelOwner{Owner: other.pid})
	require.Equal(t, messages.NotFound, next[*messages.CancelResult](other).Outcome)
	mine.silent()
	in := r.inspect()
	require.Equal(t, 1, in.InFlight+in.Queued)
}

// TestNewActorUnderOldName gives a new actor nothing of what an old one of its
// name had, neither answers nor handles.
func TestNewActorUnderOldName(t *testing.T) {
	r := start(t)
	reader, _ := r.pipe()
	spawn := func() *probe {
		p := &probe{rig: r, got: make(chan any, 100)}
		var err error
		p.pid, err = r.system.Root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return p }), "the-name")
		require.NoError(t, err)
		return p
	}
	before := r.footprint()
	old := spawn()
	r.send(old, 1, &messages.Adopt{File: reader})
	pipe := old.completed(1).Handle
	r.send(old, 2, &messages.Read{Handle: pipe, Buf: make([]byte, 1)})
	r.send(old, 3, &messages.Timeout{After: time.Hour})
	old.stop()
	young := spawn()
	r.send(young, 3, &messages.Nop{})
	require.NoError(t, young.completed(3).Err)
	r.send(young, 4, &messages.Read{Handle: pipe, Buf: make([]byte, 1)})
	require.ErrorIs(t, next[*messages.Refused](young).Err, messages.ErrRefused)
	young.silent()
	young.stop()
	r.comesBackTo(before)
	require.Empty(t, old.got)
}

// TestAwaitReturnsWithTheBuffer cancels the context of an Await.
func TestAwaitReturnsWithTheBuffer(t *testing.T) {
	r := start(t)
	reader, writer := r.pipe()
	pipe := r.adopt(reader)
	ctx, cancel := context.WithCancelCause(r.ctx)
	buf := poisoned(10)
	ended := make(chan error, 1)
	go func() {
		_, err := actors.Await(ctx, r.c, &messages.Read{Handle: pipe, Buf: buf})
		ended <- err
	}()
	eventually(t, "the read is in flight", func() bool { return r.inspect().InFlight == 1 })
	cancel(io.ErrNoProgress)
	err := <-ended
	require.ErrorIs(t, err, unix.ECANCELED)
	require.ErrorIs(t, err, io.ErrNoProgress)
	require.Zero(t, r.inspect().InFlight)
	_, err = writer.WriteString("later")
	require.NoError(t, err)
	requirePoisoned(t, buf)
	_, err = actors.Await(ctx, r.c, &messages.Read{Handle: pipe, Buf: buf}) // already done: not submitted
	require.ErrorIs(t, err, io.ErrNoProgress)
	require.ErrorIs(t, err, messages.ErrRefused)
	require.Equal(t, "later", string(do(r, &messages.Read{Handle: pipe, Buf: make([]byte, 10)})))
	requirePoisoned(t, buf)
}
