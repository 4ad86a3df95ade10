package ring

// inspect checks what must be so in every state, and gives what is not.
func (s *search) inspect(w *world) string {
	for i := range s.ops() {
		if what := s.inspectSlot(w, &w.slots[i]); what != "" {
			return what
		}
	}
	if s.engaged || w.stage == stageGone {
		return ""
	}
	for i := range s.ops() {
		if what := s.inspectIdle(w, &w.slots[i]); what != "" {
			return what
		}
	}
	return ""
}

// inspectSlot: what the table, the engine and the kernel have agrees.
func (s *search) inspectSlot(w *world, o *slotWorld) string {
	closed := o.link < linksMax && w.links[o.link].abandoned
	switch {
	case o.state == Free && (o.op || o.aux || o.opAt != nowhere || o.auxAt != nowhere):
		return "a free slot has a request outstanding"
	case o.op != (o.opAt != nowhere) && !closed:
		return "the table and the kernel do not agree about an operation's request"
	case o.aux != (o.auxAt != nowhere) && !closed:
		return "the table and the kernel do not agree about a cancel's request"
	case o.answered && o.state != Settling && o.state != Quarantined:
		return "an operation goes on after its answer"
	case (o.res == brought) != o.fd && o.errand != closing:
		return "the engine and the kernel do not agree about a descriptor"
	}
	return ""
}

// inspectIdle: when the engine has nothing to do, everything waits for somebody
// else.
func (s *search) inspectIdle(w *world, o *slotWorld) string {
	switch o.state {
	case Queued:
		if !o.inReady || w.current() >= 0 || w.stranded {
			return "an operation is queued, and nobody issues it"
		}
	case Due, Forfeited:
		return "an answer is due, and nobody sends it"
	case Waiting:
		if o.waiter && o.errand != closing {
			return "somebody waits for a cancellation that was not asked for"
		}
	case Cancelling, Cancelled:
		if o.onRing() && o.opAt == taken && !o.asked {
			if l := &w.links[o.link]; !l.dead && !l.stuck && !l.abandoned {
				return "an operation is to be cancelled, and the kernel is not asked"
			}
		}
	case Settling:
		if o.opAt == nowhere && o.auxAt == nowhere && !(o.link < linksMax && w.links[o.link].abandoned) {
			return "a slot is at its end, and nobody frees it"
		}
	}
	return ""
}

// endings checks that the end is reached in any order of what must come: from
// every state, whatever happened before, if nothing more is done to it.
func (s *search) endings() {
	s.inevitable("some run never ends", byKernel, func(w *world) bool { return w.stage == stageGone })
	if s.finding != nil {
		return
	}
	s.inevitable("with a kernel that completes nothing, somebody waits for ever", byCancel, func(w *world) bool {
		for i := range w.slots {
			if w.slots[i].waiter {
				return false
			}
		}
		return w.stage >= stageStopped
	})
}

// inevitable finds a state from which a goal can be missed by moves up to a
// class: since the moves that lead there end, or go round in a circle.
func (s *search) inevitable(what string, upTo class, goal func(*world) bool) {
	back := s.reversed(upTo)
	good := make([]bool, len(s.states))
	var fresh []uint32
	for n, key := range s.states {
		w := s.unpack(key)
		if goal(&w) {
			good[n] = true
			fresh = append(fresh, uint32(n))
		}
	}
	// A state is good as soon as all its moves lead to good ones.
	for len(fresh) > 0 {
		n := fresh[len(fresh)-1]
		fresh = fresh[:len(fresh)-1]
		for _, from := range back.edges[back.first[n]:back.first[n+1]] {
			if back.moves[from]--; back.moves[from] == 0 && !good[from] {
				good[from] = true
				fresh = append(fresh, from)
			}
		}
	}
	for n := range good {
		if !good[n] {
			s.finding = &finding{what, s.astray(uint32(n), upTo, good)}
			return
		}
	}
}

// reverse is the moves up to a class, by where they lead.
type reverse struct {
	edges []uint32
	first []uint32
	moves []uint16 // how many each state has
}

func (s *search) reversed(upTo class) reverse {
	r := reverse{first: make([]uint32, len(s.states)+2), moves: make([]uint16, len(s.states))}
	s.eachEdge(upTo, func(from, to uint32) {
		r.first[to+2]++
		r.moves[from]++
	})
	for n := 2; n < len(r.first); n++ {
		r.first[n] += r.first[n-1]
	}
	r.edges = make([]uint32, r.first[len(r.first)-1])
	s.eachEdge(upTo, func(from, to uint32) {
		r.edges[r.first[to+1]] = from
		r.first[to+1]++
	})
	return r
}

func (s *search) eachEdge(upTo class, f func(from, to uint32)) {
	for n := range s.states {
		for _, e := range s.edges[s.first[n]:s.first[n+1]] {
			if class(e&3) <= upTo {
				f(uint32(n), e>>2)
			}
		}
	}
}

// astray tells the way to a state and on from it, until it ends or repeats
// itself.
func (s *search) astray(n uint32, upTo class, good []bool) []string {
	trace := append(s.trace(n), "and then, by itself:")
	seen := map[uint32]bool{}
	for !seen[n] {
		seen[n] = true
		next := n
		for _, e := range s.edges[s.first[n]:s.first[n+1]] {
			if class(e&3) <= upTo && !good[e>>2] {
				next = e >> 2
				break
			}
		}
		if next == n {
			return append(trace, "nothing more comes")
		}
		w := s.unpack(s.states[next])
		trace = append(trace, s.nameMove(n, s.states[next]).String()+"  ["+w.String()+"]")
		n = next
	}
	return append(trace, "and so on")
}
