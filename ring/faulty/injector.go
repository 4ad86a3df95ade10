package faulty

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
)

// fault is one way in which Enter can fail.
type fault struct {
	name string
	err  error
	// late: the kernel has consumed what was pushed before it fails.
	late bool
}

// busy is the fault that passes by itself; with all others the ring is lost.
const busy = 0

// faults are those that a kernel is known to have. EBADR says that a completion
// was lost, and EOWNERDEAD that the kernel's own submitting thread has died.
var faults = [...]fault{
	busy: {name: "busy", err: ring.ErrBusy},
	{name: "EBADF", err: fatal(syscall.EBADF)},
	{name: "ENXIO", err: fatal(syscall.ENXIO)},
	{name: "EFAULT", err: fatal(syscall.EFAULT)},
	{name: "EBADR", err: fatal(sys.EBADR), late: true},
	{name: "EOWNERDEAD", err: fatal(syscall.EOWNERDEAD), late: true},
}

func fatal(errno syscall.Errno) error {
	return &ring.FatalError{Doing: "injected error of io_uring_enter", Err: errno}
}

// Injector decides when its kernels fail, and how: one fault after the other in
// an order that its seed determines.
type Injector struct {
	// mean is after how many calls of Enter, on average, one fails.
	mean int
	lost func()

	stopped atomic.Bool
	counts  [len(faults)]atomic.Uint64

	mu   sync.Mutex
	dice *rand.Rand
	left int // calls until the next one that fails
}

// NewInjector has one in so many calls of Enter fail that have something to
// submit. If lost is not nil it is called before an Enter returns an error that
// its ring does not survive, on the goroutine that holds the ring.
func NewInjector(seed uint64, mean int, lost func()) *Injector {
	i := &Injector{mean: mean, lost: lost, dice: rand.New(rand.NewPCG(seed, seed))}
	i.left = i.gap()
	return i
}

// Opener is open with its kernels wrapped. C is what open wants to know.
func Opener[C any](i *Injector, open func(C) (ring.Kernel, error)) func(C) (ring.Kernel, error) {
	return func(config C) (ring.Kernel, error) {
		k, err := open(config)
		if err != nil {
			return nil, err
		}
		return i.Wrap(k), nil
	}
}

// Wrap gives a kernel that behaves as k and fails when the injector says so.
func (i *Injector) Wrap(k ring.Kernel) ring.Kernel { return &kernel{Kernel: k, injector: i} }

// Stop has the injector leave its kernels alone from now on.
func (i *Injector) Stop() { i.stopped.Store(true) }

// Total is how many errors there were.
func (i *Injector) Total() (n uint64) {
	for k := range i.counts {
		n += i.counts[k].Load()
	}
	return n
}

// String lists the errors of each kind.
func (i *Injector) String() string {
	var text strings.Builder
	for k, f := range faults {
		if k > 0 {
			text.WriteString(", ")
		}
		fmt.Fprintf(&text, "%s %d", f.name, i.counts[k].Load())
	}
	return text.String()
}

// next counts one call of Enter, and gives the fault that it is to have, if
// any. A call at which the ring may not be lost can only find it busy.
func (i *Injector) next(mayLose bool) *fault {
	if i.stopped.Load() {
		return nil
	}
	k, due := i.roll(mayLose)
	if !due {
		return nil
	}
	i.counts[k].Add(1)
	if k != busy && i.lost != nil {
		i.lost()
	}
	return &faults[k]
}

func (i *Injector) roll(mayLose bool) (k int, due bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.left--; i.left > 0 {
		return 0, false
	}
	i.left = i.gap()
	// Being busy is as frequent as all that is fatal together.
	if mayLose && i.dice.IntN(2) == 0 {
		return busy + 1 + i.dice.IntN(len(faults)-1), true
	}
	return busy, true
}

func (i *Injector) gap() int { return 1 + i.dice.IntN(2*i.mean) }
