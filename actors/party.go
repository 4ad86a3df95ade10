package actors

import (
	"container/list"
	"reflect"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// party is one process that operations belong to or are answered to. It is
// the process itself, resolved once: a name is never looked up again, so that
// a new actor under an old name is a new party.
type party struct {
	pid     *actor.PID
	process actor.Process
	index   uint32

	// direct: answering it neither blocks nor runs anybody's code. The others
	// are answered by a goroutine of their own, their outbox.
	direct   bool
	outboxes *outboxes
	// mortal: it is an actor, whose death is told to whoever watches it, as the
	// ring owner does once it is watched. lasting: it may own handles, since
	// its end will be known. gone: it has ended, and may submit nothing more.
	mortal  bool
	watched bool
	lasting bool
	gone    bool
	// leaving is protoactor's own flag of an actor's process, set before its name is
	// free; nil if that is not known to exist.
	leaving *atomic.Int32

	pids []*actor.PID // keys under which it is cached
	ops  *operation   // its operations, the latest first
	open int          // how many
	// placed of them have a place with the kernel, others wait for one.
	placed        int
	waiting       queue
	ahead, behind *party // in the crowd, as long as some wait
	files         *file  // its handles
	uses          int    // operations and handles that refer to it

	lastSeq [2]uint64              // greatest Seq seen, of each half of the range
	batch   []*messages.Completion // answers that are to travel together
	starved *list.Element          // its place among those refused for want of room
}

// partyPIDs is how many PIDs a party is cached under. A caller that makes a new
// PID for each message is looked up each time.
const partyPIDs = 4

// parties finds them.
type parties struct {
	system    *actor.ActorSystem
	outboxes  *outboxes
	byPID     map[*actor.PID]*party
	byProcess map[actor.Process]*party
	lastPID   *actor.PID
	last      *party
	posted    mail // the message in hand, if it waited in the mailbox
	made      uint32
	// dead holds the PIDs of actors that have stopped, while the mailbox may
	// still hold messages that name them.
	dead map[*actor.PID]uint64
}

func newParties(system *actor.ActorSystem, crew Crew) parties {
	return parties{
		system:    system,
		outboxes:  newOutboxes(crew),
		byPID:     make(map[*actor.PID]*party),
		byProcess: make(map[actor.Process]*party),
		dead:      make(map[*actor.PID]uint64),
	}
}

// known finds a party that already has something here, and nil otherwise.
func (ps *parties) known(pid *actor.PID) *party {
	if pid == nil {
		return nil
	}
	p := ps.cached(pid)
	if p != nil && ps.means(pid, p) {
		return p
	}
	if process, ok := ps.processOf(pid); ok {
		return ps.byProcess[process]
	}
	if _, taken := ps.system.ProcessRegistry.Get(pid); taken {
		return nil
	}
	return p // it is on its way out, and has no successor
}

// resolve finds a party or makes it. It gives nil for a PID that names no live
// process of this node.
func (ps *parties) resolve(pid *actor.PID) *party {
	if pid == nil {
		return nil
	}
	if p := ps.cached(pid); p != nil && ps.means(pid, p) {
		return p
	}
	p := ps.lookUp(pid)
	if p != nil {
		ps.lastPID, ps.last = pid, p
	}
	return p
}

// cached finds a party by a PID that it was found by before.
func (ps *parties) cached(pid *actor.PID) *party {
	if pid == ps.lastPID {
		return ps.last
	}
	p := ps.byPID[pid]
	if p != nil {
		ps.lastPID, ps.last = pid, p
	}
	return p
}

// means reports whether the message in hand means a party by a PID that it was
// found by before. One that is on its way out is not known to be dead before it is
// out, and its name may be another's by then.
func (ps *parties) means(pid *actor.PID, p *party) bool {
	if ps.posted.message == nil { // it is being posted right now
		return p.inOffice() || ps.alive(p)
	}
	then, known := ps.posted.knows(pid)
	return !known || p.process == then
}

func (ps *parties) lookUp(pid *actor.PID) *party {
	if pid.Address != ps.system.Address() || ps.buried(pid) {
		return nil
	}
	process, ok := ps.processOf(pid)
	if !ok {
		return nil
	}
	p := ps.byProcess[process]
	if p == nil {
		ps.made++
		p = newParty(pid, process, ps.made, ps.outboxes)
		ps.byProcess[process] = p
	}
	if len(p.pids) < partyPIDs {
		p.pids = append(p.pids, pid)
		ps.byPID[pid] = p
	}
	return p
}

// processOf is the process that a PID means, if it lives. For the one that the
// message in hand was posted for, it is the one that lived when it was posted:
// another one of that name is somebody else.
func (ps *parties) processOf(pid *actor.PID) (actor.Process, bool) {
	process, ok := ps.system.ProcessRegistry.Get(pid)
	if !ok || !reflect.TypeOf(process).Comparable() {
		return nil, false
	}
	if then, known := ps.posted.knows(pid); known && process != then {
		return nil, false
	}
	return process, true
}

// alive reports whether a party's process is still the one of its name.
func (ps *parties) alive(p *party) bool {
	process, ok := ps.system.ProcessRegistry.Get(p.pid)
	return ok && process == p.process
}

// meant reports whether a PID is known to mean the same process as when the
// message in hand was posted.
func (ps *parties) meant(pid *actor.PID) bool {
	if ps.posted.message == nil || pid == nil {
		return true // it is being posted right now
	}
	_, known := ps.posted.knows(pid)
	return known
}

// forget drops a party that nothing refers to any more.
func (ps *parties) forget(p *party) {
	for _, pid := range p.pids {
		if ps.byPID[pid] == p { // and no successor's
			delete(ps.byPID, pid)
		}
	}
	delete(ps.byProcess, p.process)
	if ps.last == p {
		ps.lastPID, ps.last = nil, nil
	}
}

// bury remembers the PIDs of a stopped actor until the mailbox has passed the
// given position.
func (ps *parties) bury(p *party, until uint64) {
	for _, pid := range p.pids {
		ps.dead[pid] = until
	}
}

// buried reports whether a PID may mean an actor that has stopped. It does not if
// it is known whom the message in hand meant by it.
func (ps *parties) buried(pid *actor.PID) bool {
	_, dead := ps.dead[pid]
	if !dead || ps.posted.message == nil {
		return false
	}
	_, known := ps.posted.knows(pid)
	return !known
}

// exhume forgets those that no queued message can name any more.
func (ps *parties) exhume(position uint64) {
	for pid, until := range ps.dead {
		if until <= position {
			delete(ps.dead, pid)
		}
	}
}

func newParty(pid *actor.PID, process actor.Process, index uint32, outboxes *outboxes) *party {
	p := &party{pid: pid, process: process, index: index, waiting: queue{id: inShare}, outboxes: outboxes}
	p.direct = takesAtOnce(process)
	switch process := process.(type) {
	case *actor.ActorProcess:
		p.mortal, p.lasting = true, true
		p.leaving = leavingOf(process)
	case ownProcess:
		p.lasting = true
		p.gone = process.deliversAtOnce()
	}
	return p
}

// ownProcess is one of this package's, which neither blocks who sends to it nor
// calls foreign code. It says whether it is closed.
type ownProcess interface{ deliversAtOnce() (gone bool) }

// takesAtOnce reports whether a process neither blocks who sends to it nor runs
// anybody's code on his stack.
func takesAtOnce(process actor.Process) bool {
	switch process := process.(type) {
	case *actor.ActorProcess:
		return deliversAtOnce(process)
	case ownProcess:
		return true
	}
	return false
}

// inOffice reports whether a party is known to have its name still, at no cost.
func (p *party) inOffice() bool { return !p.mortal || p.leaving != nil && p.leaving.Load() == 0 }

// leavingOf finds the flag by which protoactor itself tells whether an actor's
// process, which PIDs keep, is to be looked up again. To look up each would cost
// more than all the rest that is done with a party.
//
// SAFETY: it is an int32, and protoactor as well loads and stores it atomically.
func leavingOf(process *actor.ActorProcess) *atomic.Int32 {
	field := reflect.ValueOf(process).Elem().FieldByName("dead")
	if !field.IsValid() || field.Kind() != reflect.Int32 {
		return nil
	}
	return (*atomic.Int32)(field.Addr().UnsafePointer())
}

// deliversAtOnce reports whether an actor's mailbox is one of those that are
// known to be unbounded and asynchronous, without middleware. Protoactor keeps
// that to itself, so the fields are looked at by reflection, once for each
// actor; whatever looks unfamiliar gets an outbox.
func deliversAtOnce(process *actor.ActorProcess) bool {
	if field := reflect.ValueOf(process).Elem().FieldByName("mailbox"); field.IsValid() && field.Kind() == reflect.Interface {
		box := reflect.Indirect(field.Elem())
		if box.Kind() != reflect.Struct || box.Type().Name() != "defaultMailbox" {
			return false
		}
		return typeIs(box, "userMailbox", "*actor.unboundedMailboxQueue", "*mpsc.Queue") &&
			typeIs(box, "dispatcher", "actor.goroutineDispatcher") &&
			box.FieldByName("middlewares").IsValid() && box.FieldByName("middlewares").Len() == 0
	}
	return false
}

func typeIs(box reflect.Value, field string, names ...string) bool {
	f := box.FieldByName(field)
	if !f.IsValid() || f.Kind() != reflect.Interface || f.IsNil() {
		return false
	}
	for _, name := range names {
		if f.Elem().Type().String() == name {
			return true
		}
	}
	return false
}

// send hands the party a message. It runs no foreign code: a direct party's
// mailbox is one of protoactor's own, which only stores it.
func (p *party) send(message any) {
	if !p.direct {
		p.outboxes.put(p.process, outboxItem{p.pid, message, false})
		return
	}
	p.process.SendUserMessage(p.pid, message)
}

// watch asks for a Terminated when the party stops. It goes to the process
// itself: its name may be another's by now.
func (p *party) watch(watcher *actor.PID) { p.sendSystem(&actor.Watch{Watcher: watcher}) }

func (p *party) sendSystem(message any) {
	if !p.direct {
		p.outboxes.put(p.process, outboxItem{p.pid, message, true})
		return
	}
	p.process.SendSystemMessage(p.pid, message)
}

// seqHalf tells the two halves of the range of Seq apart: each counts up on
// its own.
func seqHalf(id messages.OpID) int { return int(id.Seq >> 63) }
