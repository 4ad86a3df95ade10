package actors_test

import (
	"bytes"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/fake"
)

// TestCopyBound: reads that copy more than a poster should bear are not issued on
// its stack, in one buffer or in several. Writes copy nothing there, however large.
func TestCopyBound(t *testing.T) {
	const bound, batchBound, part = actors.CopyBound, actors.CopyBoundBatch, actors.CopyBound / 4
	parts := func(n int, more ...[]byte) [][]byte {
		bufs := more
		for range n {
			bufs = append(bufs, make([]byte, part))
		}
		return bufs
	}
	for name, c := range map[string]struct {
		ops      func(messages.Handle) []messages.Op
		onPoster bool
	}{
		"read": {func(h messages.Handle) []messages.Op { return ops(&messages.Read{Handle: h, Buf: make([]byte, bound)}) }, true},
		"read, too large": {func(h messages.Handle) []messages.Op {
			return ops(&messages.Read{Handle: h, Buf: make([]byte, bound+1)})
		}, false},
		"readv": {func(h messages.Handle) []messages.Op { return ops(&messages.ReadV{Handle: h, Bufs: parts(4)}) }, true},
		"readv, too large": {func(h messages.Handle) []messages.Op {
			return ops(&messages.ReadV{Handle: h, Bufs: parts(4, make([]byte, 1))})
		}, false},
		"write": {func(h messages.Handle) []messages.Op {
			return ops(&messages.Write{Handle: h, Buf: make([]byte, 8*bound)})
		}, true},
		"writev": {func(h messages.Handle) []messages.Op { return ops(&messages.WriteV{Handle: h, Bufs: parts(32)}) }, true},
		"batch": {func(h messages.Handle) []messages.Op {
			return ops(&messages.ReadV{Handle: h, Bufs: parts(16)}, &messages.Read{Handle: h, Buf: make([]byte, batchBound-16*part)})
		}, true},
		"batch, too large": {func(h messages.Handle) []messages.Op {
			return ops(&messages.ReadV{Handle: h, Bufs: parts(16)}, &messages.Read{Handle: h, Buf: make([]byte, batchBound-16*part+1)})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			onPoster := make(chan bool, 8)
			r := newRig(t, func(r *rig, _ *actors.Config) {
				r.setUp = func(_ int, k *fake.Kernel) {
					k.OnTaken(func(taken *fake.Taken) {
						switch taken.Code {
						case ring.CodeRead, ring.CodeReadV, ring.CodeWrite, ring.CodeWriteV:
							onPoster <- bytes.Contains(debug.Stack(), []byte("PostUserMessage"))
							k.Complete(taken.Name, -int32(unix.EIO), 0)
						default:
							r.oblige(k, taken)
						}
					})
				}
			})
			q := r.requester()
			file := q.regular()
			try := func() (all bool) {
				list := c.ops(file)
				q.batchOf(list)
				all = true
				for range list {
					all = <-onPoster && all
					require.ErrorIs(t, expect[*messages.Completion](q).Err, unix.EIO)
				}
				return all
			}
			if c.onPoster { // unless somebody runs just then
				r.until("it is issued on its poster's stack", try)
				return
			}
			for range 50 {
				require.False(t, try(), "it is issued on its poster's stack")
			}
		})
	}
}

func ops(list ...messages.Op) []messages.Op { return list }

// batchOf submits one operation by itself, and several in one message.
func (q *requester) batchOf(ops []messages.Op) {
	if len(ops) == 1 {
		q.send(ops[0])
		return
	}
	batch := &messages.SubmitBatch{}
	for _, op := range ops {
		q.seq++
		batch.Submits = append(batch.Submits, &messages.Submit{Op: op, ID: messages.OpID{Owner: q.pid, Seq: q.seq}})
	}
	q.r.system.Root.Send(q.r.pid, batch)
}
