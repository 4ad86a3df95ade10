package actors

import (
	"reflect"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// outbox delivers to a process whose mailbox may block its sender or run code on
// the sender's stack. It is there, with a goroutine, while there is something to
// deliver; one that a consumer holds up holds nobody else.
type outbox struct {
	process actor.Process
	all     *outboxes
	waiting []outboxItem
}

type outboxItem struct {
	pid     *actor.PID
	message any
	system  bool
}

// outboxes are those that are at work. A party may be forgotten while its outbox
// still delivers, and its process become a party again: that one gets the same
// outbox, so that nothing overtakes.
type outboxes struct {
	crew   Crew
	mu     sync.Mutex // for all outboxes: they are rare, and it is held briefly
	atWork map[actor.Process]*outbox
}

func newOutboxes(crew Crew) *outboxes {
	return &outboxes{crew: crew, atWork: make(map[actor.Process]*outbox)}
}

// put has something delivered by a process's outbox.
func (os *outboxes) put(process actor.Process, item outboxItem) {
	os.mu.Lock()
	defer os.mu.Unlock()
	o := os.atWork[process]
	if o == nil {
		o = &outbox{process: process, all: os}
		os.atWork[process] = o
		os.crew.Go(o.run)
	}
	o.waiting = append(o.waiting, item)
}

// tell sends a message to whoever has a name, behind what waits for him. Any
// goroutine may call it, and neither waits nor runs foreign code.
func (os *outboxes) tell(system *actor.ActorSystem, pid *actor.PID, message any) {
	process, alive := system.ProcessRegistry.Get(pid)
	if !alive {
		return
	}
	item := outboxItem{pid, message, false}
	switch {
	case !reflect.TypeOf(process).Comparable(): // it is no party either, and has no outbox
		os.crew.Go(func() { deliver(process, item) })
	case !os.has(process) && takesAtOnce(process):
		process.SendUserMessage(pid, message)
	default:
		os.put(process, item)
	}
}

func (os *outboxes) has(process actor.Process) bool {
	os.mu.Lock()
	defer os.mu.Unlock()
	return os.atWork[process] != nil
}

// idle reports whether everything is delivered.
func (os *outboxes) idle() bool {
	os.mu.Lock()
	defer os.mu.Unlock()
	return len(os.atWork) == 0
}

func (o *outbox) run() {
	for batch := o.take(); len(batch) > 0; batch = o.take() {
		for _, item := range batch {
			deliver(o.process, item)
		}
	}
}

// take gives what waits. When that is nothing, the outbox is not at work any
// more.
func (o *outbox) take() []outboxItem {
	o.all.mu.Lock()
	defer o.all.mu.Unlock()
	batch := o.waiting
	o.waiting = nil
	if len(batch) == 0 {
		delete(o.all.atWork, o.process)
	}
	return batch
}

func deliver(process actor.Process, item outboxItem) {
	defer func() { _ = recover() }() // foreign code, whose failure is not ours
	if item.system {
		process.SendSystemMessage(item.pid, item.message)
		return
	}
	process.SendUserMessage(item.pid, item.message)
}
