package simulation

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/sim"
)

// book is a history without a subsystem, and one ticket in its ledger.
type book struct {
	*history
	r *requester
	t *ticket
}

func newBook() *book {
	h := newHistory(nil, 1, Options{})
	r := &requester{history: h, index: 1, read: make(map[*file]int64)}
	b := &book{history: h, r: r, t: &ticket{number: 1, op: &messages.Timeout{}, id: messages.OpID{Seq: 1}, owner: r, reply: r}}
	h.cast = []*requester{r}
	h.ledger.tickets = []*ticket{b.t}
	return b
}

func (b *book) completion() *messages.Completion {
	return &messages.Completion{Token: b.t, ID: b.t.id, Op: b.t.op}
}

func TestLedgerNotices(t *testing.T) {
	unknown := &messages.OpError{Op: "timeout", Err: messages.ErrOutcomeUnknown}
	for what, wrong := range map[string]func(*book){
		"was answered twice": func(b *book) {
			b.r.completed(b.completion(), false)
			b.r.completed(b.completion(), false)
		},
		"which is requester 1's":   func(b *book) { (&requester{history: b.history, index: 2}).completed(b.completion(), false) },
		"is nobody's":              func(b *book) { b.r.completed(&messages.Completion{}, false) },
		"was answered in a batch":  func(b *book) { b.r.completed(b.completion(), true) },
		"got an update":            func(b *book) { c := b.completion(); c.More = true; b.r.completed(c, false) },
		"was answered as":          func(b *book) { c := b.completion(); c.ID.Seq++; b.r.completed(c, false) },
		"with another operation":   func(b *book) { c := b.completion(); c.Op = &messages.Timeout{}; b.r.completed(c, false) },
		"the storage that it lent": func(b *book) { b.t.into = new(messages.Completion); b.r.completed(b.completion(), false) },
		"with an unknown outcome":  func(b *book) { c := b.completion(); c.Err = unknown; b.r.completed(c, false) },
		"was never answered":       func(b *book) { b.ledger.settle() },
		"was refused after its answer": func(b *book) {
			b.r.completed(b.completion(), false)
			b.r.refused(&messages.Refused{Token: b.t, Op: b.t.op, Err: messages.ErrRefused})
		},
		"was refused for": func(b *book) { b.r.refused(&messages.Refused{Token: b.t, Op: b.t.op, Err: unix.EIO}) },
		"was answered before #1": func(b *book) {
			b.ledger.cancelled(b.r, &messages.CancelResult{Token: &ask{what: "cancel", by: b.r, reply: b.r, target: b.t}, Outcome: messages.Cancelled})
		},
		"its handle's owner has stopped": func(b *book) { b.t.late = true; b.r.completed(b.completion(), false) },
		"written to after its answer": func(b *book) {
			op := &messages.Read{Buf: make([]byte, 10)}
			b.t.op = op
			b.r.completed(b.completion(), false)
			op.Buf[3]++
			b.ledger.look()
		},
		"storage of #1 (timeout) was written to": func(b *book) {
			b.t.into = b.completion()
			b.r.completed(b.t.into, false)
			b.t.into.N++
			b.ledger.settle()
		},
		"while the kernel has its buffer": func(b *book) {
			k, _ := b.world.Open()
			op := &messages.Read{Buf: make([]byte, 10)}
			b.t.op = op
			fd, _, _ := b.world.Duplicate(b.world.NewFile("/fast/s1", 0))
			request := ring.PrepRead(fd, op.Buf, ring.StreamOffset)
			k.Push(ring.MakeUserData(ring.KindOp, 1, 1), &request)
			b.r.completed(b.completion(), false)
		},
		"read something else at byte 1": func(b *book) {
			b.t.file = &file{node: sim.NodeAt("/fast/f1")}
			op := &messages.Read{Buf: []byte{b.t.file.node.Byte(5), b.t.file.node.Byte(6) + 1}, Offset: 5}
			b.t.op = op
			c := b.completion()
			c.N = 2
			b.r.completed(c, false)
		},
		"read byte 0 after byte 8": func(b *book) {
			b.t.file = &file{node: sim.NodeAt("/fast/s1")}
			for _, at := range []int64{8, 0} {
				op := &messages.Read{Buf: make([]byte, 16)}
				for i := range op.Buf {
					op.Buf[i] = b.t.file.node.Byte(at + int64(i))
				}
				b.t.op, b.t.told = op, false
				c := b.completion()
				c.N = 16
				b.r.completed(c, false)
			}
		},
		"books:":                func(b *book) { b.balanced(messages.Counters{Submitted: 1}) },
		"stale completions":     func(b *book) { b.balanced(messages.Counters{Stale: 1}) },
		"ring owner failed: oh": func(b *book) { b.judge("oh") },
	} {
		t.Run(what, func(t *testing.T) {
			b := newBook()
			wrong(b)
			require.True(t, b.world.Failed(), "nothing was noticed")
			require.ErrorContains(t, b.world.Violations()[0], what)
		})
	}
}

func TestLedgerAccepts(t *testing.T) {
	b := newBook()
	b.r.completed(b.completion(), false)
	b.ledger.settle()
	b.judge(errCrash)
	b.judge(&ring.FatalError{Err: unix.EIO})
	require.Empty(t, b.world.Violations())

	b = newBook()
	b.r.refused(&messages.Refused{Token: b.t, Op: b.t.op, Err: messages.ErrRefused})
	b.ledger.settle()
	require.Empty(t, b.world.Violations())

	b = newBook()
	b.died(b.r)
	b.ledger.settle()
	require.Empty(t, b.world.Violations(), "to the dead nothing is owed")
}

func TestOrderOfTransfers(t *testing.T) {
	b := newBook()
	stream := &sim.Description{Node: sim.NodeAt("/fast/s1")}
	requests := make([]ring.Request, 2)
	for i := range requests {
		buf := make([]byte, 8)
		b.ledger.expect(&ticket{number: i + 1, owner: b.r, op: &messages.Read{Buf: buf}})
		requests[i] = ring.PrepRead(0, buf, ring.StreamOffset)
	}
	b.ledger.took(stream, &requests[0])
	b.ledger.took(stream, &requests[0]) // once more, for a retry
	b.ledger.took(stream, &requests[1])
	require.Empty(t, b.world.Violations())
	b.ledger.took(&sim.Description{Node: sim.NodeAt("/fast/f1")}, &requests[0]) // has no order
	require.Empty(t, b.world.Violations())
	b.ledger.took(stream, &requests[0])
	require.ErrorContains(t, b.world.Violations()[0], "#1 (read) was issued after #2")
}

func TestStreamOffset(t *testing.T) {
	node := sim.NodeAt("/fast/s1")
	for at := range int64(40) {
		data := make([]byte, 20)
		for i := range data {
			data[i] = node.Byte(at + int64(i))
		}
		got, ok := streamOffset(&node, data)
		require.True(t, ok)
		require.Equal(t, at, got)
	}
	_, ok := streamOffset(&node, make([]byte, 20))
	require.False(t, ok)
}
