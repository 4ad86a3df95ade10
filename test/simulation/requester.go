package simulation

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring/sim"
)

// requester is one actor of the cast. It does what it is told to (act), and
// hands what it gets to the ledger.
type requester struct {
	history *history
	index   int
	pid     *actor.PID
	name    string
	direct  bool
	dying   bool // was told to stop
	stopped bool
	buried  bool // has stopped, and that was told to everybody
	posting bool // is about to post something, and preempted perhaps
	hungry  bool // was refused for want of room, and is to be told of it
	seq     uint64
	tickets []*ticket // its own, the latest last
	files   []*file   // handles that it holds
	// read is how far it has read each stream.
	read    map[*file]int64
	actors  []*actor.PID // its operation actors
	spawned []*spawn     // what these do
}

// act is something that a requester does in its own turn.
type act func(actor.Context, *requester)

// file is a handle.
type file struct {
	handle messages.Handle
	node   sim.Node
	flags  int
	owner  *requester
	closed bool // somebody asked for that
	given  bool // its owner may be another by now
}

// String names the requester.
func (r *requester) String() string {
	if r == nil {
		return "nobody"
	}
	return fmt.Sprintf("requester %d", r.index)
}

// Receive implements actor.Actor.
func (r *requester) Receive(ctx actor.Context) {
	defer func() {
		if p := recover(); p != nil {
			r.history.world.Violate("%s failed: %v", r, p)
		}
	}()
	switch m := ctx.Message().(type) {
	case act:
		m(ctx, r)
	case *messages.Completion:
		r.completed(m, false)
	case *messages.CompletionBatch:
		for _, c := range m.Completions {
			r.completed(c, true)
		}
	case *messages.Refused:
		r.refused(m)
	case *messages.CancelResult:
		r.history.ledger.cancelled(r, m)
	case *messages.Ready:
		r.history.world.Note("requester %d is told that there is room", int64(r.index))
		r.hungry = false
	case *messages.Inspection:
		r.inspected(m)
	case *actor.Stopping:
		r.dying = true
		r.history.died(r)
	case *actor.Stopped:
		r.stopped = true
	case error:
		r.history.futureFailed(m)
	default:
		r.done(m)
	}
}

func (r *requester) completed(c *messages.Completion, inBatch bool) {
	h := r.history
	t := h.ledger.answer(r, c, inBatch)
	if t == nil || h.world.Failed() {
		return
	}
	if t.late {
		h.world.Violate("%s was not refused: its handle's owner has stopped", t)
	}
	h.coverage.answered(t.op, c.Err)
	if errors.Is(c.Err, messages.ErrOutcomeUnknown) {
		return
	}
	if c.Err == nil {
		r.check(t, c)
	}
	if c.Err == nil && !c.Handle.IsZero() {
		r.opened(t.owner, c.Handle, t.node, flagsOf(t.op))
	}
	h.ledger.watch(t)
}

// opened takes a handle, which is owner's.
func (r *requester) opened(owner *requester, handle messages.Handle, node sim.Node, flags int) {
	r.files = append(r.files, &file{handle: handle, node: node, flags: flags, owner: owner})
}

func (r *requester) refused(m *messages.Refused) {
	h := r.history
	t := h.ledger.refusal(r, m)
	if t == nil || h.world.Failed() {
		return
	}
	h.coverage.answered(t.op, m.Err)
	h.ledger.watch(t)
	if room := errors.Is(m.Err, messages.ErrOverloaded) || errors.Is(m.Err, messages.ErrQuota); room && t.owner == r && t.reply == r {
		r.hungry = true
	}
}

// done takes the OpDone of an operation actor, of whatever type.
func (r *requester) done(message any) {
	switch m := message.(type) {
	case *actors.OpDone[messages.None]:
		r.doneAs(m.Token, m.Op, m.Err)
	case *actors.OpDone[[]byte]:
		r.doneAs(m.Token, m.Op, m.Err)
	case *actors.OpDone[int]:
		r.doneAs(m.Token, m.Op, m.Err)
	case *actors.OpDone[*messages.Attributes]:
		r.doneAs(m.Token, m.Op, m.Err)
	case *actors.OpDone[messages.Handle]:
		s := r.doneAs(m.Token, m.Op, m.Err)
		if s != nil && m.Err == nil {
			r.opened(r, m.Value, s.node, flagsOf(s.op))
		}
	}
}

func (r *requester) doneAs(token any, op messages.Op, err error) *spawn {
	return r.history.ledger.done(r, token, op, err)
}

// check looks whether a result is that of the operation.
func (r *requester) check(t *ticket, c *messages.Completion) {
	w := r.history.world
	switch op := t.op.(type) {
	case *messages.Read:
		r.checkRead(t, op.Buf[:min(c.N, len(op.Buf))], op.Offset)
	case *messages.Write:
		if c.N > len(op.Buf) {
			w.Violate("%s wrote %d of %d bytes", t, c.N, len(op.Buf))
		}
	case *messages.Stat:
		if a, ok := c.Value.(*messages.Attributes); !ok || a.Inode != t.node.Inode {
			w.Violate("%s is about another file", t)
		}
	case *messages.ReadLink:
		if c.Value != t.node.Target() {
			w.Violate("%s is about another file", t)
		}
	}
}

// checkRead looks whether what was read is what the file holds there. On a
// stream it looks whether that is behind what was read before.
func (r *requester) checkRead(t *ticket, data []byte, offset int64) {
	w, f := r.history.world, t.file
	if f == nil || len(data) == 0 {
		return
	}
	if !f.node.HasPositions() {
		if len(data) < 16 || t.reply != t.owner {
			return // does not tell where it is from
		}
		at, ok := streamOffset(&f.node, data)
		if !ok {
			w.Violate("%s read what was never written", t)
		}
		if before := r.read[f]; at < before {
			w.Violate("%s read byte %d after byte %d", t, at, before)
		}
		r.read[f] = at
		return
	}
	for i, b := range data {
		if b != f.node.Byte(offset+int64(i)) {
			w.Violate("%s read something else at byte %d of %d", t, i, len(data))
			return
		}
	}
}

// streamOffset finds out where in a stream a part of it is from.
func streamOffset(n *sim.Node, data []byte) (int64, bool) {
	for shift := range 8 {
		word := binary.LittleEndian.Uint64(data[shift:]) ^ n.Inode
		at := int64(word*inverse)<<3 - int64(shift)
		if at >= 0 && at < 1<<40 && n.Byte(at) == data[0] && n.Byte(at+int64(len(data))-1) == data[len(data)-1] {
			return at, true
		}
	}
	return 0, false
}

// inverse undoes the multiplication in sim.Node.Byte.
const inverse = 0xf1de83e19937733d

func (r *requester) inspected(m *messages.Inspection) {
	a, ok := m.Token.(*ask)
	if !ok || a.told || a.reply != r {
		r.history.world.Violate("%s got an inspection that is not its own", r)
		return
	}
	a.told = true
	r.history.balanced(m.Counters)
}
