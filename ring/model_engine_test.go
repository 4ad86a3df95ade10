package ring

// apply does what the lifecycle says is to be done for a slot.
func (m *machine) apply(i int, effect Effect) {
	s := &m.slots[i]
	m.window(inEffects)
	if effect&AnswerUnsubmitted != 0 {
		s.res = nothingDone
		if s.partly && !m.bugs.partForgotten {
			s.res = plain
		}
	}
	if effect&(Answer|AnswerUnsubmitted) != 0 {
		m.ended(s)
	}
	if effect&(Answer|AnswerUnsubmitted|AnswerUnknown) != 0 && !s.inDue {
		must(!s.inReady, "an operation is in two queues")
		s.inDue = true
	}
	if effect&AskKernel != 0 {
		m.ask(i)
	}
	if effect&Undo != 0 {
		m.undo(s)
		if s.state == Settling {
			m.ended(s)
		}
	}
	if s.abandoned() && s.over() && !m.bugs.waitersKept {
		m.told(s)
	}
	if effect&Release != 0 {
		m.release(i)
	}
}

// ended lets go of what an operation held while it could still happen: of a
// close, the descriptor.
func (m *machine) ended(s *slotWorld) {
	if s.errand != closing || s.ended {
		return
	}
	s.ended = true
	if s.res == nothingDone {
		m.closeFD(s)
	}
}

func (m *machine) closeFD(s *slotWorld) {
	must(s.fd, "a descriptor is closed twice")
	s.fd = false
}

// undo takes back what an operation brought that nobody waits for.
func (m *machine) undo(s *slotWorld) {
	if s.res != brought {
		return
	}
	m.closeFD(s)
	s.res = nothingDone
}

// ask has the kernel asked to cancel an operation, or takes it back from the
// lane if it has not begun there.
func (m *machine) ask(i int) {
	s := &m.slots[i]
	switch {
	case s.errand == blocking:
		if s.opAt == pushed {
			s.opAt = nowhere
			m.requests[inLane]--
			m.apply(i, m.table.completed(s, TakeBack))
		}
	case s.op && s.onRing():
		s.unasked = true
	}
}

// askOne pushes a cancel for one that is in its ring's list.
func (m *machine) askOne(i, k int) {
	s := &m.slots[i]
	s.unasked = false
	if !m.table.issueCancel(s) {
		return
	}
	m.push(k)
	s.auxAt = pushed
}

// push is Kernel.Push.
func (m *machine) push(k int) {
	must(!m.links[k].stuck, "a submission queue is touched while somebody hangs in its enter")
	must(!m.links[k].abandoned, "a request is pushed to a closed ring")
	m.requests[k]++
}

// dispatch brings a queued operation on its way.
func (m *machine) dispatch(i int) {
	s := &m.slots[i]
	switch {
	case s.errand == adopting:
		m.table.issue(s)
		s.res, s.fd = brought, true
		m.apply(i, m.table.completed(s, Done))
	case s.errand == blocking:
		m.table.issue(s)
		s.opAt, s.link = pushed, inLane
		m.requests[inLane]++
	case m.stranded:
		m.strand(i)
	default:
		must(!s.inDue && !s.inReady, "an operation is in two queues")
		s.inReady = true
	}
}

// strand ends an operation that there is nothing for to perform it.
func (m *machine) strand(i int) {
	s := &m.slots[i]
	if s.errand != closing {
		m.cancelSlot(i)
		return
	}
	m.table.issue(s)
	m.closeFD(s)
	s.res = plain
	m.apply(i, m.table.completed(s, Done))
}

// issue pushes an operation to the current ring.
func (m *machine) issue(i, k int) {
	s := &m.slots[i]
	must(s.opAt == nowhere, "an operation is issued while the kernel has it")
	s.inReady = false
	m.table.issue(s)
	m.window(inIssue)
	m.push(k)
	s.opAt, s.link = pushed, uint8(k)
}

// finish is the terminal result of an operation's request.
func (m *machine) finish(i int, res outcome) {
	s := &m.slots[i]
	again := res == nothingDone && s.errand != blocking || res == partDone
	s.partly = s.partly || res == partDone
	if again && (s.state == Waiting || m.bugs.retryOfCancelled) {
		m.table.completed(s, Retry)
		m.dispatch(i)
		return
	}
	if s.partly {
		res = plain
	}
	s.res = res
	m.apply(i, m.table.completed(s, Done))
}

// cancelAnswered is the kernel's answer to a cancel.
func (m *machine) cancelAnswered(i int, no bool) {
	s := &m.slots[i]
	m.apply(i, m.table.completedCancel(s))
	if m.bugs.cancelRetires && !no && s.op {
		s.res = nothingDone
		m.apply(i, m.table.completed(s, Done))
		return
	}
	if !no || s.state != Cancelling && s.state != Cancelled {
		return
	}
	// The engine waits a while before it asks again. Nothing depends on that.
	s.asked = false
	if !m.bugs.askedOnce {
		m.ask(i)
	}
}

// cancelSlot asks for the cancellation of one operation.
func (m *machine) cancelSlot(i int) {
	s := &m.slots[i]
	if s.errand == closing {
		return
	}
	if s.state == Queued {
		s.inReady = false
	}
	m.apply(i, m.table.apply(s, Cancel))
}

// orphanSlot is for an operation that nobody waits for any more.
func (m *machine) orphanSlot(i int) {
	s := &m.slots[i]
	s.orphan = true
	if s.errand == closing {
		return
	}
	switch s.state {
	case Queued, Due, Forfeited:
		s.inReady, s.inDue = false, false
	}
	m.apply(i, m.table.apply(s, Orphan))
}

// waitFor has a requester wait for the CancelResult of an operation.
func (m *machine) waitFor(i int) {
	if m.bugs.toldAtOnce {
		m.tell(&m.slots[i])
		return
	}
	m.slots[i].waiter = true
}

// told is for those who wait for an operation that has ended.
func (m *machine) told(s *slotWorld) {
	if s.waiter {
		m.tell(s)
		s.waiter = false
	}
}

func (m *machine) tell(s *slotWorld) {
	must(s.answered || s.abandoned() && s.over(), "a CancelResult comes before the terminal answer")
}

// answer sends one operation's answer.
func (m *machine) answer(i int) {
	s := &m.slots[i]
	must(!s.answered, "an operation is answered twice")
	must(!s.abandoned(), "an answer is delivered to nobody")
	s.inDue = false
	if s.state == Due {
		must(s.opAt == nowhere, "an answer is sent while the kernel has the operation's memory")
		if s.res == brought {
			must(s.fd, "a descriptor is delivered that is not open")
			s.res, s.fd = plain, false
		}
		must(!s.partly || s.res == plain, "what was done in part is answered as not done")
	} else {
		must(s.state == Forfeited, "an answer is sent that is not due")
	}
	s.answered = true
	m.told(s)
	m.apply(i, m.table.apply(s, Answered))
}

// deliver sends the answers that are due.
func (m *machine) deliver() {
	for i := range m.ops() {
		if m.slots[i].inDue {
			m.answer(i)
		}
	}
}

// release frees the slot of an operation that has nothing outstanding.
func (m *machine) release(i int) {
	s := &m.slots[i]
	m.ended(s)
	must(s.opAt == nowhere, "a slot is freed while the kernel has its operation")
	must(s.auxAt == nowhere, "a slot is freed while the kernel has its cancel")
	must(s.answered || s.abandoned(), "a slot is freed without an answer")
	must(!s.fd, "a descriptor is leaked")
	m.told(s)
	m.table.release(s)
}

// forfeitSlot gives an operation up, and keeps its memory for as long as the
// kernel has it.
func (m *machine) forfeitSlot(i int) {
	s := &m.slots[i]
	switch s.state {
	case Waiting, Cancelling, Cancelled:
		m.apply(i, m.table.apply(s, Forfeit))
	}
}

// open reports whether the operation is accepted and not answered.
func (m *machine) open(s *slotWorld) bool {
	if s.abandoned() && s.over() {
		return m.bugs.orphansUncounted
	}
	return s.state != Free && !s.answered
}

// repair goes through the lifecycle map for what a failure left in no queue.
func (m *machine) repair() {
	for i := range m.ops() {
		s := &m.slots[i]
		if s.inReady || s.inDue {
			continue
		}
		switch s.state {
		case Waiting:
			if s.errand == adopting {
				s.res = nothingDone
				m.apply(i, m.table.completed(s, Done))
			}
		case Queued:
			if !m.bugs.repairsNoQueued {
				m.dispatch(i)
			}
		case Due, Forfeited:
			s.inDue = true
		}
	}
}
