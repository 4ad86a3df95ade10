package ring

// expire is the end of a draining ring's time: what it has is asked to stop,
// or given up.
func (m *machine) expire(k int) {
	l := &m.links[k]
	if !l.told {
		m.cancelLink(k)
		return
	}
	l.forfeited = true
	for i := range m.ops() {
		m.window(inForfeits)
		if m.slots[i].linkedTo(k) {
			m.forfeitSlot(i)
		}
	}
}

// hopeless reports whether a ring's completions will not all come, and nothing
// is lost if they do not.
func (m *machine) hopeless(k int) bool {
	l := &m.links[k]
	if !l.forfeited || l.abandoned || m.requests[k] == 0 || l.stuck {
		return false
	}
	return l.lost || l.dead && !m.mayBring(k)
}

// mayBring reports whether a ring has operations of which only the completion
// tells what became of a descriptor.
func (m *machine) mayBring(k int) bool {
	for i := range m.ops() {
		s := &m.slots[i]
		switch {
		case !s.linkedTo(k):
		case s.errand == closing && !m.bugs.buriesCloses:
			return true
		case (s.errand == opening || s.errand == accepting) && !m.bugs.buriesOpens:
			return true
		}
	}
	return false
}

// abandon closes a ring that has requests outstanding.
func (m *machine) abandon(k int) {
	l := &m.links[k]
	l.abandoned = true
	for i := range m.ops() {
		s := &m.slots[i]
		if int(s.link) != k {
			continue
		}
		must(s.opAt != ended || s.opRes != brought || l.lost, "a ring is closed with a descriptor in a CQE")
		if s.opAt == ended {
			s.opAt, s.opRes = nowhere, noOutcome
		}
		if s.auxAt == ended {
			s.auxAt, s.auxNo = nowhere, false
		}
	}
}

// letGo is the canary's word: the kernel has let go of a closed ring. Whether
// it had performed what was there nobody knows.
func (m *machine) letGo(k int, performed bool) {
	l := &m.links[k]
	l.gone = true
	l.timer, l.disarmer = nowhere, nowhere
	for i := range m.ops() {
		s := &m.slots[i]
		if int(s.link) != k || !s.onRing() {
			continue
		}
		if s.op && performed {
			brings := s.errand == opening || s.errand == accepting
			must(l.lost || !brings, "a closed ring brings a descriptor that nobody sees")
			s.fd = s.fd && s.errand != closing
		}
		s.opAt, s.auxAt = nowhere, nowhere
	}
}

// bury ends what an abandoned ring had in flight.
func (m *machine) bury(k int) {
	for i := range m.ops() {
		s := &m.slots[i]
		if s.aux && int(s.link) == k {
			m.apply(i, m.table.completedCancel(s))
		}
	}
	for i := range m.ops() {
		s := &m.slots[i]
		if !s.linkedTo(k) {
			continue
		}
		m.window(inBury)
		res := nothingDone
		if s.errand == closing && !m.bugs.closeRepeated {
			// It must not be done again: the number may be another file's. So
			// its descriptor may be left open, for which only the kernel's own
			// loss is an excuse.
			must(!s.fd || m.links[k].lost, "a close is given up")
			res, s.fd = plain, false
		}
		m.finish(i, res)
	}
	m.requests[k] = 0
	m.closeLink(k)
}

// closeLink forgets a ring.
func (m *machine) closeLink(k int) {
	must(m.outstanding(k) == 0, "a ring is closed with requests outstanding")
	copy(m.requests[k:linksMax], m.requests[k+1:linksMax])
	m.requests[linksMax-1] = 0
	m.removeLink(k)
}

// outstanding is how many requests the kernel has or will have of a link.
func (m *machine) outstanding(k int) (n int) {
	for i := range m.ops() {
		s := &m.slots[i]
		if int(s.link) != k {
			continue
		}
		if s.opAt != nowhere {
			n++
		}
		if s.auxAt != nowhere {
			n++
		}
	}
	if k < linksMax {
		l := &m.links[k]
		if l.timer != nowhere {
			n++
		}
		if l.disarmer != nowhere {
			n++
		}
	}
	return n
}

// beginStop is the actor's stop: what is in flight is asked to stop.
func (m *machine) beginStop() {
	m.mode = without
	if m.stage >= stageCancelling {
		return
	}
	m.stage = stageCancelling
	m.repair()
	for i := range m.ops() {
		m.window(inCancels)
		switch m.slots[i].state {
		case Free, Settling, Quarantined:
		default:
			m.cancelSlot(i)
		}
	}
}

// forfeitAll gives up whatever has not ended within the grace.
func (m *machine) forfeitAll() {
	m.graced = true
	for k := range int(m.n) {
		m.links[k].forfeited = true
	}
	for i := range m.ops() {
		m.window(inForfeits)
		s := &m.slots[i]
		if s.errand == closing && s.state == Queued {
			s.inReady = false
			m.apply(i, m.table.apply(s, Cancel))
			continue
		}
		m.forfeitSlot(i)
	}
	m.deliver()
}

// becomeStopped: everything is answered.
func (m *machine) becomeStopped() {
	m.stage = stageStopped
	m.fence(false)
	for k := range int(m.n) {
		// Nothing that they have is anybody's any more.
		m.links[k].forfeited = !m.bugs.lostKept || m.links[k].forfeited
	}
}

// becomeGone: nothing is left.
func (m *machine) becomeGone() {
	for i := range m.ops() {
		must(m.slots[i] == slotWorld{}, "something is left at the end")
	}
	m.world = world{frame: frame{stage: stageGone}}
}
