package actors

import (
	"math/rand/v2"
	"runtime"
	"time"
)

// NewCrew is the Go runtime as a Crew.
func NewCrew() Crew { return goCrew{} }

type goCrew struct{}

func (goCrew) Now() time.Time { return time.Now() }

func (goCrew) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }

func (goCrew) Go(f func()) { go f() }

func (goCrew) Random() uint64 { return rand.Uint64() }

func (goCrew) Hire(pinned bool) Worker {
	w := goWorker{tasks: make(chan func(), 2)} // see Worker.Do
	go func() {
		if pinned {
			// The thread may be used again: when its worker is dismissed,
			// nothing that it issued is in flight any more.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
		}
		for f := range w.tasks {
			f()
		}
	}()
	return w
}

type goWorker struct{ tasks chan func() }

func (w goWorker) Do(f func()) { w.tasks <- f }

func (w goWorker) Dismiss() { close(w.tasks) }
