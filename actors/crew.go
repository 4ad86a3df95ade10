package actors

import "time"

// Crew is who does the ring owner's work, and when: its goroutines, its threads
// and its clock. [NewCrew] is the Go runtime's; a simulation has one of its own,
// which decides what runs next, and that alone, so that the same decisions give
// the same history.
//
// Nothing that a Crew runs blocks on anything else that it runs.
type Crew interface {
	// Now is the time, by which deadlines and drains are judged.
	Now() time.Time
	// AfterFunc runs f on some goroutine when d has passed, unless it is stopped
	// before.
	AfterFunc(d time.Duration, f func()) Timer
	// Go runs f on a goroutine of its own, soon.
	Go(f func())
	// Hire gives a goroutine that is kept between its tasks; a pinned one is
	// locked to a thread of its own for as long.
	Hire(pinned bool) Worker
	// Random is any number, for the jitter of a back-off.
	Random() uint64
}

// Timer is what a Crew's AfterFunc gives.
type Timer interface {
	// Stop reports whether it came before f was started.
	Stop() bool
}

// Worker is one goroutine of a Crew.
type Worker interface {
	// Do has the worker run f. It never blocks: whoever has a Worker gives it
	// one task at a time, and at most one more while that task is ending.
	Do(f func())
	// Dismiss ends the worker after what it was given; there is no Do after it.
	Dismiss()
}
