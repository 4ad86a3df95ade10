package simulation

import (
	"errors"
	"fmt"
	"os"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/sim"
)

// ledger is what the requesters know of their operations, and what they have
// been told. It judges each message as it comes.
type ledger struct {
	world   *sim.World
	tickets []*ticket
	asks    []*ask
	spawns  []*spawn
	guards  []guard
	next    int // guard that is looked at next
	answers uint64
	unknown uint64
	// buffers says whose a buffer is, and turns who was served last on a file
	// that has an order.
	buffers map[*byte]*ticket
	turns   map[turn]int
}

// turn is one direction of an open file, and one who uses it.
type turn struct {
	file   *sim.Description
	writes bool
	by     *requester
}

// expect remembers the buffers of a ticket.
func (l *ledger) expect(t *ticket) {
	for _, b := range buffersOf(t.op) {
		if end := sim.End(b); end != nil {
			l.buffers[end] = t
		}
	}
}

// took is told of each transfer that a kernel begins with. On a file that has
// an order, those of one requester must come in the order in which they were
// submitted.
func (l *ledger) took(d *sim.Description, r *ring.Request) {
	writes := r.Code == ring.CodeWrite || r.Code == ring.CodeWriteV
	if d.Node.HasPositions() && (!writes || d.Flags&os.O_APPEND == 0) {
		return
	}
	bufs := [][]byte{r.Buf}
	if r.Mem != nil {
		bufs = r.Bufs()
	}
	for _, b := range bufs {
		t := l.buffers[sim.End(b)]
		if t == nil || t.owner == nil {
			continue
		}
		mine := turn{d, writes, t.owner}
		if before := l.turns[mine]; t.number < before {
			l.world.Violate("%s was issued after #%d", t, before)
		}
		l.turns[mine] = t.number
		return
	}
}

// ticket is one Submit.
type ticket struct {
	number int
	op     messages.Op
	id     messages.OpID
	owner  *requester    // nil if it is none of the cast
	reply  *requester    // who is to be answered
	others [2]*requester // who may be told of a refusal instead
	future bool
	// byName: its reply address may mean whoever has the name by now.
	byName bool
	into   *messages.Completion
	batch  bool
	file   *file    // that it is about
	late   bool     // its file's owner has been dead for long
	node   sim.Node // that it opens

	told     bool
	forgiven string // why no answer is owed
}

// answer takes a terminal Completion.
func (l *ledger) answer(r *requester, c *messages.Completion, inBatch bool) *ticket {
	t, ok := c.Token.(*ticket)
	if !ok {
		l.world.Violate("%s got a completion that is nobody's", r)
		return nil
	}
	l.answers++
	l.world.Note("answer to #%d", int64(t.number))
	switch {
	case r != t.reply && !(t.byName && r.name == t.reply.name):
		l.world.Violate("%s got the answer of %s, which is %s's", r, t, t.reply)
	case c.More:
		l.world.Violate("%s got an update", t)
	case t.told:
		l.world.Violate("%s was answered twice", t)
	case inBatch && !t.batch:
		l.world.Violate("%s was answered in a batch", t)
	case t.into != nil && t.into != c:
		l.world.Violate("%s was not answered in the storage that it lent", t)
	case c.ID.Seq != t.id.Seq:
		l.world.Violate("%s was answered as %v", t, c.ID)
	}
	t.told = true
	if errors.Is(c.Err, messages.ErrOutcomeUnknown) {
		l.unknown++
		if c.Op != nil {
			l.world.Violate("%s came back with an unknown outcome", t)
		}
		return t
	}
	if c.Op != t.op {
		l.world.Violate("%s came back with another operation", t)
	}
	l.back(t)
	return t
}

// refusal takes a Refused.
func (l *ledger) refusal(r *requester, m *messages.Refused) *ticket {
	if a, ok := m.Token.(*ask); ok && a.reply == r && !a.told {
		a.told = true // an inspection of what has ended
		return nil
	}
	t, ok := m.Token.(*ticket)
	if !ok {
		if m.Token != nil {
			l.world.Violate("%s got a refusal that is nobody's", r)
		}
		return nil // of a message that was none
	}
	l.world.Note("refusal of #%d", int64(t.number))
	switch {
	case r != t.reply && r != t.others[0] && r != t.others[1] && !(t.byName && r.name == t.reply.name):
		l.world.Violate("%s got the refusal of %s, which is %s's", r, t, t.reply)
	case t.told:
		l.world.Violate("%s was refused after its answer", t)
	case !errors.Is(m.Err, messages.ErrRefused):
		l.world.Violate("%s was refused for %v", t, m.Err)
	case m.Op != t.op:
		l.world.Violate("%s was refused with another operation", t)
	}
	t.told = true
	l.back(t)
	return t
}

// back looks at the buffers that are the requester's again: the kernel must
// have let go of them, and must not touch them any more.
func (l *ledger) back(t *ticket) {
	for _, b := range buffersOf(t.op) {
		if l.world.Owned(b) {
			l.world.Violate("%s was answered while the kernel has its buffer", t)
		}
	}
}

// buffersOf are an operation's buffers.
func buffersOf(op messages.Op) [][]byte {
	if isNil(op) {
		return nil
	}
	switch op := op.(type) {
	case *messages.Read:
		return [][]byte{op.Buf}
	case *messages.Write:
		return [][]byte{op.Buf}
	case *messages.ReadV:
		return op.Bufs
	case *messages.WriteV:
		return op.Bufs
	default:
		return nil
	}
}

// forgive says that no answer is owed any more to tickets that are not
// answered yet. One may still come.
func (l *ledger) forgive(why string, which func(*ticket) bool) {
	for _, t := range l.tickets {
		if !t.told && t.forgiven == "" && which(t) {
			t.forgiven = why
		}
	}
}

// settle looks, at the end, whether everything was answered.
func (l *ledger) settle() {
	for _, t := range l.tickets {
		if !t.told && t.forgiven == "" {
			l.world.Violate("%s was never answered", t)
			return
		}
	}
	for _, a := range l.asks {
		if !a.told && a.forgiven == "" {
			l.world.Violate("%s was never answered", a)
			return
		}
	}
	for _, s := range l.spawns {
		if !s.told && s.forgiven == "" {
			l.world.Violate("%s was never answered", s)
			return
		}
	}
	l.lookAtAll()
}

// String names the ticket.
func (t *ticket) String() string {
	name := "nil operation"
	if t.op != nil && !isNil(t.op) {
		name = t.op.Name()
	}
	return fmt.Sprintf("#%d (%s)", t.number, name)
}

// ask is one Cancel, CancelOwner, CancelHandle or Inspect.
type ask struct {
	number   int
	what     string
	by       *requester
	reply    *requester
	target   *ticket // of a Cancel
	byName   bool    // as a ticket's
	told     bool
	forgiven string
}

// String names the ask.
func (a *ask) String() string { return fmt.Sprintf("%s %d", a.what, a.number) }

// cancelled takes a CancelResult.
func (l *ledger) cancelled(r *requester, m *messages.CancelResult) {
	a, ok := m.Token.(*ask)
	if !ok {
		l.world.Violate("%s got the result of a cancellation that is nobody's", r)
		return
	}
	l.world.Note("result of cancellation %d: "+m.Outcome.String(), int64(a.number))
	switch {
	case r != a.reply && !(a.byName && r.name == a.reply.name):
		l.world.Violate("%s got the result of %s, which is %s's", r, a, a.reply)
	case a.told:
		l.world.Violate("%s was answered twice", a)
	}
	a.told = true
	// Whoever asks after he has submitted hears of the one after the other.
	// Another's mailbox may have the answer, or will have it at any moment.
	if t := a.target; t != nil && !t.told && t.forgiven == "" && t.reply == r && t.owner == a.by {
		l.world.Violate("%s was answered before %s", a, t)
	}
}

// spawn is one operation actor.
type spawn struct {
	number   int
	parent   *requester
	op       messages.Op
	node     sim.Node
	told     bool
	forgiven string
}

// String names the operation actor.
func (s *spawn) String() string {
	return fmt.Sprintf("operation actor %d (%s)", s.number, s.op.Name())
}

// done takes an OpDone.
func (l *ledger) done(r *requester, token any, op messages.Op, err error) *spawn {
	s, ok := token.(*spawn)
	if !ok {
		l.world.Violate("%s got an OpDone that is nobody's", r)
		return nil
	}
	l.world.Note("operation actor %d is done", int64(s.number))
	switch {
	case s.parent != r:
		l.world.Violate("%s got the OpDone of %s", r, s)
	case s.told:
		l.world.Violate("%s was done twice", s)
	case errors.Is(err, messages.ErrOutcomeUnknown):
		if op != nil {
			l.world.Violate("%s came back with an unknown outcome", s)
		}
	case op != s.op:
		l.world.Violate("%s came back with another operation", s)
	default:
		for _, b := range buffersOf(op) {
			if l.world.Owned(b) {
				l.world.Violate("%s is done while the kernel has its buffer", s)
			}
		}
	}
	s.told = true
	return s
}
