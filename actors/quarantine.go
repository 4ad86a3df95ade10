package actors

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// A ring whose operations were forfeited stays open, and is reaped: the late
// completion frees an operation's memory, and brings the descriptor that is to
// be closed. Only a ring that cannot be reaped to its end is closed with
// operations in flight. That is no barrier: the kernel goes on writing to their
// memory, and tells when it is done (ring.Kernel's AwaitGone).

// hopeless reports whether a ring's completions will not all come: the kernel
// has lost some, or lets itself not be entered any more. In the latter case
// what is in flight may bring a descriptor, which only its completion tells. That
// comes to a queue that has room for it (see completions): on the kernel's overflow
// list, which only an enter empties, it would keep its ring for good.
func (e *engine) hopeless(l *link) bool {
	if !l.forfeited || l.requests == 0 || l.stuck {
		return false
	}
	return l.lost || l.dead && e.mayBring(l) == 0
}

// mayBring is how many operations of a ring may bring a descriptor, or may not
// have closed one.
func (e *engine) mayBring(l *link) (n uint64) {
	e.table.Each(func(i uint32, _ ring.State) {
		p := e.table.Payload(i)
		if _, out := e.table.Outstanding(i); out && p.link == l && (p.request.Code == ring.CodeOpen || p.isClose()) {
			n++
		}
	})
	return n
}

// abandon closes a hopeless ring.
func (e *engine) abandon(l *link) {
	e.counters.Lost += e.mayBring(l)
	e.ghosts = append(e.ghosts, l)
	e.closeLink(l)
	e.house.enter()
	e.crew.Go(func() {
		l.kernel.AwaitGone(func() {
			l.gone.Store(true)
			e.drive.wake()
			e.house.leave()
		})
	})
}

// exorcise ends what abandoned rings had, once their kernels are done with it.
func (e *engine) exorcise() {
	if len(e.ghosts) == 0 {
		return
	}
	e.ghosts = slices.DeleteFunc(e.ghosts, func(l *link) bool {
		gone := l.gone.Load()
		if gone {
			e.bury(l)
		}
		return gone
	})
}

// bury ends what an abandoned ring had in flight, once the kernel is done with
// it.
func (e *engine) bury(l *link) {
	e.table.Each(func(i uint32, _ ring.State) {
		p := e.table.Payload(i)
		if p.link != l {
			return
		}
		p.link = nil
		u, operation := e.table.Outstanding(i)
		if cancel, asked := e.table.OutstandingCancel(i); asked {
			e.apply(i, e.table.Completed(cancel, 0))
		}
		switch {
		case !operation:
		case p.isClose(): // it may have been performed, and the number be another file's
			e.finish(i, p, u, 0)
		default:
			e.finish(i, p, u, -int32(unix.ECANCELED))
		}
	})
	e.herald.Announce(&messages.RingClosedEvent{Owner: e.self, Epoch: l.epoch})
}
