package sim

import (
	"fmt"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// Kernel is one simulated ring. [World.Open] makes one.
type Kernel struct {
	world  *World
	number int

	entries, completions int
	lacks                []ring.Code
	steady               bool

	pushed   []*request // in the submission queue
	inFlight []*request // consumed and not ended, the oldest first
	queue    []completion
	overflow []completion // do not fit the queue; an Enter brings them
	work     []completion // task work; an Enter brings it, or the issuer's thread

	masked  bool
	peeked  bool
	closed  bool
	ringing bool          // the bell is about to ring
	inside  int           // Enters under way, 0 or 1
	dead    syscall.Errno // of every Enter
	lost    int           // completions
	told    bool          // an Enter has said so
	enters  uint64
	ready   func()
	gone    func()
	asked   bool // AwaitGone was called
}

var _ ring.Kernel = (*Kernel)(nil)

// Open makes a ring, unless there is none to be had.
func (w *World) Open() (*Kernel, error) {
	if w.chance(w.Profile.Refuse, DidRefuse) {
		return nil, fmt.Errorf("%w: io_uring_setup: %w", ring.ErrUnavailable, unix.ENOMEM)
	}
	k := &Kernel{
		world:       w,
		number:      len(w.kernels) + 1,
		entries:     max(w.Profile.Entries, 2),
		completions: max(w.Profile.Completions, 2),
	}
	w.kernels = append(w.kernels, k)
	w.Note("ring %d opened", int64(k.number))
	return k, nil
}

// Kernels are all that were opened.
func (w *World) Kernels() []*Kernel { return w.kernels }

// Lacks has the kernel not support these.
func (k *Kernel) Lacks(codes ...ring.Code) { k.lacks = append(k.lacks, codes...) }

// Steady has the kernel neither hang nor die nor lose anything: a backend that
// consists of goroutines has no reason to.
func (k *Kernel) Steady() { k.steady = true }

// rate is how often it does what a steady one does not.
func (k *Kernel) rate(permille int) int {
	if k.steady {
		return 0
	}
	return permille
}

// use checks a call that only the holder of the run token makes.
func (k *Kernel) use(what string) {
	k.world.called()
	if k.closed {
		k.world.Violate("%s on ring %d after its Close", what, k.number)
	}
}

// useQueue checks a call that touches the submission queue: while an Enter
// hangs, the kernel has it.
func (k *Kernel) useQueue(what string) {
	k.use(what)
	if k.inside > 0 {
		k.world.Violate("%s on ring %d while an Enter is under way", what, k.number)
	}
}

// Push implements ring.Kernel.
func (k *Kernel) Push(name ring.UserData, r *ring.Request) bool {
	k.useQueue("Push")
	if len(k.pushed) >= k.entries {
		return false
	}
	if name.Kind() != ring.KindInternal && k.has(name) {
		k.world.Violate("%v was pushed twice", name)
	}
	if r.Linked || r.Code == ring.CodeLinkTimeout {
		k.world.Violate("chains of requests are not simulated")
	}
	k.pushed = append(k.pushed, k.take(name, r))
	return true
}

func (k *Kernel) has(name ring.UserData) bool {
	named := func(r *request) bool { return r.name == name }
	return slices.ContainsFunc(k.pushed, named) || slices.ContainsFunc(k.inFlight, named)
}

// Unsubmitted implements ring.Kernel.
func (k *Kernel) Unsubmitted() int {
	k.useQueue("Unsubmitted")
	return len(k.pushed)
}

// TakeBack implements ring.Kernel.
func (k *Kernel) TakeBack(f func(ring.UserData)) {
	k.useQueue("TakeBack")
	back := k.pushed
	k.pushed = nil
	for _, r := range back {
		r.letGo()
		f(r.name)
	}
}

// Peek implements ring.Kernel. Whoever finds nothing may be preempted right then,
// before he acts on it.
func (k *Kernel) Peek() (ring.CQE, bool) {
	k.use("Peek")
	if len(k.queue) == 0 {
		k.world.Preempt()
		return ring.CQE{}, false
	}
	k.peeked = true
	return k.queue[0].CQE, true
}

// Advance implements ring.Kernel.
func (k *Kernel) Advance() {
	k.use("Advance")
	if !k.peeked {
		k.world.Violate("Advance without Peek on ring %d", k.number)
		return
	}
	k.peeked = false
	k.queue = slices.Delete(k.queue, 0, 1)
}

// Backlog implements ring.Kernel.
func (k *Kernel) Backlog() bool {
	k.world.called()
	return len(k.queue) > 0 || k.inside == 0 && len(k.overflow)+len(k.work) > 0
}

// Mask implements ring.Kernel.
func (k *Kernel) Mask() {
	k.use("Mask")
	k.masked = true
}

// Unmask implements ring.Kernel. Like the real one it does not make up for what
// was missed.
func (k *Kernel) Unmask() {
	k.use("Unmask")
	k.masked = false
	k.world.Preempt() // after this the user looks once more
}

// Wait implements ring.Kernel: it returns at once.
func (k *Kernel) Wait(ready func()) {
	if k.ready != nil {
		k.world.Violate("two wait for ring %d", k.number)
	}
	k.ready = ready
	k.signal()
}

// signal rings the bell, if somebody waits for it.
func (k *Kernel) signal() {
	if k.masked || k.closed || k.ringing || k.ready == nil {
		return
	}
	k.ringing = true
	k.world.Go(func() {
		k.ringing = false
		if !k.closed {
			k.ready()
		}
	})
}

// Enters implements ring.Kernel.
func (k *Kernel) Enters() uint64 { return k.enters }

// Supports implements ring.Kernel.
func (k *Kernel) Supports(code ring.Code) bool {
	return code != ring.CodeLinkTimeout && !slices.Contains(k.lacks, code)
}

// Close implements ring.Kernel. It is no barrier: requests that can be cancelled
// are, in the kernel's own time, and the others go on.
func (k *Kernel) Close() error {
	if k.closed {
		return nil
	}
	k.closed = true
	w := k.world
	w.Note("ring %d closed with %d requests in flight", int64(k.number), int64(len(k.inFlight)))
	if len(k.pushed) > 0 {
		w.Violate("ring %d was closed with %d requests in its submission queue", k.number, len(k.pushed))
	}
	for _, r := range slices.Clone(k.inFlight) {
		if r.stage == armed {
			r.finishWithin(w.Profile.Delay, -int32(unix.ECANCELED))
		}
	}
	for _, r := range k.inFlight {
		r.touch(DidWriteAfterClose)
	}
	for _, unseen := range [...][]completion{k.queue, k.overflow, k.work} {
		for _, c := range unseen {
			c.drop(w)
		}
	}
	k.vanish()
	return nil
}

// AwaitGone implements ring.Kernel: it returns at once.
func (k *Kernel) AwaitGone(gone func()) {
	if k.asked {
		k.world.Violate("two wait for ring %d to be gone", k.number)
	}
	k.asked, k.gone = true, gone
	k.vanish()
}

// vanish says that the kernel is done with a closed ring, when it is.
func (k *Kernel) vanish() {
	if !k.closed || len(k.inFlight) > 0 || k.inside > 0 || k.gone == nil {
		return
	}
	gone := k.gone
	k.gone = nil
	k.world.did(DidGone)
	k.world.Go(gone)
}

// Number tells the rings of a world apart, 1 for the first.
func (k *Kernel) Number() int { return k.number }

// Closed reports whether it is.
func (k *Kernel) Closed() bool { return k.closed }

// Asked reports whether somebody asked for its end.
func (k *Kernel) Asked() bool { return k.asked }

// InFlight is how many requests the kernel has.
func (k *Kernel) InFlight() int { return len(k.inFlight) }

// Hangs reports whether an Enter is under way.
func (k *Kernel) Hangs() bool { return k.inside > 0 }

// Unseen is how many completions wait to be peeked.
func (k *Kernel) Unseen() int { return len(k.queue) }

// Lost is how many completions were lost.
func (k *Kernel) Lost() int { return k.lost }

// Stuck reports whether nobody can tell that the kernel is done with the ring:
// it has lost a completion, and nobody has entered since; or that of an Open or
// Close waits where nothing will bring it, since the ring cannot be entered any
// more, and may say that a descriptor is open.
func (k *Kernel) Stuck() bool {
	return k.lost > 0 && !k.told ||
		k.dead != 0 && slices.ContainsFunc(k.overflow, func(c completion) bool { return c.open })
}
