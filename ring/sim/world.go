package sim

import (
	"container/heap"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/ringmaster-io/ringmaster/ring"
)

// World is the simulated operating system, its clock and its scheduler.
// [NewWorld] makes one.
type World struct {
	// Profile says how often what happens. It may be changed at any time.
	Profile Profile
	// AfterStep, if not nil, is called after each step.
	AfterStep func()
	// OnTake, if not nil, is told of each transfer that a kernel begins with.
	OnTake func(*Description, *ring.Request)
	// OnNote, if not nil, is told of each event as it is noted.
	OnNote func(format string, args []int64)

	order *Choices // of the scheduler
	fate  *Choices // of kernels and devices

	now      time.Time
	runnable []*strand // have something to do, in the order in which that came
	running  *thread   // whose task runs; nil between two steps
	spare    []*thread // that have no task
	all      []*thread
	timers   timerHeap
	sequence uint64
	steps    int
	calls    int // into kernels, in this step
	hanging  int // tasks that hang
	hired    int // workers that were not dismissed
	calm     bool

	table    table
	kernels  []*Kernel
	lanes    []*Lane
	requests uint64
	owned    map[*byte]int // see Owned
	thawed   bool
	thaw     []func() // what hangs, see Thaw

	notes      uint64
	digest     uint64
	violations []error
	behaviours [behaviourCount]uint64
}

// start is when virtual time begins: any time will do that is not zero.
var start = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// NewWorld makes a world. order decides what runs next, fate what becomes of
// what the kernel was asked.
func NewWorld(order, fate *Choices, profile Profile) *World {
	return &World{
		Profile: profile,
		order:   order,
		fate:    fate,
		now:     start,
		owned:   make(map[*byte]int),
		digest:  fnvOffset,
	}
}

// strand is a sequence of tasks that run one after the other: a worker's, or a
// single one.
type strand struct {
	tasks  []func()
	pinned bool
	queued bool // in World.runnable
	busy   bool // its first task has begun, and not ended
	// parked, if not nil, is the thread of a task that has begun and goes on.
	parked *thread
}

// give appends a task to a strand.
func (w *World) give(s *strand, f func()) {
	s.tasks = append(s.tasks, f)
	if !s.busy {
		w.enqueue(s)
	}
}

func (w *World) enqueue(s *strand) {
	if !s.queued {
		s.queued = true
		w.runnable = append(w.runnable, s)
	}
}

// Step runs one task or timer. It reports false when there is none, or when
// the world has ended in a violation.
func (w *World) Step() bool {
	switch {
	case w.Failed():
		return false
	case len(w.runnable) == 0 && len(w.timers) == 0:
		return false
	case len(w.runnable) == 0 || len(w.timers) > 0 && w.order.Chance(w.plain(w.Profile.Early)):
		w.fire()
	default:
		w.run(w.next())
	}
	w.steps++
	w.calls = 0
	if w.AfterStep != nil {
		w.AfterStep()
	}
	return !w.Failed()
}

// next decides who runs: mostly the one that has waited for longest.
func (w *World) next() *strand {
	i := 0
	if len(w.runnable) > 1 && w.order.Chance(w.plain(w.Profile.Disorder)) {
		i = w.order.Pick(len(w.runnable))
	}
	s := w.runnable[i]
	w.runnable = slices.Delete(w.runnable, i, i+1)
	s.queued = false
	return s
}

// run runs the first task of a strand, or what is left of it.
func (w *World) run(s *strand) {
	if t := s.parked; t != nil {
		s.parked = nil
		w.resume(t)
		return
	}
	f := s.tasks[0]
	s.tasks = slices.Delete(s.tasks, 0, 1)
	s.busy = true
	w.begin(s, f)
}

// ran is what follows when a task of a strand has ended.
func (w *World) ran(s *strand) {
	s.busy = false
	if len(s.tasks) > 0 {
		w.enqueue(s)
	}
}

// fire lets time pass up to the next timer, and runs it.
func (w *World) fire() {
	t := heap.Pop(&w.timers).(*Timer)
	if t.when.After(w.now) {
		w.now = t.when
	}
	w.run(&strand{tasks: []func(){t.f}})
}

// Hangs reports whether a task hangs.
func (w *World) Hangs() bool { return w.hanging > 0 }

// Idle reports whether no task waits; timers may.
func (w *World) Idle() bool { return len(w.runnable) == 0 }

// Quiet reports whether nothing will ever happen any more by itself.
func (w *World) Quiet() bool { return w.Idle() && len(w.timers) == 0 }

// Steps is how many there were.
func (w *World) Steps() int { return w.steps }

// Calm has everything from now on take the plainest way, and lets go of all
// that hangs: it is for the end of a world that nobody looks at any more.
func (w *World) Calm() {
	w.calm = true
	w.violations = nil
	w.Thaw()
}

// plain is a chance, or none once the world is calm.
func (w *World) plain(permille int) int {
	if w.calm {
		return 0
	}
	return permille
}

// chance decides for a behaviour, and counts it.
func (w *World) chance(permille int, b Behaviour) bool {
	if !w.fate.Chance(w.plain(permille)) {
		return false
	}
	w.did(b)
	return true
}

// pick decides between n fates.
func (w *World) pick(n int) int {
	if w.calm {
		return 0
	}
	return w.fate.Pick(n)
}

// Violate records that a promise was broken. The world goes no further.
func (w *World) Violate(format string, args ...any) {
	if w.calm {
		return
	}
	err := fmt.Errorf(format, args...)
	w.violations = append(w.violations, err)
	w.Note("violation")
}

// callsMax is how often kernels may be called in one step.
const callsMax = 100_000

// called counts a call into a kernel. Whoever calls without end is stopped the
// hard way: his goroutine ends here.
func (w *World) called() {
	if w.calls++; w.calls > callsMax {
		w.calm = false
		w.Violate("somebody calls the kernel without end")
		runtime.Goexit()
	}
}

// Failed reports whether there was a violation.
func (w *World) Failed() bool { return len(w.violations) > 0 }

// Violations are those that there were.
func (w *World) Violations() []error { return w.violations }

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// Note records an event of the history. The format has a verb for each
// argument.
func (w *World) Note(format string, args ...int64) {
	w.notes++
	h := w.digest
	for i := range len(format) {
		h = (h ^ uint64(format[i])) * fnvPrime
	}
	for _, a := range args {
		h = (h ^ uint64(a)) * fnvPrime
	}
	w.digest = (h ^ uint64(w.now.UnixNano())) * fnvPrime
	if w.OnNote != nil {
		w.OnNote(format, slices.Clone(args))
	}
}

// Log adds to what OnNote is told, and is no event.
func (w *World) Log(format string, args ...int64) {
	if w.OnNote != nil {
		w.OnNote(format, slices.Clone(args))
	}
}

// Notes is how many events were noted, and Digest a hash of all of them.
func (w *World) Notes() uint64 { return w.notes }

// Digest is a hash of all events that were noted, their order and their times:
// two histories with the same digest are the same.
func (w *World) Digest() uint64 { return w.digest }
