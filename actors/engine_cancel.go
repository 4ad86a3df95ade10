package actors

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// cancelWaiter is somebody who asked for a cancellation, and is told when the
// last of the operations concerned has ended.
type cancelWaiter struct {
	reply     *party
	result    messages.CancelResult
	remaining int
}

// cancel takes a Cancel. It reaches only operations of the owner that it
// names.
func (e *engine) cancel(m *messages.Cancel, sender *actor.PID) {
	id := m.ID
	if id.Owner == nil {
		id.Owner = sender
	}
	w := e.waiter(m.ReplyTo, id.Owner, m.Token)
	w.result.ID = id
	owner := e.parties.known(id.Owner)
	if owner == nil {
		e.tell(w)
		return
	}
	i, open := e.idFind(opKey{owner.index, id.Seq})
	if !open {
		if id.Seq != 0 && id.Seq <= owner.lastSeq[seqHalf(id)] {
			w.result.Outcome = messages.AlreadyDone
		}
		e.tell(w)
		return
	}
	e.cancelFor(w, []uint32{i}, m.Abandon)
}

// cancelOwner takes a CancelOwner.
func (e *engine) cancelOwner(m *messages.CancelOwner, sender *actor.PID) {
	pid := m.Owner
	if pid == nil {
		pid = sender
	}
	w := e.waiter(m.ReplyTo, pid, m.Token)
	w.result.ID.Owner = pid
	e.cancelFor(w, e.operationsOf(e.parties.known(pid)), false)
}

func (e *engine) operationsOf(owner *party) []uint32 {
	if owner == nil {
		return nil
	}
	slots := make([]uint32, 0, owner.open)
	for p := owner.ops; p != nil; p = p.next {
		slots = append(slots, p.slot)
	}
	slices.Reverse(slots) // the oldest first
	return slots
}

// cancelHandle takes a CancelHandle. Its Completions go to the operations' own
// requesters. What has ended and is not answered yet is among them, on a handle
// that is no more as well.
func (e *engine) cancelHandle(m *messages.CancelHandle, sender *actor.PID) {
	w := e.waiter(m.ReplyTo, sender, m.Token)
	var slots []uint32
	e.table.Each(func(i uint32, state ring.State) {
		p := e.table.Payload(i)
		if state != ring.Settling && state != ring.Quarantined && (isOf(p.file, m.Handle) || p.extra != nil && isOf(p.extra.file2, m.Handle)) {
			slots = append(slots, i)
		}
	})
	e.cancelFor(w, slots, false)
}

func (e *engine) waiter(replyTo, otherwise *actor.PID, token any) *cancelWaiter {
	if replyTo == nil {
		replyTo = otherwise
	}
	w := &cancelWaiter{result: messages.CancelResult{Token: token}}
	if w.reply = e.parties.resolve(replyTo); w.reply != nil {
		w.reply.uses++
	}
	return w
}

// cancelFor asks for the cancellation of some operations on behalf of w.
func (e *engine) cancelFor(w *cancelWaiter, slots []uint32, abandon bool) {
	w.remaining, w.result.Count = len(slots), len(slots)
	if len(slots) == 0 {
		e.tell(w)
		return
	}
	w.result.Outcome = messages.Cancelled
	for _, i := range slots {
		x := e.table.Payload(i).more(i)
		x.waiters = append(x.waiters, w)
	}
	for _, i := range slots {
		if abandon {
			e.orphan(i)
			continue
		}
		e.cancelSlot(i, reasonCancel)
	}
}

// told is for those who wait for an operation that has ended.
func (e *engine) told(waiters []*cancelWaiter) {
	for _, w := range waiters {
		if w.remaining--; w.remaining == 0 {
			e.tell(w)
		}
	}
}

func (e *engine) tell(w *cancelWaiter) {
	if w.reply == nil {
		e.counters.DeadReplies++
		return
	}
	result := w.result
	e.sendBatch(w.reply) // the terminal answer comes first
	w.reply.send(&result)
	e.unuse(w.reply)
}

// cancelSlot asks for the cancellation of one operation. A Close is not
// stopped by anything: the descriptor would stay behind.
func (e *engine) cancelSlot(i uint32, why reason) {
	p := e.table.Payload(i)
	if p.isClose() {
		return
	}
	if e.table.State(i) == ring.Queued {
		e.dequeue(p)
	}
	if p.why == reasonNone {
		p.why = why
	}
	e.apply(i, e.table.Apply(i, ring.Cancel))
}

// orphan is for an operation that nobody waits for any more. What the kernel
// can see of it stays in its request.
func (e *engine) orphan(i uint32) {
	p := e.table.Payload(i)
	e.counters.Orphaned++
	if p.isClose() {
		e.unlink(i, p) // it goes on, and its answer is for whom it may concern
		return
	}
	switch e.table.State(i) {
	case ring.Queued, ring.Due, ring.Forfeited:
		e.dequeue(p)
	}
	p.submit = nil
	e.unlink(i, p)
	e.apply(i, e.table.Apply(i, ring.Orphan))
	if e.table.State(i) == ring.Quarantined { // it had been given up, and not been told so
		e.giveUpOrphan(p)
	}
}

// ask has the kernel asked to cancel an operation, or takes it back from the
// blocking lane if it has not begun there. One that has begun goes on to its
// end.
func (e *engine) ask(i uint32, p *operation) {
	if p.class == classLane {
		u, outstanding := e.table.Outstanding(i)
		if outstanding && e.lane.withdraw(u, p.extra.job) {
			e.apply(i, e.table.Completed(u, ring.TakeBack))
		}
		return
	}
	if p.link != nil {
		p.link.unasked = append(p.link.unasked, i)
	}
}

// askKernel pushes the cancels that are wanted. A slot in the list may be
// another operation's by now; if that is to be cancelled too, it is asked
// twice, which does no harm.
func (e *engine) askKernel(l *link) {
	if !l.wantsToAsk() {
		return
	}
	for len(l.unasked) > 0 {
		if !e.askOne(l, l.unasked[0]) {
			return
		}
		l.unasked = l.unasked[1:]
	}
	l.unasked = nil
}

// askOne pushes one cancel, and reports false when there was no room.
func (e *engine) askOne(l *link, i uint32) bool {
	target, outstanding := e.table.Outstanding(i)
	state := e.table.State(i)
	if !outstanding || state != ring.Cancelling && state != ring.Cancelled || e.table.Payload(i).link != l {
		return true
	}
	u, ok := e.table.IssueCancel(i)
	if !ok {
		return true // one is on its way
	}
	request := ring.PrepCancel(target)
	if !l.kernel.Push(u, &request) {
		e.table.Completed(u, 0)
		return false
	}
	l.requests++
	return true
}

// cancelAnswered is the kernel's answer to a cancel, which retires nothing. One
// that says it cancelled nothing (ENOENT, EALREADY) may be wrong about that:
// the operation may be armed again afterwards. While it goes on, the kernel is
// asked again, less and less often.
func (e *engine) cancelAnswered(i uint32, cqe ring.CQE) {
	if cqe.Res == -int32(unix.EALREADY) {
		e.pastSaving(e.table.Payload(i))
	}
	e.cancelEnded(i, cqe.UserData)
	if state := e.table.State(i); cqe.Res == 0 || state != ring.Cancelling && state != ring.Cancelled {
		return
	}
	e.insist.slots = append(e.insist.slots, i)
	if e.insist.set {
		return
	}
	e.insist.delay = min(max(2*e.insist.delay, insistFirst), insistLast)
	e.setAlarm(&e.insist.alarm, e.insist.delay)
}

// cancelEnded records that a cancel is no more.
func (e *engine) cancelEnded(i uint32, u ring.UserData) {
	if _, outstanding := e.table.Outstanding(i); !outstanding {
		e.table.Payload(i).link = nil
	}
	e.apply(i, e.table.Completed(u, 0))
}

// insistence is the list of operations whose cancellation is to be asked for
// again, once its alarm rings.
type insistence struct {
	alarm
	slots []uint32
	delay time.Duration
}

const (
	insistFirst = time.Millisecond
	insistLast  = 128 * time.Millisecond
)

// askAgain asks again for what is still not cancelled.
func (e *engine) askAgain() {
	if !e.insist.rang() {
		return
	}
	slots := e.insist.slots
	e.insist.slots = nil
	asked := false
	for _, i := range slots {
		if state := e.table.State(i); state == ring.Cancelling || state == ring.Cancelled {
			asked = true
			e.ask(i, e.table.Payload(i))
		}
	}
	if !asked {
		e.insist.delay = 0
	}
}

// terminated is for a watched actor that has stopped: its operations are
// cancelled, its handles closed, and what is queued in its name is refused.
func (e *engine) terminated(who *actor.PID) {
	for _, p := range slices.Clone(e.watched[who.Id]) {
		if e.parties.alive(p) {
			continue // somebody else's word; the actor lives
		}
		e.unwatch(p)
		e.parties.bury(p, e.drive.posted())
		e.parties.forget(p)
		e.end(p)
		for _, i := range e.operationsOf(p) {
			e.bereave(i)
		}
	}
}

// bereave is for an operation whose owner has stopped. If somebody else is to be
// told, and lives, he is told what became of it; a descriptor that it brings is
// closed, since nobody would own it. Should he stop before it has ended his answer
// goes nowhere: there is nothing in it that had to be undone.
func (e *engine) bereave(i uint32) {
	p := e.table.Payload(i)
	if p.reply == p.owner || !e.parties.alive(p.reply) {
		e.orphan(i)
		return
	}
	e.cancelSlot(i, reasonOwner)
}

// unwatchAll is for the end of the actor: nobody is to tell it anything more.
func (e *engine) unwatchAll() {
	for _, p := range e.watchedInOrder() {
		p.sendSystem(&actor.Unwatch{Watcher: e.self})
	}
}

func (e *engine) unwatch(p *party) {
	rest := slices.DeleteFunc(e.watched[p.pid.Id], func(other *party) bool { return other == p })
	if len(rest) == 0 {
		delete(e.watched, p.pid.Id)
		return
	}
	e.watched[p.pid.Id] = rest
}

// end closes a party's handles and has it submit nothing more.
func (e *engine) end(p *party) {
	p.gone = true
	e.sate(p)
	for p.files != nil {
		e.closeFile(p.files)
	}
}

// ownerGone is what a Client that is closed sends. Unlike an actor that has
// died it still takes its answers.
type ownerGone struct{ process clientProcess }

// IgnoreDeadLetterLogging: a client may be closed after its subsystem.
func (*ownerGone) IgnoreDeadLetterLogging() {}

func (e *engine) ownerGone(m *ownerGone) {
	p := e.parties.byProcess[m.process]
	if p == nil {
		return
	}
	e.end(p)
	for _, i := range e.operationsOf(p) {
		e.cancelSlot(i, reasonCancel)
	}
	e.tidy(p)
}
