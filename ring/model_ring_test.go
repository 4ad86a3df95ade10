package ring

// takeBack takes what the kernel has not consumed out of a submission queue:
// of each operation its cancel first, which was pushed later.
func (m *machine) takeBack(k int) {
	if m.bugs.noTakeBack {
		return
	}
	back := m.slots
	for i := range m.ops() {
		// The kernel gives back all at once.
		if s := &m.slots[i]; int(s.link) == k {
			s.opAt, s.auxAt = s.opAt.unless(pushed), s.auxAt.unless(pushed)
		}
	}
	for i := range m.ops() {
		s := &m.slots[i]
		if int(back[i].link) != k {
			continue
		}
		m.window(inTakeBack)
		if back[i].auxAt == pushed {
			m.requests[k]--
			m.apply(i, m.table.completedCancel(s))
			if s.state == Cancelling || s.state == Cancelled {
				s.unasked = true
			}
		}
		if back[i].opAt == pushed {
			m.takenBack(i, k)
		}
	}
	m.takeBackTimer(k)
}

func (m *machine) takenBack(i, k int) {
	s := &m.slots[i]
	m.requests[k]--
	effect := m.table.completed(s, TakeBack)
	if s.state == Queued && !m.bugs.notRequeued {
		if m.stranded && !m.bugs.strandedRequeue {
			m.strand(i)
			return
		}
		s.inReady = true
	}
	if s.state != Queued {
		s.res = nothingDone
	}
	m.apply(i, effect)
}

func (m *machine) takeBackTimer(k int) {
	l := &m.links[k]
	if l.timer == pushed {
		m.requests[k]--
		l.timer, l.armed = nowhere, false
	}
	if l.disarmer == pushed {
		m.requests[k]--
		l.disarmer, l.disarm = nowhere, true
	}
}

// fence takes the current ring out of service.
func (m *machine) fence(restart bool) {
	k := m.current()
	if k < 0 {
		return
	}
	l := &m.links[k]
	l.draining = true
	if !l.stuck {
		m.takeBack(k)
	}
	if l.armed {
		l.armed, l.disarm = false, true
	}
	if restart {
		l.timed = true
		if m.cancelling {
			m.cancelLink(k)
		}
	}
}

// cancelLink asks for the cancellation of all that a ring has.
func (m *machine) cancelLink(k int) {
	m.links[k].told = true
	for i := range m.ops() {
		m.window(inCancels)
		if m.slots[i].holds(k) {
			m.cancelSlot(i)
		}
	}
}

// failed is for a panic: the ring is fenced, and what it left behind is put
// back on its way.
func (m *machine) failed() {
	if m.mode == up {
		m.mode = down
	}
	if m.mode != without || !m.bugs.withoutKeepsRing {
		m.fence(m.mode != without)
	}
	m.repair()
}

// enterFails is an enter that fails for good.
func (m *machine) enterFails(k int) {
	l := &m.links[k]
	l.lost = l.broken == loses
	if !l.draining {
		m.failed()
		return
	}
	l.dead = true
	m.takeBack(k)
}

// hang is an enter that does not return: the ring is given up.
func (m *machine) hang(k int) {
	m.links[k].stuck = true
	m.failed()
}

// comesBack is the return of an enter that hung.
func (m *machine) comesBack(k int) {
	m.links[k].stuck = false
	m.takeBack(k)
}

// start is what a new incarnation does, once there is a ring for it, or none
// is expected soon.
func (m *machine) start(stranded bool) {
	m.mode = up
	m.fence(true)
	if m.stage >= stageStopped {
		return
	}
	m.serveWith(stranded)
	m.repair()
}

func (m *machine) serveWith(stranded bool) {
	m.stranded = stranded
	if !stranded {
		m.links[m.n] = linkWorld{}
		m.n++
		return
	}
	for i := range m.ops() {
		if s := &m.slots[i]; s.inReady {
			s.inReady = false
			m.strand(i)
		}
	}
}

// restore replaces a makeshift by a ring.
func (m *machine) restore() {
	m.fence(false)
	m.serveWith(false)
}
