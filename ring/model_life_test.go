package ring

// linkMoves are what becomes of one ring.
func (m *machine) linkMoves(k int) {
	l := &m.from.links[k]
	at := func(what string) label { return label{what: what, slot: none, link: int8(k)} }
	if l.abandoned {
		m.abandonedMoves(k, l, at)
		return
	}
	if m.unentered(k) && !l.dead && !l.stuck {
		m.enterMoves(k, l, at)
	}
	if l.stuck && m.mayComeBack(k) {
		m.try(byKernel, at("enter comes back"), func() { m.comesBack(k) })
	}
	if l.broken == healthy && !l.dead {
		if m.has(refusals) {
			m.try(byFate, at("ring fails"), func() { m.links[k].broken = refuses })
		}
		if m.has(losses) {
			m.try(byFate, at("ring fails and loses completions"), func() { m.links[k].broken = loses })
		}
	}
	m.timerMoves(k, l, at)
	m.drainMoves(k, l, at)
}

// enterMoves are the ways in which an enter takes nothing.
func (m *machine) enterMoves(k int, l *linkWorld, at func(string) label) {
	if l.broken == healthy && m.has(busy) {
		m.try(byFate, at("kernel is busy"), func() { m.takeBack(k) })
	}
	if m.has(hangs) {
		m.try(byFate, at("enter hangs"), func() { m.hang(k) })
	}
	if l.broken != healthy && !(m.bugs.withoutKeepsRing && m.from.mode == without && !l.draining) {
		m.try(byEngine, at("enter fails"), func() { m.enterFails(k) })
	}
}

// unentered reports whether a ring's submission queue has something in it.
func (m *machine) unentered(k int) bool {
	for i := range m.ops() {
		if s := &m.from.slots[i]; int(s.link) == k && (s.opAt == pushed || s.auxAt == pushed) {
			return true
		}
	}
	l := &m.from.links[k]
	return l.timer == pushed || l.disarmer == pushed
}

// mayComeBack is false for a return that the table has no answer for: of what
// was given up meanwhile, and the kernel has not taken.
func (m *machine) mayComeBack(k int) bool {
	for i := range m.ops() {
		s := &m.from.slots[i]
		if s.linkedTo(k) && s.opAt == pushed && !m.table.cells[s.state][TakeBack].valid && !m.comesBackLate {
			return false
		}
	}
	return true
}

// drainMoves are what the engine does with a ring that is draining. It has
// entered the rings, and reaped, before it does.
func (m *machine) drainMoves(k int, l *linkWorld, at func(string) label) {
	if !l.draining || m.blocked {
		return
	}
	switch {
	case m.drained(k):
		m.try(byEngine, at("close the ring"), func() { m.closeLink(k) })
	case l.timed && !l.forfeited && m.entered():
		m.try(byClock, at("drain is overdue"), func() { m.expire(k) })
	}
	if m.hopeless(k) && !m.anyDue() {
		m.try(byEngine, at("close the ring, with requests outstanding"), func() { m.abandon(k) })
	}
}

// drained reports whether a ring has nothing left.
func (m *machine) drained(k int) bool {
	if m.bugs.closesInFlight {
		return true
	}
	for i := range m.ops() {
		if m.from.slots[i].linkedTo(k) {
			return false
		}
	}
	return m.requests[k] == 0 || m.bugs.closesEarly
}

func (m *machine) abandonedMoves(k int, l *linkWorld, at func(string) label) {
	if !l.gone {
		m.try(byKernel, at("kernel lets go"), func() { m.letGo(k, false) })
		m.try(byKernel, at("kernel lets go, having performed all"), func() { m.letGo(k, true) })
	}
	if (l.gone || m.bugs.buriesAtClose) && !m.anyDue() && !m.blocked {
		m.try(byEngine, at("bury"), func() { m.bury(k) })
	}
}

// entered reports whether no operation waits in a submission queue: each turn
// enters before it gives up.
func (m *machine) entered() bool {
	if m.bugs.expiresUnentered {
		return true
	}
	for i := range m.ops() {
		s := &m.from.slots[i]
		if s.opAt == pushed && s.link != inLane && !m.from.links[s.link].stuck {
			return false
		}
	}
	return true
}

func (m *machine) anyDue() bool {
	for i := range m.ops() {
		if m.from.slots[i].inDue {
			return true
		}
	}
	return false
}

// timerMoves are those of the kernel timer of the deadlines.
func (m *machine) timerMoves(k int, l *linkWorld, at func(string) label) {
	if !m.has(timers) {
		return
	}
	if k == m.from.current() && l.timer == nowhere && l.disarmer == nowhere && !l.stuck {
		m.try(byFate, at("arm a timer"), func() {
			m.push(k)
			m.links[k].timer, m.links[k].armed = pushed, true
		})
	}
	if l.disarm && !l.dead && !l.stuck && l.disarmer == nowhere {
		m.try(byEngine, at("disarm the timer"), func() {
			m.push(k)
			m.links[k].disarmer, m.links[k].disarm = pushed, false
		})
	}
	if l.timer == pushed {
		m.consume(at("kernel takes the timer"), l, func() { m.links[k].timer = taken })
	}
	if l.disarmer == pushed && l.timer != pushed {
		m.consume(at("kernel takes the timer's cancel"), l, func() { m.links[k].disarmer = taken })
	}
	if m.blocked {
		return
	}
	if l.timer == taken {
		m.reapOrFail(at("timer ends"), l.unless(byKernel), func() { m.timerEnds(k) }, func(int) { m.links[k].staleTimer = true })
	}
	if l.disarmer == taken {
		m.reapOrFail(at("timer's cancel ends"), l.unless(byCancel), func() { m.requests[k]--; m.links[k].disarmer = nowhere }, func(int) { m.links[k].staleDisarms = true })
	}
	if l.staleTimer || l.staleDisarms {
		m.try(byEngine, at("reap the timer once more"), func() {
			m.links[k].staleTimer, m.links[k].staleDisarms = false, false
			if m.bugs.timerTwice {
				m.requests[k]--
			}
		})
	}
}

func (m *machine) timerEnds(k int) {
	m.requests[k]--
	m.links[k].timer, m.links[k].armed = nowhere, false
}

// engineMoves are those of the engine's own end.
func (m *machine) engineMoves() {
	w := m.from
	if m.blocked {
		return
	}
	if w.stage == stageCancelling && !w.graced && m.entered() {
		m.try(byClock, label{what: "grace is over", slot: none, link: none}, m.forfeitAll)
	}
	open, used := false, false
	for i := range m.ops() {
		open = open || m.open(&w.slots[i])
		used = used || w.slots[i].state != Free
	}
	if (w.stage == stageFinishing || w.stage == stageCancelling) && !open && !m.anyDue() {
		m.try(byEngine, label{what: "everything is answered", slot: none, link: none}, m.becomeStopped)
	}
	if w.stage == stageStopped && w.n == 0 && !used {
		m.try(byEngine, label{what: "the end", slot: none, link: none}, m.becomeGone)
	}
}

// lifeMoves are those of the actor's life. A restart that fails is none: it
// leaves everything as it was.
func (m *machine) lifeMoves() {
	w := m.from
	if w.mode != without {
		m.try(byClock, label{what: "stop", slot: none, link: none}, m.beginStop)
	}
	if m.has(finishes) && w.mode != without && w.stage == stageServing {
		m.try(byFate, label{what: "end the intake", slot: none, link: none}, func() { m.stage = stageFinishing })
	}
	room := int(w.n) < m.linkCount
	if w.mode == down && (room || w.stage >= stageStopped) {
		m.try(byEngine, label{what: "restart", slot: none, link: none}, func() { m.start(false) })
	}
	if w.mode == down && m.has(makeshift) {
		m.try(byFate, label{what: "restart without a ring", slot: none, link: none}, func() { m.start(true) })
	}
	if w.mode == up && m.has(makeshift) && w.stage == stageServing && room {
		m.try(byFate, label{what: "replace the backend", slot: none, link: none}, m.restore)
	}
	if m.has(crashes) && w.mode != down {
		m.try(byFate, label{what: "fail", slot: none, link: none}, m.failed)
	}
}

// unless is the class of a completion: those of a ring that has lost some need
// not come.
func (l *linkWorld) unless(c class) class {
	if l.lost {
		return byFate
	}
	return c
}
