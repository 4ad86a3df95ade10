package actors

import (
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// submit takes one Submit: it is registered, or refused, before this returns.
// A panic in between leaves it in hand, for afterPanic to refuse.
func (e *engine) submit(m *messages.Submit, sender *actor.PID) {
	e.counters.Submitted++
	e.inHand, e.inHandFrom = m, sender
	if e.config.Failpoint != nil {
		e.fail(FailTaken)
	}
	i, err := e.register(m, sender)
	if err != nil {
		e.refuse(m, sender, err)
		return
	}
	e.inHand = nil
	if e.config.Failpoint != nil {
		e.fail(FailRegistered)
	}
	if e.past(i) {
		e.cancelSlot(i, reasonDeadline)
		return
	}
	e.dispatch(i)
}

// submitBatch takes many, each as if it had come alone.
func (e *engine) submitBatch(m *messages.SubmitBatch, sender *actor.PID) {
	e.batchInHand, e.inHandFrom = m.Submits, sender
	for k, s := range m.Submits {
		e.batchInHand = m.Submits[k+1:]
		if s == nil {
			e.counters.Strange++
			continue
		}
		e.submit(s, sender)
	}
	e.batchInHand = nil
}

// register checks a Submit and gives it a slot. What it refuses leaves nothing
// behind.
func (e *engine) register(m *messages.Submit, sender *actor.PID) (uint32, error) {
	owner, reply, err := e.partiesOf(m, sender)
	if err != nil {
		return 0, err
	}
	i, err := e.allot(m, owner, reply)
	if err != nil {
		e.tidy(owner)
		e.tidy(reply)
		return 0, err
	}
	p := e.table.Payload(i)
	p.submit, p.seq, p.ownerIndex = m, m.ID.Seq, owner.index
	owner.uses++
	reply.uses++
	owner.link(p)
	if m.ID.Seq != 0 {
		e.idAdd(i)
		owner.lastSeq[seqHalf(m.ID)] = max(owner.lastSeq[seqHalf(m.ID)], m.ID.Seq)
	}
	e.watch(owner)
	if !m.Deadline.IsZero() {
		e.deadlineSet(i, p, m.Deadline)
	}
	return i, nil
}

// allot gives an operation a slot and makes its request, or refuses it.
func (e *engine) allot(m *messages.Submit, owner, reply *party) (uint32, error) {
	if err := e.check(m, owner); err != nil {
		return 0, err
	}
	i, ok := e.table.Add()
	if !ok {
		e.starve(owner)
		return 0, messages.ErrOverloaded
	}
	p := e.table.Payload(i)
	p.slot, p.owner, p.reply = i, owner, reply
	if err := e.encode(m.Op, i, p); err != nil {
		e.table.Apply(i, ring.Orphan)
		e.table.Release(i)
		return 0, err
	}
	return i, nil
}

// partiesOf finds on whose behalf an operation runs, and who gets the answer.
func (e *engine) partiesOf(m *messages.Submit, sender *actor.PID) (owner, reply *party, err error) {
	pid := ownerOf(m, sender)
	owner = e.parties.resolve(pid)
	reply = owner
	if m.ReplyTo != nil && m.ReplyTo != pid {
		reply = e.parties.resolve(m.ReplyTo)
	}
	if owner == nil || reply == nil || owner.gone {
		e.tidy(owner)
		e.tidy(reply)
		return nil, nil, messages.ErrOwner
	}
	return owner, reply, nil
}

// check decides what can be decided before an operation is looked at.
func (e *engine) check(m *messages.Submit, owner *party) error {
	switch {
	case e.closing != serving:
		return messages.ErrStopped
	case isNil(m.Op):
		return messages.ErrNilMessage
	case isClose(m.Op): // there is always room to give something up
	case e.stranded:
		return messages.ErrUnavailable
	case e.quarantined >= e.config.QuarantineMax:
		return messages.ErrQuarantine
	case e.table.Live() >= e.accepts(), !fair(e.table.Live(), e.accepts(), owner.open):
		e.starve(owner)
		return messages.ErrOverloaded
	case owner.open >= e.config.OwnerQuota:
		e.starve(owner)
		return messages.ErrQuota
	}
	if m.ID.Seq != 0 && m.ID.Seq <= owner.lastSeq[seqHalf(m.ID)] { // a greater one is new
		if _, taken := e.idFind(opKey{owner.index, m.ID.Seq}); taken {
			return messages.ErrDuplicateID
		}
	}
	return nil
}

// isClose reports whether an operation is a Close.
func isClose(op messages.Op) bool {
	_, yes := op.(*messages.Close)
	return yes
}

// isNil finds a nil pointer in an Op as well.
func isNil(op messages.Op) bool {
	if op == nil {
		return true
	}
	v := reflect.ValueOf(op)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// refuseFlood refuses, on the poster's goroutine, what the mailbox has no room
// for: the ring owner may be suspended, and takes nothing then. It reports false
// for what is taken all the same: messages that are no Submits, and Closes, for
// which there is always room.
func (e *engine) refuseFlood(message any) bool {
	sender := actor.UnwrapEnvelopeSender(message)
	switch m := actor.UnwrapEnvelopeMessage(message).(type) {
	case *messages.Submit:
		if m == nil || isClose(m.Op) {
			return false
		}
		e.refuseFlooding(m, sender)
	case *messages.SubmitBatch:
		if m == nil || slices.ContainsFunc(m.Submits, func(s *messages.Submit) bool { return s != nil && isClose(s.Op) }) {
			return false
		}
		for _, s := range m.Submits {
			e.refuseFlooding(s, sender)
		}
	default:
		return false
	}
	return true
}

func (e *engine) refuseFlooding(m *messages.Submit, sender *actor.PID) {
	if m == nil {
		return
	}
	e.flood.add(ownerOf(m, sender)) // before it is counted, which is looked at first
	e.flood.count.Add(1)
	door{e.system, e.parties.outboxes}.refuse(m, sender, messages.ErrOverloaded)
}

// ownerOf is on whose behalf an operation runs, as its Submit says.
func ownerOf(m *messages.Submit, sender *actor.PID) *actor.PID {
	switch {
	case m.ID.Owner != nil:
		return m.ID.Owner
	case sender != nil:
		return sender
	default:
		return m.ReplyTo
	}
}

// flood is what was refused at the mailbox's door, and whom a Ready is owed
// for it. Any goroutine may add to it.
type flood struct {
	count  atomic.Uint64
	mu     sync.Mutex
	known  map[*actor.PID]struct{}
	owners []*actor.PID // the same, in order
}

func (f *flood) add(owner *actor.PID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil {
		f.known = make(map[*actor.PID]struct{})
	}
	if _, known := f.known[owner]; !known {
		f.known[owner] = struct{}{}
		f.owners = append(f.owners, owner)
	}
}

// take gives those who were refused since.
func (f *flood) take() []*actor.PID {
	f.mu.Lock()
	defer f.mu.Unlock()
	owners := f.owners
	f.owners, f.known = nil, nil
	return owners
}

// feedFlooded has those told who were refused at the door.
func (e *engine) feedFlooded() {
	if e.flood.count.Load() == e.floodSeen {
		return
	}
	e.floodSeen = e.flood.count.Load()
	for _, pid := range e.flood.take() {
		if p := e.parties.resolve(pid); p != nil {
			e.starve(p)
			e.tidy(p)
		}
	}
}

// accepts is how many operations are accepted at once.
func (e *engine) accepts() int { return e.config.InFlight + e.config.Queue }

// watch has the owner's death told, if it is an actor and is not watched yet.
func (e *engine) watch(p *party) {
	if p.watched || !p.mortal {
		return
	}
	p.watched = true
	e.watched[p.pid.Id] = append(e.watched[p.pid.Id], p)
	p.watch(e.self)
}

// refuse answers a Submit that was not accepted.
func (e *engine) refuse(m *messages.Submit, sender *actor.PID, reason error) {
	e.counters.Refused++
	e.inHand = nil
	pid := ownerOf(m, sender)
	to := m.ReplyTo
	if to == nil {
		to = pid
	}
	reply := e.parties.resolve(to)
	for _, other := range [...]*actor.PID{sender, pid} {
		if reply == nil && e.parties.meant(other) { // an address that is none is no reason to tell nobody
			reply = e.parties.resolve(other)
		}
	}
	if reply == nil {
		e.counters.DeadReplies++
		return
	}
	reply.send(refusedOf(m, pid, reason))
	e.tidy(reply)
}

func refusedOf(m *messages.Submit, owner *actor.PID, reason error) *messages.Refused {
	return &messages.Refused{
		ID:    messages.OpID{Owner: owner, Seq: m.ID.Seq},
		Token: m.Token,
		Op:    m.Op,
		Err:   refusal(m.Op, reason),
	}
}

// refusal is the error of a Refused.
func refusal(op messages.Op, reason error) error {
	name, path := "operation", ""
	if isOurs(op) {
		name = op.Name()
		path = pathOf(op)
	}
	return &messages.OpError{Op: name, Path: path, Err: reason, Why: messages.ErrRefused}
}

// isOurs reports whether an operation is one of the messages package. What
// embeds one is not: its methods are foreign code, and may panic.
func isOurs(op messages.Op) bool {
	if isNil(op) {
		return false
	}
	t := reflect.TypeOf(op)
	return t.Kind() == reflect.Pointer && t.Elem().PkgPath() == reflect.TypeFor[messages.Nop]().PkgPath()
}

// dispatch brings a registered operation on its way.
func (e *engine) dispatch(i uint32) {
	p := e.table.Payload(i)
	switch {
	case p.class == classControl:
		e.perform(i, p)
	case p.isClose():
		e.beginClose(p)
	default:
		e.inOrder(p)
	}
}

// beginClose closes the handle at once; the descriptor follows when nothing is
// in flight on it.
func (e *engine) beginClose(p *operation) {
	e.fileUnlink(p.file)
	if p.file.Close() {
		e.enqueue(p)
		return
	}
	p.file.Payload.closing.push(p)
}

// inOrder queues an operation, behind the others of its direction if it is on
// a stream.
func (e *engine) inOrder(p *operation) {
	if d := p.direction(); d != nil {
		if d.busy {
			d.waiting.push(p)
			return
		}
		d.busy = true
		p.turn = true
	}
	e.enqueue(p)
}

// enqueue hands an operation to whoever issues it.
func (e *engine) enqueue(p *operation) {
	switch {
	case p.class == classLane:
		p.extra.job.UserData = e.table.Issue(p.slot)
		e.counters.Blocking++
		e.lane.call(p.extra.job, e.deviceFor(p))
	case e.stranded:
		e.strand(p)
	case !e.mayTake(p): // first: what waits for its owner's has no place on its device
		e.wait(p)
	case !e.admit(p): // and what waits for its device has no other place
	case p.class == classPinned:
		e.take(p)
		e.pinned.push(p)
	default:
		e.take(p)
		e.readyLen += int(p.bytes)
		e.ready.push(p)
	}
}

// perform does what needs no kernel to wait for.
func (e *engine) perform(i uint32, p *operation) {
	u := e.table.Issue(i)
	switch op := p.submit.Op.(type) {
	case *messages.Adopt:
		p.res, p.partial = e.performAdopt(op)
	case *messages.Give:
		p.res = e.performGive(op, p)
	}
	e.apply(i, e.table.Completed(u, ring.Done))
}
