package simulation

import (
	"bytes"

	"github.com/ringmaster-io/ringmaster/messages"
)

// guard is memory that is the requester's again after an answer. Nobody else
// may write to it.
type guard struct {
	ticket *ticket
	buf    []byte
	into   *messages.Completion
}

const (
	guardByte = 0xdd
	// guardsKept is how many buffers are watched at a time, the latest ones.
	guardsKept = 64
	// guardsLooked is how many of them are looked at after each step.
	guardsLooked = 3
)

var guardPage = bytes.Repeat([]byte{guardByte}, 128<<10)

// watch has the memory of a ticket watched.
func (l *ledger) watch(t *ticket) {
	for _, b := range buffersOf(t.op) {
		if len(b) > 0 {
			copy(b, guardPage)
			l.guards = append(l.guards, guard{ticket: t, buf: b})
		}
	}
	if t.into != nil {
		*t.into = messages.Completion{N: guardByte}
		l.guards = append(l.guards, guard{ticket: t, into: t.into})
	}
	if extra := len(l.guards) - guardsKept; extra > 0 {
		l.guards = append(l.guards[:0], l.guards[extra:]...)
	}
}

// look looks at some of what is watched.
func (l *ledger) look() {
	for range min(guardsLooked, len(l.guards)) {
		l.next = (l.next + 1) % len(l.guards)
		l.lookAt(l.guards[l.next])
	}
}

func (l *ledger) lookAtAll() {
	for _, g := range l.guards {
		l.lookAt(g)
	}
}

func (l *ledger) lookAt(g guard) {
	switch {
	case g.into != nil && (g.into.N != guardByte || g.into.Op != nil || g.into.Err != nil):
		l.world.Violate("the storage of %s was written to after its answer", g.ticket)
	case !bytes.Equal(g.buf, guardPage[:len(g.buf)]):
		l.world.Violate("the buffer of %s was written to after its answer", g.ticket)
	}
}
