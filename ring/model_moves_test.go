package ring

import "fmt"

// class says who makes a move, and so whether it must come.
type class uint8

const (
	// byEngine: it comes, sooner or later.
	byEngine class = iota
	// byClock: a time limit passes, or the subsystem is shut down in the end.
	byClock
	// byCancel: the kernel answers a cancel, which it does at once.
	byCancel
	// byKernel: the kernel ends what it does for an operation. If a device hangs
	// it does not come.
	byKernel
	// byFate: it may come or not.
	byFate
)

// dimension is a kind of thing that can happen in a configuration.
type dimension uint32

const (
	cancels   dimension = 1 << iota // requesters cancel, and wait for the result
	deadlines                       // deadlines come
	handles                         // all on a handle is cancelled, also what has no owner any more
	deaths                          // owners die, or abandon an operation
	crashes                         // the ring owner fails, and is started again
	seen                            // it fails between an entry in the table and the queue's head
	busy                            // the kernel takes no submissions for the moment
	retries                         // results that mean "not done"
	refusals                        // rings fail for good
	losses                          // and lose completions
	hangs                           // enters do not return
	timers                          // kernel timers, and their cancels
	makeshift                       // the ring owner goes on without a ring, or with another backend
	finishes                        // the intake ends before the rest
	queues                          // CQEs wait in their queue, where otherwise they are reaped as they come
	ordered                         // slots are told apart
)

// label says what a move is.
type label struct {
	what string
	slot int8
	link int8
	torn bool
}

const none = -1

// moves makes all moves that are possible in a world. Between any two of them
// anything else can come: the engine's own order within a turn is one of many.
// Where something depends on that order the move's condition says so.
func (m *machine) moves() {
	m.engineMoves()
	for k := range int(m.from.n) {
		m.linkMoves(k)
	}
	for i := range m.slotCount {
		s := &m.from.slots[i]
		if i > 0 && *s == m.from.slots[i-1] && !m.has(ordered) {
			continue // its moves lead to the same
		}
		if s.state == Free {
			m.submitMoves(i)
		} else {
			m.requesterMoves(i, s)
			m.slotMoves(i, s)
			m.kernelMoves(i, s)
		}
		m.staleMoves(i, s)
	}
	m.lifeMoves()
}

// submitMoves: a Submit takes a free slot.
func (m *machine) submitMoves(i int) {
	w := m.from
	if w.mode == without || w.stage != stageServing {
		return
	}
	for _, e := range m.errands {
		if w.stranded && e != closing {
			continue // refused
		}
		m.try(byFate, label{what: "submit " + e.String(), slot: int8(i), link: none}, func() { m.submit(i, e, false) })
		if m.has(crashes) && w.mode == up {
			m.try(byFate, label{what: "submit, and fail before it is on its way: " + e.String(), slot: int8(i), link: none}, func() { m.submit(i, e, true) })
		}
	}
}

func (m *machine) submit(i int, e errand, fails bool) {
	s := &m.slots[i]
	s.errand, s.state, s.fd = e, Queued, e == closing
	switch {
	case !fails:
		m.dispatch(i)
	case e == adopting: // the latest moment
		m.table.issue(s)
		m.failed()
	default:
		m.failed()
	}
}

// requesterMoves are what those do for whom an operation runs.
func (m *machine) requesterMoves(i int, s *slotWorld) {
	open := s.state != Due && s.state != Settling
	linked := !s.orphan && !s.answered
	if m.has(cancels) && linked {
		m.try(byFate, label{what: "cancel", slot: int8(i), link: none}, func() {
			m.waitFor(i)
			m.window(inMessage)
			m.cancelSlot(i)
		})
	}
	if m.has(deadlines) && open {
		m.try(byFate, label{what: "deadline", slot: int8(i), link: none}, func() { m.cancelSlot(i) })
	}
	if m.has(handles) && open && !linked && (s.state != Quarantined || m.bugs.waitersKept) {
		m.try(byFate, label{what: "cancel all of its handle", slot: int8(i), link: none}, func() {
			m.waitFor(i)
			m.cancelSlot(i)
		})
	}
	if m.has(deaths) && linked {
		m.try(byFate, label{what: "owner dies", slot: int8(i), link: none}, func() { m.orphanSlot(i) })
		if m.has(cancels) {
			m.try(byFate, label{what: "abandon", slot: int8(i), link: none}, func() {
				m.waitFor(i)
				m.orphanSlot(i)
			})
		}
	}
}

// slotMoves are what the engine does for one slot.
func (m *machine) slotMoves(i int, s *slotWorld) {
	if k := m.from.current(); s.inReady && k >= 0 {
		m.try(byEngine, label{what: "issue", slot: int8(i), link: int8(k)}, func() { m.issue(i, k) })
	}
	if s.inDue && !m.blocked {
		m.try(byEngine, label{what: "answer", slot: int8(i), link: none}, func() { m.answer(i) })
	}
	if !s.op || !s.onRing() || s.state != Cancelling && s.state != Cancelled {
		return
	}
	if k := int(s.link); s.unasked && !m.from.links[k].dead && !m.from.links[k].stuck {
		m.try(byEngine, label{what: "ask the kernel to cancel", slot: int8(i), link: int8(k)}, func() { m.askOne(i, k) })
	} else if !s.unasked {
		// The list still had its number, from an earlier operation.
		m.try(byFate, label{what: "will be asked again", slot: int8(i), link: int8(k)}, func() { m.slots[i].unasked = true })
	}
}

// String is the move with its slot and ring.
func (l label) String() string {
	text := l.what
	if l.slot != none {
		text += fmt.Sprintf(", slot %d", l.slot)
	}
	switch l.link {
	case none:
	case inLane:
		text += ", in the lane"
	default:
		text += fmt.Sprintf(", ring %d", l.link)
	}
	if l.torn {
		text += ", and fail in the middle"
	}
	return text
}
