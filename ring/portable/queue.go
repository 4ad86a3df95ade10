package portable

import (
	"math/bits"
	"sync/atomic"

	"github.com/ringmaster-io/ringmaster/ring"
)

// submissions is the queue of what was pushed. Tail belongs to whoever holds
// the run token, head to the Enter that consumes; others may read it.
type submissions struct {
	entries []submission
	head    atomic.Uint32
	tail    uint32
}

// submission is a request as it was pushed. It refers to the caller's memory
// until it is consumed, and not longer.
type submission struct {
	name    ring.UserData
	request ring.Request
}

func (q *submissions) init(entries uint32) { q.entries = make([]submission, roundUp(entries)) }

func (q *submissions) at(i uint32) *submission { return &q.entries[i&uint32(len(q.entries)-1)] }

func (q *submissions) pending() uint32 { return q.tail - q.head.Load() }

// push writes one request behind the others, if there is room for it, and for
// the link timeout that follows a linked one.
func (q *submissions) push(name ring.UserData, r *ring.Request) bool {
	need := uint32(1)
	if r.Linked {
		need = 2
	}
	if q.pending()+need > uint32(len(q.entries)) {
		return false
	}
	s := q.at(q.tail)
	s.name, s.request = name, *r
	q.tail++
	return true
}

// consumed drops the oldest.
func (q *submissions) consumed() {
	head := q.head.Load()
	q.at(head).request = ring.Request{}
	q.head.Store(head + 1)
}

// takeBack gives all that is not consumed to back, oldest first.
func (q *submissions) takeBack(back func(ring.UserData)) {
	head, n := q.head.Load(), q.pending()
	q.tail = head
	for i := range n {
		s := q.at(head + i)
		s.request = ring.Request{}
		back(s.name)
	}
}

// completions is the queue of what has ended. Who holds the run token takes
// from its head without a lock; who adds to its tail holds Kernel.mu. It grows
// when it has to, up to a bound; what does not fit then waits in overflow for an
// Enter.
type completions struct {
	// entries is replaced by a longer one with the same in it, before tail says
	// that there is more: who reads tail first finds what it promises.
	entries    atomic.Pointer[[]completion]
	head, tail atomic.Uint32
	most       uint32
	// seen is one more than the last place that was looked at: what lies
	// behind it is nobody's yet.
	seen atomic.Uint32

	overflow   []completion
	overflowed atomic.Bool
}

// completion is a CQE, and whether its result, if there is one, is a
// descriptor that somebody must close.
type completion struct {
	ring.CQE
	opened bool
}

// completionsFirst is how long the queue is at first.
const completionsFirst = 256

func (q *completions) init(most uint32) {
	q.most = roundUp(most)
	entries := make([]completion, min(completionsFirst, q.most))
	q.entries.Store(&entries)
}

func (q *completions) at(i uint32) *completion {
	entries := *q.entries.Load()
	return &entries[i&uint32(len(entries)-1)]
}

func (q *completions) backlog() bool {
	return q.head.Load() != q.tail.Load() || q.overflowed.Load()
}

func (q *completions) peek() (ring.CQE, bool) {
	head := q.head.Load()
	if head == q.tail.Load() {
		return ring.CQE{}, false
	}
	q.seen.Store(head + 1)
	return q.at(head).CQE, true
}

func (q *completions) advance() {
	head := q.head.Load()
	// INVARIANT: nobody gives back a place that holds no completion.
	if head == q.tail.Load() {
		panic(&ring.InvariantError{What: "advance over no completion"})
	}
	q.head.Store(head + 1)
}

// put adds a completion, behind all others.
// REQUIRES: Kernel.mu.
func (q *completions) put(c completion) {
	if len(q.overflow) > 0 || !q.fits(c) {
		q.overflow = append(q.overflow, c)
		q.overflowed.Store(true)
	}
}

func (q *completions) fits(c completion) bool {
	head, tail := q.head.Load(), q.tail.Load()
	if n := uint32(len(*q.entries.Load())); tail-head == n {
		if n == q.most {
			return false
		}
		q.grow(head, tail)
	}
	*q.at(tail) = c
	q.tail.Store(tail + 1)
	return true
}

func (q *completions) grow(head, tail uint32) {
	entries := make([]completion, 2*(tail-head))
	for i := head; i != tail; i++ {
		entries[i&uint32(len(entries)-1)] = *q.at(i)
	}
	q.entries.Store(&entries)
}

// flush moves to the queue what fits there.
// REQUIRES: Kernel.mu.
func (q *completions) flush() {
	n := 0
	for n < len(q.overflow) && q.fits(q.overflow[n]) {
		n++
	}
	q.overflow = q.overflow[n:]
	if len(q.overflow) == 0 {
		q.overflow = nil
		q.overflowed.Store(false)
	}
}

// unseen are the descriptors in completions that nobody has looked at.
// REQUIRES: Kernel.mu.
func (q *completions) unseen() (fds []int32) {
	add := func(c completion) {
		if c.opened && c.Res >= 0 {
			fds = append(fds, c.Res)
		}
	}
	head := q.head.Load()
	if seen := q.seen.Load(); seen == head+1 {
		head = seen
	}
	for ; head != q.tail.Load(); head++ {
		add(*q.at(head))
	}
	for _, c := range q.overflow {
		add(c)
	}
	return fds
}

// roundUp is the least power of two that is not less than n.
func roundUp(n uint32) uint32 { return 1 << bits.Len32(n-1) }
