package sim

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

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
	inside  int           // Enters under way, all but one of them fruitless
	dead    syscall.Errno // of every Enter
	lost    int           // completions
	told    bool          // an Enter has said so
	enters  uint64
	ready   func()
	gone    func()
	asked   bool // AwaitGone was called
}

var _ ring.Kernel = (*Kernel)(nil)

// fatalLost says that a completion was lost.
func (k *Kernel) fatalLost() error {
	k.told = true
	return k.fatal(errLost)
}

// completion is one CQE, whether it says that a descriptor is open of which
// nobody else knows, whether it is one of those that may, and whether it was
// seen before.
type completion struct {
	ring.CQE
	brings, open, again bool
}

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

// Peek implements ring.Kernel.
func (k *Kernel) Peek() (ring.CQE, bool) {
	k.use("Peek")
	if len(k.queue) == 0 {
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

// Enter implements ring.Kernel.
func (k *Kernel) Enter() (int, error) {
	k.use("Enter")
	switch {
	case k.closed:
		return 0, k.fatal(os.ErrClosed)
	case k.lost > 0:
		k.givenUp()
		return 0, k.fatalLost()
	case k.inside > 0 || len(k.pushed)+len(k.overflow)+len(k.work) == 0:
		return 0, nil
	case k.dead != 0:
		k.givenUp()
		return 0, k.fatal(k.dead)
	}
	k.enters++
	k.inside++
	defer func() {
		k.inside--
		k.vanish()
	}()
	take, err := k.enterPlan()
	if err == nil && k.world.nested < nestedMax && k.world.chance(k.rate(k.world.Profile.HangEnter), DidHangEnter) {
		before := k.world.pick(take + 1)
		n := k.consume(before)
		k.hang()
		if n < take && k.world.pick(3) == 2 {
			return n, k.enterEnd(ring.ErrBusy)
		}
		n += k.consume(take - before)
		return n, k.enterEnd(err)
	}
	return k.consume(take), k.enterEnd(err)
}

// givenUp checks that a ring which was reported lost is given no more operations
// to perform.
func (k *Kernel) givenUp() {
	if k.inside > 0 || k.dead == 0 && !k.told {
		return
	}
	for _, r := range k.pushed {
		if r.name.Kind() == ring.KindOp {
			k.world.Violate("ring %d was lost, and still is to perform %v", k.number, r.name)
		}
	}
}

// nestedMax is how many Enters hang inside each other at most.
const nestedMax = 3

// deaths are the errors after which a ring cannot be entered any more.
var deaths = [...]struct {
	errno syscall.Errno
	did   Behaviour
}{
	{errDisabled, DidFatalBadFD},
	{unix.ENXIO, DidFatalNXIO},
	{unix.EOWNERDEAD, DidFatalOwnerDead},
	{unix.EINVAL, DidFatalInvalid},
}

// enterPlan decides how many requests an Enter takes, and how it ends.
func (k *Kernel) enterPlan() (take int, err error) {
	w, n := k.world, len(k.pushed)
	switch {
	case w.fate.Chance(w.plain(k.rate(w.Profile.Fatal))):
		death := deaths[w.pick(len(deaths))]
		w.did(death.did)
		k.dead = death.errno
		return w.pick(n + 1), k.fatal(death.errno)
	case n > 0 && w.chance(w.Profile.Busy, DidBusy):
		if take = w.pick(n); take > 0 {
			w.did(DidPartial)
		}
		return take, ring.ErrBusy
	default:
		return n, nil
	}
}

// enterEnd is the way out of the kernel: what waits inside is brought.
func (k *Kernel) enterEnd(err error) error {
	if k.closed {
		return k.fatal(os.ErrClosed)
	}
	if k.dead == 0 {
		k.flush()
	}
	if k.lost > 0 {
		return k.fatalLost()
	}
	return err
}

// flush moves to the queue what waits for an Enter.
func (k *Kernel) flush() {
	for _, waiting := range [...]*[]completion{&k.overflow, &k.work} {
		n := min(len(*waiting), k.completions-len(k.queue))
		k.queue = append(k.queue, (*waiting)[:n]...)
		*waiting = slices.Delete(*waiting, 0, n)
	}
}

// consume takes requests out of the submission queue, the oldest first.
func (k *Kernel) consume(n int) int {
	n = min(n, len(k.pushed))
	if n > 0 && k.world.chance(k.world.Profile.Spurious, DidSpurious) {
		k.world.Go(k.signal)
	}
	for range n {
		r := k.pushed[0]
		k.pushed = slices.Delete(k.pushed, 0, 1)
		k.inFlight = append(k.inFlight, r)
		r.start()
	}
	return n
}

// hang has an Enter not return for a while. Others run meanwhile.
func (k *Kernel) hang() {
	w := k.world
	over := w.thawed
	release := func() { over = true }
	w.AfterFunc(time.Duration(1+w.pick(max(w.Profile.HangFor, 1)))*time.Millisecond, release)
	w.thaw = append(w.thaw, release)
	w.Note("enter of ring %d hangs", int64(k.number))
	w.Nested(func() bool { return over })
	w.Note("enter of ring %d goes on", int64(k.number))
}

func (k *Kernel) fatal(err error) error {
	return &ring.FatalError{Doing: "io_uring_enter", Err: err}
}

// post is a completion. Those of one request keep their order.
func (k *Kernel) post(c completion, taskWork bool) {
	w := k.world
	earlier := slices.ContainsFunc(k.work, func(other completion) bool { return other.UserData == c.UserData })
	switch {
	case k.closed:
		c.drop(w)
	case w.chance(k.rate(w.Profile.Lose), DidLose):
		k.lost++
		w.Note("completion of %d lost", int64(c.UserData))
		c.drop(w)
	case earlier || taskWork && w.chance(w.Profile.Async, DidTaskWork):
		k.work = append(k.work, c)
		w.Go(k.workDone)
	default:
		k.show(c)
	}
}

// show puts a completion where the user sees it, if there is room.
func (k *Kernel) show(c completion) {
	if c.repeated(k.world) {
		k.world.AfterFunc(time.Duration(k.world.pick(3))*time.Millisecond, func() {
			if !k.closed {
				k.show(completion{CQE: c.CQE, again: true})
			}
		})
	}
	if len(k.queue) >= k.completions || len(k.overflow) > 0 {
		k.world.did(DidOverflow)
		k.overflow = append(k.overflow, c)
		return
	}
	k.queue = append(k.queue, c)
	k.signal()
}

// repeated decides whether a completion is seen twice. No kernel has done that
// yet: it is the one liberty that is taken, since a user who crashed may have
// seen one without having given its place back.
func (c completion) repeated(w *World) bool {
	kind := c.UserData.Kind()
	return !c.again && (kind == ring.KindOp || kind == ring.KindCancel) && w.chance(w.Profile.Repeat, DidRepeat)
}

// workDone is the issuer's thread at its task work. While an Enter hangs it
// would hang behind that.
func (k *Kernel) workDone() {
	if k.closed || k.inside > 0 {
		return
	}
	work := k.work
	k.work = nil
	for _, c := range work {
		k.show(c)
	}
}

// drop is for a completion that nobody will see.
func (c completion) drop(w *World) {
	if c.brings {
		w.table.lost++
	}
}
