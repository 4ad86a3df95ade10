package actors

import (
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// mail is a message that waits, and for whom it was posted: the processes that
// the names of its owner, its reply address and its sender meant then.
type mail struct {
	message              any
	owner, reply, sender addressee
	more                 []addressee // of the rest of a batch
}

// addressee is a name, and whom it meant.
type addressee struct {
	pid     *actor.PID
	process actor.Process
}

func (e *engine) addressee(pid *actor.PID) addressee {
	if pid == nil {
		return addressee{}
	}
	process, _ := e.system.ProcessRegistry.Get(pid)
	return addressee{pid, process}
}

// is reports whether a PID is the addressee's name.
func (a addressee) is(pid *actor.PID) bool {
	return a.pid == pid || a.pid != nil && a.pid.Id == pid.Id && a.pid.Address == pid.Address
}

// mailOf looks up for whom a message is posted, on the poster's goroutine.
func (e *engine) mailOf(message any) mail {
	inner := actor.UnwrapEnvelopeMessage(message)
	owner, reply, sender := ownerNamed(inner), replyNamed(inner), actor.UnwrapEnvelopeSender(message)
	m := mail{message: message, owner: e.addressee(owner)}
	if reply != nil && reply != owner {
		m.reply = e.addressee(reply)
	}
	if sender != nil && sender != owner && sender != reply {
		m.sender = e.addressee(sender)
	}
	if batch, ok := inner.(*messages.SubmitBatch); ok && batch != nil {
		e.mailMore(&m, batch)
	}
	return m
}

// mailMore looks up whom the rest of a batch names, which is usually nobody else.
func (e *engine) mailMore(m *mail, batch *messages.SubmitBatch) {
	for _, s := range batch.Submits {
		if s == nil {
			continue
		}
		for _, pid := range [...]*actor.PID{s.ID.Owner, s.ReplyTo} {
			if pid == nil || pid == m.owner.pid || pid == m.reply.pid {
				continue
			}
			if _, known := m.knows(pid); !known {
				m.more = append(m.more, e.addressee(pid))
			}
		}
	}
}

// knows finds whom a name meant when the message was posted.
func (m *mail) knows(pid *actor.PID) (actor.Process, bool) {
	switch {
	case m.owner.is(pid):
		return m.owner.process, true
	case m.reply.is(pid):
		return m.reply.process, true
	case m.sender.is(pid):
		return m.sender.process, true
	}
	for _, a := range m.more {
		if a.is(pid) {
			return a.process, true
		}
	}
	return nil, false
}

// replyNamed is the reply address that a message names, of a batch the first.
func replyNamed(message any) *actor.PID {
	switch m := message.(type) {
	case *messages.Submit:
		if m != nil {
			return m.ReplyTo
		}
	case *messages.SubmitBatch:
		if m != nil && len(m.Submits) > 0 && m.Submits[0] != nil {
			return m.Submits[0].ReplyTo
		}
	case *messages.Cancel:
		if m != nil {
			return m.ReplyTo
		}
	case *messages.CancelOwner:
		if m != nil {
			return m.ReplyTo
		}
	case *messages.CancelHandle:
		if m != nil {
			return m.ReplyTo
		}
	}
	return nil
}

// ownerNamed is the owner that a message names, of a batch the first.
func ownerNamed(message any) *actor.PID {
	switch m := message.(type) {
	case *messages.Submit:
		if m != nil {
			return ownerOf(m, nil)
		}
	case *messages.SubmitBatch:
		if m != nil && len(m.Submits) > 0 && m.Submits[0] != nil {
			return m.Submits[0].ID.Owner
		}
	case *messages.Cancel:
		if m != nil {
			return m.ID.Owner
		}
	case *messages.CancelOwner:
		if m != nil {
			return m.Owner
		}
	}
	return nil
}

// mailQueue is one queue of a mailbox: any number of goroutines push, the
// runner pops. In the steady state it allocates nothing.
type mailQueue struct {
	length atomic.Int32

	mu      sync.Mutex
	waiting []mail

	// The rest is the runner's.
	batch []mail
	next  int
}

func (q *mailQueue) empty() bool { return q.length.Load() == 0 }

func (q *mailQueue) push(m mail) {
	q.mu.Lock()
	q.waiting = append(q.waiting, m)
	q.length.Add(1)
	q.mu.Unlock()
}

func (q *mailQueue) pop() (mail, bool) {
	if q.next == len(q.batch) && !q.refill() {
		return mail{}, false
	}
	m := q.batch[q.next]
	q.batch[q.next] = mail{}
	if q.next++; q.next == len(q.batch) && cap(q.batch) > queueKept {
		q.batch, q.next = nil, 0
	}
	q.length.Add(-1)
	return m, true
}

// queueKept is the capacity that a queue keeps once a flood is over.
const queueKept = 1024

func (q *mailQueue) refill() bool {
	if q.empty() {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.batch, q.next, q.waiting = q.waiting, 0, q.batch[:0]
	return len(q.batch) > 0
}
