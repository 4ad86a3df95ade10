package portable

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/ringmaster-io/ringmaster/ring"
)

// Options say how large a kernel is.
type Options struct {
	// Entries is how many requests can be pushed before an Enter; 0 is 128.
	// It is rounded up to a power of two.
	Entries uint32
	// Completions is how many completions the queue holds before an Enter is
	// needed to see the next; 0 is twice Entries. Rounded up likewise.
	Completions uint32
	// Workers (WorkersDefault) is how many calls that may block are made at once. One that
	// has blocked for a while does not count; WorkersMax (eight times Workers)
	// is the bound that counts them all, each of which occupies a thread.
	Workers, WorkersMax int
}

// WorkersDefault is how many calls that may block are made at once.
const WorkersDefault = 128

const (
	entriesDefault = 128
	entriesMax     = 1 << 20
	workersFactor  = 8
)

// complete fills in the defaults.
func (o *Options) complete() error {
	if o.Entries == 0 {
		o.Entries = entriesDefault
	}
	if o.Completions == 0 {
		o.Completions = 2 * o.Entries
	}
	if o.Workers == 0 {
		o.Workers = WorkersDefault
	}
	if o.WorkersMax == 0 {
		o.WorkersMax = workersFactor * o.Workers
	}
	switch {
	case o.Entries > entriesMax || o.Completions > entriesMax:
		return fmt.Errorf("%d entries and %d completions, the most is %d", o.Entries, o.Completions, entriesMax)
	case o.Workers < 1 || o.WorkersMax < o.Workers:
		return fmt.Errorf("%d workers of %d", o.Workers, o.WorkersMax)
	}
	return nil
}

var _ ring.Kernel = (*Kernel)(nil)

// Kernel is a [ring.Kernel] of ordinary system calls.
//
// Only the holder of the run token uses it, as the seam says, with this addition:
// Backlog, Enters and Supports may be called by anyone at any time, beside Close
// too.
type Kernel struct {
	presence  presence
	sq        submissions
	cq        completions
	calls     calls
	readiness readiness
	masked    atomic.Bool
	enters    atomic.Uint64
	lost      atomic.Pointer[ring.FatalError] // nobody tells of readiness any more
	unsaid    atomic.Bool                     // no Enter has said so yet
	signal    chan struct{}                   // holds one that Wait has not passed on
	ended     chan struct{}                   // closed by Close

	// mu guards the rest, and the tail of cq. No system call that could wait
	// is made with it held.
	mu      sync.Mutex
	pending map[ring.UserData]*operation // what has not ended, by name
	watches map[int32]watches            // what waits for readiness, by descriptor
	armings uint64                       // how often a descriptor was armed
	crew    crew
	teller  teller
	spares  spares
}

// Open makes a kernel. It fails only for want of descriptors or memory, or if
// the options make no sense.
func Open(options Options) (*Kernel, error) { return open(options, openReadiness) }

func open(options Options, openReadiness func(*Kernel) (readiness, error)) (*Kernel, error) {
	if err := options.complete(); err != nil {
		return nil, fmt.Errorf("opening a portable kernel: %w", err)
	}
	k := &Kernel{
		presence: presence{gone: make(chan struct{})},
		calls:    probeCalls(),
		signal:   make(chan struct{}, 1),
		ended:    make(chan struct{}),
		pending:  make(map[ring.UserData]*operation),
		watches:  make(map[int32]watches),
	}
	k.sq.init(options.Entries)
	k.cq.init(options.Completions)
	k.crew.init(options, k.work)
	var err error
	if k.readiness, err = openReadiness(k); err != nil {
		return nil, fmt.Errorf("opening a portable kernel: %w", err)
	}
	return k, nil
}

// Push implements [ring.Kernel].
func (k *Kernel) Push(name ring.UserData, r *ring.Request) bool {
	if r.Code > ring.CodeLinkTimeout {
		panic(&ring.InvariantError{What: "request of no known code"})
	}
	return !k.presence.closed() && k.sq.push(name, r)
}

// Unsubmitted implements [ring.Kernel].
func (k *Kernel) Unsubmitted() int { return int(k.sq.pending()) }

// TakeBack implements [ring.Kernel].
func (k *Kernel) TakeBack(back func(ring.UserData)) { k.sq.takeBack(back) }

// Peek implements [ring.Kernel].
func (k *Kernel) Peek() (ring.CQE, bool) {
	cqe, ok := k.cq.peek()
	if !ok || k.presence.closed() {
		return ring.CQE{}, false
	}
	return cqe, true
}

// Advance implements [ring.Kernel].
func (k *Kernel) Advance() { k.cq.advance() }

// Backlog implements [ring.Kernel].
func (k *Kernel) Backlog() bool {
	return (k.cq.backlog() || k.unsaid.Load()) && !k.presence.closed()
}

// Mask implements [ring.Kernel].
func (k *Kernel) Mask() { k.masked.Store(true) }

// Unmask implements [ring.Kernel]. Who adds a completion looks at the mask
// after it, and who unmasks looks at the completions after that: one of the two
// sees the other.
func (k *Kernel) Unmask() { k.masked.Store(false) }

// Wait implements [ring.Kernel].
func (k *Kernel) Wait(ready func()) {
	for {
		select {
		case <-k.signal:
			if !k.presence.closed() {
				ready()
			}
		case <-k.ended:
			return
		}
	}
}

// Enters implements [ring.Kernel]: how many times Enter had something to do.
func (k *Kernel) Enters() uint64 { return k.enters.Load() }

// Supports implements [ring.Kernel].
func (k *Kernel) Supports(code ring.Code) bool { return code <= ring.CodeLinkTimeout && !lacks(code) }

// AwaitGone implements [ring.Kernel]. It knows: what a closed kernel still has
// are the calls that its workers are in.
func (k *Kernel) AwaitGone(gone func()) {
	<-k.presence.gone
	gone()
}

// Close implements [ring.Kernel]. What is queued or waits for readiness or time
// ends without a completion, and its memory is let go of; calls that are
// running go on. A descriptor that nobody will hear of is closed, now or when
// its call returns. Those of the kernel's own are closed when Close returns,
// which waits for nobody's call.
func (k *Kernel) Close() error {
	if !k.presence.close() {
		return nil
	}
	defer k.presence.leave()
	k.mu.Lock()
	fds := k.cq.unseen()
	k.forget()
	k.mu.Unlock()
	close(k.ended)
	k.readiness.stop()
	var err error
	for _, fd := range fds {
		err = errors.Join(err, closeFD(fd))
	}
	return err
}

// forget drops everything that has not ended and is not in a call.
// REQUIRES: k.mu.
func (k *Kernel) forget() {
	for _, o := range k.pending {
		o.timerStop()
		if o.other != nil {
			o.other.timerStop()
		}
		if o.place == placeAwait {
			o.wake.up()
		}
	}
	clear(k.pending)
	clear(k.watches)
	k.crew.forget()
	k.teller.forget()
	k.spares = spares{}
}

// post tells that a request has ended, inside the Enter that consumed it.
func (k *Kernel) post(name ring.UserData, res int32) {
	k.mu.Lock()
	k.postLocked(completion{CQE: ring.CQE{UserData: name, Res: res}})
	k.mu.Unlock()
}

// postLocked adds a completion, and signals it unless that is masked. It does
// not ask again whether the kernel is closed: Close, which may be about to take
// the lock, looks after what it finds here.
// REQUIRES: k.mu.
func (k *Kernel) postLocked(c completion) {
	k.cq.put(c)
	if !k.masked.Load() {
		k.wakeWaiter()
	}
}

// lose is for when nobody can tell of readiness any more: whose descriptors it
// takes were closed by somebody. What waits for it can be cancelled no more
// either, as Enter only says so.
func (k *Kernel) lose(doing string, err error) {
	if k.presence.closed() {
		return
	}
	if k.lost.CompareAndSwap(nil, &ring.FatalError{Doing: doing, Err: err}) {
		k.unsaid.Store(true)
		k.wakeWaiter()
	}
}

func (k *Kernel) wakeWaiter() {
	select {
	case k.signal <- struct{}{}:
	default: // Wait has not taken the last one yet
	}
}
