package ring

import (
	"fmt"
	"sync/atomic"

	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
)

// submissionQueue is the side of a ring that we write. Head is the kernel's;
// tail is ours, and is stored only after the entries before it are whole: Go's
// atomics order the two. Without SQPOLL the kernel reads it only inside an
// enter.
type submissionQueue struct {
	head, tail, flags, dropped *atomic.Uint32

	mask    uint32
	entries []sys.SQE
	memory  []entryMemory // one for each entry

	// next is the tail including what is pushed and not yet published; first is
	// where head began.
	next, first uint32
}

func newSubmissionQueue(mem, sqes []byte, p *sys.Params) (q submissionQueue, err error) {
	word := words{mem: mem}
	q.head = word.at(p.SQOff.Head)
	q.tail = word.at(p.SQOff.Tail)
	q.flags = word.at(p.SQOff.Flags)
	q.dropped = word.at(p.SQOff.Dropped)
	q.mask, err = word.mask(p.SQOff.RingMask, p.SQOff.RingEntries, p.SQEntries)
	if err != nil {
		return q, fmt.Errorf("submission queue: %w", err)
	}
	if q.entries, err = sys.SQEs(sqes, p.SQEntries); err != nil {
		return q, fmt.Errorf("submission entries: %w", err)
	}
	q.memory = make([]entryMemory, p.SQEntries)
	q.next, q.first = q.tail.Load(), q.head.Load()
	if p.Flags&sys.SetupNoSQArray != 0 {
		return q, nil
	}
	array, err := sys.Words(mem, p.SQOff.Array, p.SQEntries)
	if err != nil {
		return q, fmt.Errorf("submission array: %w", err)
	}
	for i := range array {
		array[i] = uint32(i) // place i holds entry i, for ever
	}
	return q, nil
}

// push writes one request behind the others, if there is room for it, and for
// the link timeout that follows a linked one.
func (q *submissionQueue) push(name UserData, r *Request) bool {
	need := uint32(1)
	if r.Linked {
		need = 2
	}
	if q.pending()+need > uint32(len(q.entries)) {
		return false
	}
	sys.Escape(r.Buf, r.Mem)
	i := q.next & q.mask
	encode(&q.entries[i], &q.memory[i], name, r)
	q.next++
	return true
}

// pending is how many entries the kernel has not consumed, published or not.
func (q *submissionQueue) pending() uint32 {
	pending := q.next - q.head.Load()
	// INVARIANT: the kernel's head never passes our tail, and is never further
	// behind than the queue is long.
	if pending > uint32(len(q.entries)) {
		panic(&InvariantError{What: fmt.Sprintf("%d entries pending in a submission queue of %d", pending, len(q.entries))})
	}
	return pending
}

// consumed is how many entries the kernel has ever consumed, modulo 2^32.
func (q *submissionQueue) consumed() uint32 { return q.head.Load() - q.first }

// publish lets the kernel see what was pushed, and counts what it has not
// consumed.
func (q *submissionQueue) publish() uint32 {
	q.tail.Store(q.next)
	return q.pending()
}

// takeBack gives each entry that the kernel has not consumed to back, oldest
// first, and rewinds the tail to the kernel's head.
func (q *submissionQueue) takeBack(back func(UserData)) {
	head := q.head.Load()
	pending := q.pending()
	q.next = head
	q.tail.Store(head)
	for i := range pending {
		back(UserData(q.entries[(head+i)&q.mask].UserData))
	}
}

// completionQueue is the side of a ring that the kernel writes. Tail is the
// kernel's, head ours: storing it gives the places before it away.
type completionQueue struct {
	head, tail, flags, overflow *atomic.Uint32

	mask    uint32
	entries []sys.CQE

	// given is how many terminal completions were given back, modulo 2^32.
	given uint32
}

func newCompletionQueue(mem []byte, p *sys.Params) (q completionQueue, err error) {
	word := words{mem: mem}
	q.head = word.at(p.CQOff.Head)
	q.tail = word.at(p.CQOff.Tail)
	q.flags = word.at(p.CQOff.Flags)
	q.overflow = word.at(p.CQOff.Overflow)
	q.mask, err = word.mask(p.CQOff.RingMask, p.CQOff.RingEntries, p.CQEntries)
	if err != nil {
		return q, fmt.Errorf("completion queue: %w", err)
	}
	if q.entries, err = sys.CQEs(mem, p.CQOff.CQEs, p.CQEntries); err != nil {
		return q, fmt.Errorf("completion entries: %w", err)
	}
	return q, nil
}

// ready is how many completions are in the queue.
func (q *completionQueue) ready() uint32 { return q.tail.Load() - q.head.Load() }

func (q *completionQueue) peek() (CQE, bool) {
	head := q.head.Load()
	if head == q.tail.Load() {
		return CQE{}, false
	}
	c := &q.entries[head&q.mask]
	return CQE{UserData: UserData(c.UserData), Res: userResult(c.Res), Flags: c.Flags}, true
}

// userResult is a result as a system call would give it. The kernel has codes
// of its own for a call that is to be restarted after a signal, and lets those
// of some operations out (6.18: an open of a FIFO that was cancelled).
func userResult(res int32) int32 {
	if -res >= sys.RestartFirst && -res <= sys.RestartLast {
		return -int32(sys.EINTR)
	}
	return res
}

func (q *completionQueue) advance() {
	ready := q.ready()
	// INVARIANT: we give back no place that holds no completion.
	if ready == 0 || ready > uint32(len(q.entries)) {
		panic(&InvariantError{What: fmt.Sprintf("advance over one of %d completions in a queue of %d", ready, len(q.entries))})
	}
	head := q.head.Load()
	if q.terminal(head) {
		q.given++
	}
	q.head.Store(head + 1)
}

func (q *completionQueue) terminal(i uint32) bool { return q.entries[i&q.mask].Flags&sys.CQEMore == 0 }

// ended is how many requests have ever completed for good, modulo 2^32.
func (q *completionQueue) ended() uint32 {
	n, head := q.given, q.head.Load()
	for i := range min(q.ready(), uint32(len(q.entries))) {
		if q.terminal(head + i) {
			n++
		}
	}
	return n
}

// words finds the shared words of a ring's mapping, and keeps the first error.
type words struct {
	mem []byte
	err error
}

func (w *words) at(offset uint32) *atomic.Uint32 {
	word, err := sys.Word(w.mem, offset)
	if err != nil && w.err == nil {
		w.err = err
	}
	return word
}

// mask is the index mask of a queue, once the kernel has said in two places
// the same about its length. It also gives the error that any word met.
func (w *words) mask(mask, entries, want uint32) (uint32, error) {
	m, n := w.at(mask), w.at(entries)
	if w.err != nil {
		return 0, w.err
	}
	if got := n.Load(); got != want || want&(want-1) != 0 || m.Load() != want-1 {
		return 0, fmt.Errorf("kernel gives %d entries with mask %#x where it said %d", got, m.Load(), want)
	}
	return m.Load(), nil
}
