package portable

import "sync/atomic"

// presence counts who is inside a kernel and may touch what requests refer to:
// an Enter, the workers, whoever waits for readiness. Once the kernel is closed
// nobody comes in any more, and when the last has left, gone is closed.
type presence struct {
	word atomic.Uint64
	gone chan struct{}
}

// The bits of presence.word.
const (
	stateClosed = 1 << 0
	stateInside = 1 << 1 // for each that is inside, counted upwards
)

// enter counts one in, and refuses when the kernel is closed.
func (p *presence) enter() bool {
	for {
		old := p.word.Load()
		if old&stateClosed != 0 {
			return false
		}
		if p.word.CompareAndSwap(old, old+stateInside) {
			return true
		}
	}
}

// leave counts one out. The last one to leave a closed kernel says so.
func (p *presence) leave() {
	if p.word.Add(^uint64(stateInside-1)) == stateClosed {
		close(p.gone)
	}
}

// close lets nobody in any more, and counts its caller in, who is to leave when
// he has cleaned up. It reports false when that has been done before.
func (p *presence) close() bool {
	for {
		old := p.word.Load()
		if old&stateClosed != 0 {
			return false
		}
		if p.word.CompareAndSwap(old, old+stateInside|stateClosed) {
			return true
		}
	}
}

func (p *presence) closed() bool { return p.word.Load()&stateClosed != 0 }
