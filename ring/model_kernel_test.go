package ring

// kernelMoves are what becomes of one slot's requests.
func (m *machine) kernelMoves(i int, s *slotWorld) {
	k := int(s.link)
	var l linkWorld
	if k < linksMax {
		l = m.from.links[k]
	}
	at := func(what string) label { return label{what: what, slot: int8(i), link: int8(k)} }
	if s.opAt == pushed {
		m.consume(at("kernel takes"), &l, func() { m.slots[i].opAt = taken })
	}
	if s.auxAt == pushed && s.opAt != pushed {
		m.consume(at("kernel takes the cancel of"), &l, func() { m.slots[i].auxAt, m.slots[i].asked = taken, true })
	}
	if l.gone || l.abandoned {
		return
	}
	if s.opAt == taken {
		m.completions(i, s, at, l.unless(byKernel))
	}
	if s.auxAt == taken {
		m.cancelCompletions(i, at, l.unless(byCancel))
	}
	if !m.blocked {
		m.reapMoves(i, s, at)
	}
}

// consume is a request that the kernel takes out of the submission queue: in an
// enter of ours, or in one that hangs and goes on.
func (m *machine) consume(at label, l *linkWorld, do func()) {
	switch {
	case l.stuck:
		m.try(byKernel, at, do)
	case l.broken == healthy && !l.dead && at.link != inLane:
		m.try(byEngine, at, do)
	case at.link == inLane:
		m.try(byKernel, at, do)
	}
}

// completions are the results that an operation's request may have.
func (m *machine) completions(i int, s *slotWorld, at func(string) label, comes class) {
	if s.more {
		return // reaped first; what else it did would only be later
	}
	m.complete(i, at("completes"), comes, plain)
	if s.errand == opening {
		m.complete(i, at("completes with a descriptor"), comes, brought)
	}
	if s.errand == closing || m.has(retries) && s.errand != blocking {
		m.complete(i, at("completes, not done"), byFate, nothingDone)
	}
	if s.errand == reading && m.has(retries) {
		m.complete(i, at("completes in part"), byFate, partDone)
	}
	if s.errand == accepting {
		m.try(byFate, at("update with a descriptor"), func() { m.slots[i].more = true })
	}
}

func (m *machine) complete(i int, at label, comes class, res outcome) {
	if m.has(queues) {
		m.try(comes, at, func() { m.slots[i].opAt, m.slots[i].opRes = ended, res })
		return
	}
	if m.blocked {
		return
	}
	m.reapOrFail(at, comes, func() { m.reapOp(i, res) }, func(k int) { m.slots[i].staleOp |= 1 << k })
}

func (m *machine) cancelCompletions(i int, at func(string) label, comes class) {
	for _, no := range [...]bool{false, true} {
		what, comes := at("cancel succeeds"), comes
		if no {
			what, comes = at("cancel finds nothing"), byFate
		}
		if m.has(queues) {
			m.try(comes, what, func() { m.slots[i].auxAt, m.slots[i].auxNo = ended, no })
			continue
		}
		if m.blocked {
			continue
		}
		m.reapOrFail(what, comes, func() { m.reapAux(i, no) }, func(k int) { m.slots[i].staleAux |= 1 << k })
	}
}

// reapMoves are for the CQEs that wait.
func (m *machine) reapMoves(i int, s *slotWorld, at func(string) label) {
	if s.opAt == ended {
		m.reapOrFail(at("reap"), byEngine, func() { m.reapOp(i, m.slots[i].opRes) }, func(k int) { m.slots[i].staleOp |= 1 << k })
	}
	if s.auxAt == ended {
		m.reapOrFail(at("reap the cancel of"), byEngine, func() { m.reapAux(i, m.slots[i].auxNo) }, func(k int) { m.slots[i].staleAux |= 1 << k })
	}
	if s.more && !m.staleOn(int(s.link)) {
		m.try(byEngine, at("reap an update"), func() { m.reapUpdate(i) })
		if m.bugs.updateTwice {
			m.try(byFate, at("reap an update, and fail"), func() {
				m.reapUpdate(i)
				m.slots[i].more, m.slots[i].moreAgain = true, true
				m.failed()
			})
		}
	}
}

// reapOrFail reaps a CQE; and also fails after the table has it and before its
// place is given back, so that it is seen again.
func (m *machine) reapOrFail(at label, comes class, reap func(), stale func(k int)) {
	if m.staleOn(int(at.link)) {
		return // that is before it in the queue
	}
	m.try(comes, at, reap)
	if m.has(seen) && at.link != inLane && m.from.mode != down {
		at.what += ", and fail"
		m.try(byFate, at, func() {
			reap()
			stale(int(at.link))
			m.failed()
		})
	}
}

// reapOp is the terminal CQE of an operation.
func (m *machine) reapOp(i int, res outcome) {
	s := &m.slots[i]
	must(m.table.found(s, KindOp, false), "an operation's completion finds nobody")
	m.requests[s.link]--
	s.opAt, s.opRes = nowhere, noOutcome
	switch {
	case res == brought:
		s.fd = true
	case res == plain && s.errand == closing:
		s.fd = false
	}
	m.finish(i, res)
}

// reapAux is the CQE of a cancel.
func (m *machine) reapAux(i int, no bool) {
	s := &m.slots[i]
	must(m.table.found(s, KindCancel, false), "a cancel's completion finds nobody")
	m.requests[s.link]--
	s.auxAt, s.auxNo = nowhere, false
	m.cancelAnswered(i, no)
}

// reapUpdate is a CQE with More, which brings a descriptor.
func (m *machine) reapUpdate(i int) {
	s := &m.slots[i]
	must(m.table.found(s, KindOp, false), "an update finds nobody")
	must(!s.moreAgain, "an update's descriptor is used twice")
	s.more = false
	effect := m.table.completed(s, Update)
	must(effect&(Deliver|Undo) != 0, "the descriptor of an update is leaked")
	must(effect&Deliver == 0 || !s.answered && !s.abandoned(), "an update is delivered to nobody")
	m.apply(i, effect&^Deliver)
}

// staleMoves: a CQE that the table has had is seen again.
func (m *machine) staleMoves(i int, s *slotWorld) {
	if m.blocked {
		return
	}
	for k := range int(m.from.n) {
		if s.staleOp&(1<<k) != 0 {
			m.try(byEngine, label{what: "reap once more", slot: int8(i), link: int8(k)}, func() {
				m.slots[i].staleOp &^= 1 << k
				must(!m.table.found(&m.slots[i], KindOp, true), "a stale completion hits an operation")
			})
		}
		if s.staleAux&(1<<k) != 0 {
			m.try(byEngine, label{what: "reap the cancel once more", slot: int8(i), link: int8(k)}, func() {
				m.slots[i].staleAux &^= 1 << k
				must(!m.table.found(&m.slots[i], KindCancel, true), "a stale completion hits a cancel")
			})
		}
	}
}

// staleOn reports whether a ring's queue begins with a CQE that was reaped.
func (m *machine) staleOn(k int) bool {
	if k >= linksMax {
		return false
	}
	if l := &m.from.links[k]; l.staleTimer || l.staleDisarms {
		return true
	}
	for i := range m.ops() {
		if s := &m.from.slots[i]; (s.staleOp|s.staleAux)&(1<<k) != 0 {
			return true
		}
	}
	return false
}
