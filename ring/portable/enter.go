package portable

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// Enter implements [ring.Kernel]. It performs what never waits, and passes on
// the rest. It is never busy, and lost only when it is closed, or somebody has
// closed a descriptor of its own. Then it goes on with what it has, as far as that
// does not wait for readiness.
func (k *Kernel) Enter() (consumed int, err error) {
	if !k.presence.enter() {
		return 0, &ring.FatalError{Doing: "entering a portable kernel", Err: os.ErrClosed}
	}
	defer k.presence.leave()
	pending := k.sq.pending()
	flush, lost := k.cq.overflowed.Load(), k.lost.Load()
	if pending == 0 && !flush && lost == nil {
		return 0, nil
	}
	k.enters.Add(1)
	if flush {
		k.mu.Lock()
		k.cq.flush()
		k.mu.Unlock()
	}
	if lost != nil {
		k.unsaid.Store(false)
		return 0, lost
	}
	return k.consume(pending), nil
}

// consume performs or passes on so many requests, in order. It stops when the
// kernel is closed meanwhile.
func (k *Kernel) consume(pending uint32) (consumed int) {
	var limited ring.UserData // the last request, if it was linked
	linked := false
	for range pending {
		if k.presence.closed() {
			return consumed
		}
		s := k.sq.at(k.sq.head.Load())
		switch {
		case s.request.Code != ring.CodeLinkTimeout:
			k.issue(s.name, &s.request)
		case linked:
			k.linkTimeout(s.name, &s.request, limited)
		default:
			k.post(s.name, -int32(unix.EINVAL))
		}
		linked, limited = s.request.Linked, s.name
		k.sq.consumed()
		consumed++
	}
	return consumed
}

// issue performs a request, if it never waits, or has it performed.
func (k *Kernel) issue(name ring.UserData, r *ring.Request) {
	switch r.Code {
	case ring.CodeNop:
		k.post(name, 0)
	case ring.CodeCancel:
		k.issueCancel(name, ring.UserData(r.Off))
	case ring.CodeTimeout:
		k.timeout(name, r)
	case ring.CodePoll:
		if r.Async {
			k.issueWorker(name, r)
			return
		}
		k.issueStream(name, r)
	case ring.CodeRead, ring.CodeWrite, ring.CodeReadV, ring.CodeWriteV:
		switch {
		case r.NoWait && !r.Direct:
			k.post(name, k.calls.transferNoWait(r))
		case r.Off == ring.StreamOffset && r.Async:
			k.issueWorker(name, r)
		case r.Off == ring.StreamOffset:
			k.issueStream(name, r)
		default:
			k.issueCall(name, r)
		}
	default:
		if lacks(r.Code) {
			k.post(name, -int32(unix.EINVAL))
			return
		}
		k.issueCall(name, r)
	}
}

// issueCancel answers after its target, as far as that has ended.
func (k *Kernel) issueCancel(name, target ring.UserData) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.presence.closed() {
		return
	}
	res := k.cancel(target)
	k.postLocked(completion{CQE: ring.CQE{UserData: name, Res: res}})
}

// issueCall is for what may block.
func (k *Kernel) issueCall(name ring.UserData, r *ring.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if o := k.begin(name, r); o != nil {
		k.enqueue(o)
	}
}

// issueWorker is for what may wait for readiness, and is not to be tried on this
// thread: to ask a device whether it is ready may hang.
func (k *Kernel) issueWorker(name ring.UserData, r *ring.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if o := k.begin(name, r); o != nil {
		o.route = k.calls.first
		k.enqueue(o)
	}
}

// issueStream is for what can be tried without waiting.
func (k *Kernel) issueStream(name ring.UserData, r *ring.Request) {
	k.mu.Lock()
	o := k.begin(name, r)
	k.mu.Unlock()
	if o == nil {
		return
	}
	o.route = k.calls.first
	k.try(o)
}

// try makes an attempt that does not wait, and goes on from there.
func (k *Kernel) try(o *operation) {
	res, v := o.attempt(false)
	k.mu.Lock()
	k.settle(o, res, v)
	k.mu.Unlock()
}
