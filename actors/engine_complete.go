package actors

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// reap takes the completions of all rings.
//
// A completion's place is given back to the kernel only after the lifecycle
// map has it: if a panic comes in between it is seen once more, and then it is
// stale.
func (e *engine) reap() {
	progress := false
	for _, l := range e.links {
		for {
			cqe, ok := l.kernel.Peek()
			if !ok {
				break
			}
			if e.config.Failpoint != nil {
				e.fail(FailReaping)
			}
			e.complete(l, cqe)
			l.kernel.Advance()
			progress = true
		}
	}
	if progress {
		e.busy = false
	}
}

// complete is one CQE.
func (e *engine) complete(l *link, cqe ring.CQE) {
	e.counters.Reaped++
	u := cqe.UserData
	i, ok := e.table.Lookup(u)
	if !ok {
		e.counters.Stale++
		return
	}
	if !cqe.More() {
		l.requests--
	}
	if u.Kind() == ring.KindCancel {
		e.cancelAnswered(i, cqe)
		return
	}
	if cqe.More() {
		e.apply(i, e.table.Completed(u, ring.Update))
		return
	}
	l.operations--
	p := e.table.Payload(i)
	e.operationEnded(i, p)
	if e.finish(i, p, u, cqe.Res) && l == e.current {
		l.worked = true
	}
}

// operationEnded records that an operation's request is no more. Its cancel may
// still be with the ring.
func (e *engine) operationEnded(i uint32, p *operation) {
	if _, asked := e.table.OutstandingCancel(i); !asked {
		p.link = nil
	}
}

// laneReap takes what has ended in the blocking lane.
func (e *engine) laneReap() {
	for _, job := range e.lane.take() {
		i, ok := e.table.Lookup(job.UserData)
		if !ok {
			e.counters.Stale++
			continue
		}
		e.finish(i, e.table.Payload(i), job.UserData, job.Res)
	}
}

// finish is the terminal result of an operation's request. It reports whether that
// is the operation's own: it was not asked to stop, and is not issued again.
func (e *engine) finish(i uint32, p *operation, u ring.UserData, res int32) (own bool) {
	state := e.table.State(i)
	if state == ring.Waiting && p.retry(res) {
		e.table.Completed(u, ring.Retry)
		e.enqueue(p)
		return false
	}
	if state == ring.Quarantined || state == ring.Forfeited {
		e.quarantined--
	}
	if p.request.NoWait && (res == -int32(unix.EAGAIN) || res == -int32(unix.EOPNOTSUPP)) {
		// It would have been issued again, were it not to be cancelled.
		res = -int32(unix.ECANCELED)
	}
	p.res = p.total(res)
	e.apply(i, e.table.Completed(u, ring.Done))
	return state == ring.Waiting
}

// retriesMax bounds how often one operation is issued anew.
const retriesMax = 8

// retry decides whether a result means that the operation has not been
// performed yet, or in part only, and prepares the rest.
func (p *operation) retry(res int32) bool {
	if p.retries >= retriesMax {
		return false
	}
	again := false
	switch {
	case p.class == classLane:
	case p.request.NoWait:
		again = p.retryWaiting(res)
	case res == -int32(unix.ECANCELED) || res == -int32(unix.EINTR) && p.repeatable():
		// Nobody asked for it: the thread that issued it has ended, and the
		// kernel withdrew what had not begun, or a signal interrupted it.
		p.class = classPinned
		again = true
	case res == -int32(unix.EAGAIN) && p.file != nil && p.file.Payload.kind == kindRegular:
		p.class, p.request.Async = classPinned, true
		again = true
	}
	if again {
		p.retries++
	}
	return again
}

// repeatable reports whether an operation changes nothing, so that one that was
// interrupted may be repeated. Of the others nobody knows how far they came:
// that is for the requester to judge.
func (p *operation) repeatable() bool {
	switch p.request.Code {
	case ring.CodeRead, ring.CodeReadV, ring.CodeStat, ring.CodePoll:
		return true
	case ring.CodeOpen:
		return p.request.Flags&uint32(os.O_CREATE|os.O_TRUNC) == 0
	default:
		return false
	}
}

// retryWaiting is for a transfer that was told not to wait. Where it would have
// had to, it is issued so that it may: by the pinned thread, which for a buffered
// read waits for pages only; or, where the device may have its submitter wait,
// by a kernel worker. A file system that cannot be told so is not asked again.
func (p *operation) retryWaiting(res int32) bool {
	info := &p.file.Payload
	switch {
	case res == -int32(unix.EOPNOTSUPP):
		info.device.noNowait = true
		p.request.NoWait, p.request.Async = false, true
	case res == -int32(unix.EAGAIN) && p.class == classPinned:
		p.request.NoWait, p.request.Async = false, true
	case res == -int32(unix.EAGAIN) || res == -int32(unix.ECANCELED) || res == -int32(unix.EINTR):
		p.mayWait()
	case p.inPart(res):
		// What was in memory, or all there is: only a transfer that may wait can
		// tell.
		p.partial += res
		p.request.Buf = p.request.Buf[res:]
		if p.request.Off != ring.StreamOffset {
			p.request.Off += uint64(res)
		}
		p.mayWait()
	default:
		return false
	}
	return true
}

// mayWait has the pinned thread issue a transfer again.
func (p *operation) mayWait() {
	p.request.NoWait = false
	p.request.Async = p.class == classPinned // see neverWaiting
	p.class = classPinned
}

// inPart reports whether a plain transfer ended early. One of O_DIRECT that ends
// within a block has come to the end of the file.
func (p *operation) inPart(res int32) bool {
	if p.request.Code != ring.CodeRead && p.request.Code != ring.CodeWrite {
		return false
	}
	return res > 0 && int(res) < len(p.request.Buf) && (p.class != classPinned || res%blockLeast == 0)
}

// blockLeast is the smallest block that a transfer of O_DIRECT consists of.
const blockLeast = 512

// total is the result with what an earlier request of the operation has done:
// that counts, even if the rest failed.
func (p *operation) total(res int32) int32 {
	if p.partial == 0 || p.request.Code != ring.CodeRead && p.request.Code != ring.CodeWrite {
		return res
	}
	return p.partial + max(res, 0)
}

// apply does what the lifecycle says is to be done for a slot.
func (e *engine) apply(i uint32, effect ring.Effect) {
	p := e.table.Payload(i)
	if effect&ring.AnswerUnsubmitted != 0 {
		p.res = p.total(-int32(unix.ECANCELED)) // what was done of it counts
	}
	if effect&(ring.Answer|ring.AnswerUnsubmitted) != 0 {
		e.ended(i, p)
	}
	if effect&(ring.Answer|ring.AnswerUnsubmitted|ring.AnswerUnknown) != 0 && p.queue != inDue {
		e.due.push(p)
	}
	if effect&ring.AskKernel != 0 {
		e.ask(i, p)
	}
	if effect&ring.Undo != 0 {
		e.undo(p)
		if e.table.State(i) == ring.Settling { // not an update: the kernel is done
			e.ended(i, p)
			e.giveUpOrphan(p)
		}
	}
	if effect&ring.Release != 0 {
		e.release(i, p)
	}
}

// ended lets go of what an operation held while it could still happen.
func (e *engine) ended(i uint32, p *operation) {
	if p.ended {
		return
	}
	p.ended = true
	e.deadlineClear(p)
	e.vacate(p)
	e.dismiss(p)
	if p.turn {
		p.turn = false
		e.passTurn(p.direction())
	}
	if p.isClose() {
		e.endClose(p)
		return
	}
	if p.extra != nil {
		e.drop(p.extra.file2)
	}
	e.drop(p.file)
}

// endClose is the end of a Close: the descriptor is closed, whatever the result
// says, unless the Close was never performed.
func (e *engine) endClose(p *operation) {
	switch {
	case p.file.Held(): // given up while it waited for others: the last of them closes it
	case p.res == -int32(unix.ECANCELED):
		e.discard(p.file)
	default:
		e.forgetFile(p.file)
	}
}

// passTurn issues the next operation of a stream's direction.
func (e *engine) passTurn(d *direction) {
	d.busy = false
	p := d.waiting.head
	if p == nil {
		return
	}
	d.waiting.remove(p)
	d.busy = true
	p.turn = true
	e.enqueue(p)
}

// undo takes back what an operation brought that nobody waits for: a
// descriptor must not stay open.
func (e *engine) undo(p *operation) {
	if p.res >= 0 && p.bringsDescriptor() {
		e.counters.LateClosed++
		e.lane.close(p.res, e.deviceFor(p))
		p.res = -int32(unix.ECANCELED)
	}
}

func (p *operation) bringsDescriptor() bool {
	if p.class == classControl {
		return p.partial != noDescriptor
	}
	return p.class != classLane && p.request.Code == ring.CodeOpen
}

// release frees the slot of an operation that has nothing outstanding.
func (e *engine) release(i uint32, p *operation) {
	e.ended(i, p)
	e.unlink(i, p)
	e.countOrphan(p)
	reply, waiters := p.reply, p.takeWaiters()
	e.table.Release(i)
	e.told(waiters)
	if reply != nil {
		e.unuse(reply)
	}
}

// countOrphan counts an operation as completed whose answer is owed to nobody.
func (e *engine) countOrphan(p *operation) {
	if !p.counted {
		p.counted = true
		e.counters.Completed++
		e.counters.Cancelled++
	}
}

// unlink takes an operation out of its owner's list and of the identities.
func (e *engine) unlink(i uint32, p *operation) {
	owner := p.owner
	if owner == nil {
		return
	}
	p.owner = nil
	owner.unlink(p)
	if p.placed {
		e.relieve(owner)
	}
	if p.seq != 0 {
		e.idRemove(i)
	}
	e.unuse(owner)
}
