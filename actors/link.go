package actors

import (
	"sync/atomic"

	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/portable"
)

// link is one ring of the engine: the current one, or an earlier one that is
// being drained.
type link struct {
	kernel ring.Kernel
	epoch  uint64

	// requests are those pushed and not completed, of every kind; operations
	// among them count against the limit.
	requests   int
	operations int

	// worked: it has completed an operation with that one's own result.
	worked bool
	// portable: its kernel cannot interrupt a call that has begun.
	portable bool

	draining bool
	// dead: its enter fails for good. What it has may still complete.
	dead bool
	// lost: the kernel has lost a completion, so that not everything will end.
	lost bool
	// gone is set when it was closed with operations in flight, and the kernel
	// has let go of them.
	gone atomic.Bool
	// stuck: a holder of the token hangs in its enter, and the submission queue
	// is not to be touched. back is set when he returns, and late is what the
	// kernel consumed meanwhile.
	stuck    bool
	back     atomic.Bool
	late     atomic.Uint64
	lateLost atomic.Bool
	// overdue rings when a draining ring's time is up.
	overdue   alarm
	told      bool // its operations were asked to stop
	forfeited bool
	// unasked are the slots whose operation the kernel is still to be asked to
	// cancel.
	unasked []uint32

	thread *pinnedThread
}

// wantsToAsk reports whether there are cancels to be pushed.
func (l *link) wantsToAsk() bool {
	return !l.dead && !l.stuck && len(l.unasked) > 0
}

// entries is the size of the submission queue: how many requests one enter
// publishes at most.
const entries = 256

// workersDefault is Config.Workers'. The kernel's own bound for path operations
// is four a processor: so few that some opens of a FIFO, which wait for its
// other end, would keep everybody else's waiting too. With workersLeast a file
// system has eight, so that what waits for one another gets there.
const (
	workersDefault = 512
	workersLeast   = 64
)

// openPortable opens a kernel of ordinary system calls.
func openPortable(c Config) (ring.Kernel, error) {
	return portable.Open(portable.Options{
		Entries:     entries,
		Completions: completions(c),
		Workers:     min(portable.WorkersDefault, 2*c.Workers),
		WorkersMax:  2 * c.Workers,
	})
}

// completions is the size of the completion queue: each operation, and a
// cancel for each, and the timers, so that it never overflows. It is no smaller
// than the submission queue: the kernel refuses that.
func completions(c Config) uint32 {
	n := uint32(entries)
	for n < uint32(2*c.InFlight+64) {
		n *= 2
	}
	return n
}
