package actors

import (
	"reflect"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// outbox delivers to a process whose mailbox may block its sender or run code on
// the sender's stack. Its goroutine lives while there is something to deliver;
// one that a consumer holds up holds nobody else.
type outbox struct {
	process actor.Process
	all     *outboxes
	waiting []outboxItem
	running bool
}

type outboxItem struct {
	pid     *actor.PID
	message any
	system  bool
}

// outboxes knows those that are at work. A party may be forgotten while its
// outbox still delivers, and its process become a party again: that one gets
// the same outbox, so that nothing overtakes.
type outboxes struct {
	crew   Crew
	mu     sync.Mutex // for all outboxes: they are rare, and it is held briefly
	atWork map[actor.Process]*outbox
}

func newOutboxes(crew Crew) *outboxes {
	return &outboxes{crew: crew, atWork: make(map[actor.Process]*outbox)}
}

// of is the outbox of a process.
func (os *outboxes) of(process actor.Process) *outbox {
	os.mu.Lock()
	defer os.mu.Unlock()
	if o := os.atWork[process]; o != nil {
		return o
	}
	return &outbox{process: process, all: os}
}

// follow has a message delivered behind what waits for a process, if anything
// does. Any goroutine may call it.
func (os *outboxes) follow(pid *actor.PID, message any, system *actor.ActorSystem) bool {
	process, alive := system.ProcessRegistry.Get(pid)
	if !alive || !reflect.TypeOf(process).Comparable() {
		return false
	}
	os.mu.Lock()
	defer os.mu.Unlock()
	o := os.atWork[process]
	if o != nil {
		o.waiting = append(o.waiting, outboxItem{pid, message, false})
	}
	return o != nil
}

// idle reports whether everything is delivered.
func (os *outboxes) idle() bool {
	os.mu.Lock()
	defer os.mu.Unlock()
	return len(os.atWork) == 0
}

func (o *outbox) put(item outboxItem) {
	o.all.mu.Lock()
	defer o.all.mu.Unlock()
	o.waiting = append(o.waiting, item)
	if !o.running {
		o.running = true
		o.all.atWork[o.process] = o
		o.all.crew.Go(o.run)
	}
}

func (o *outbox) run() {
	for batch := o.take(); len(batch) > 0; batch = o.take() {
		for _, item := range batch {
			o.deliver(item)
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
		o.running = false
		delete(o.all.atWork, o.process)
	}
	return batch
}

func (o *outbox) deliver(item outboxItem) {
	defer func() { _ = recover() }() // foreign code, whose failure is not ours
	if item.system {
		o.process.SendSystemMessage(item.pid, item.message)
		return
	}
	o.process.SendUserMessage(item.pid, item.message)
}
