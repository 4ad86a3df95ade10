package actors

import (
	"sync/atomic"
	"time"

	"github.com/ringmaster-io/ringmaster/ring"
)

// watchdog finds the holder of the token hanging inside the kernel: some
// drivers have io_uring_enter itself wait, without a bound. It reads a word of
// memory now and then, and makes no system call. It runs only while the kernel
// is entered: a receive that waits for data is no lack of progress.
type watchdog struct {
	drive    *drive
	patience time.Duration
	armed    atomic.Bool
	seen     uint64    // the visit that was under way at the last look
	due      time.Time // when the next look is
}

// arm has it look, if it does not do so yet.
func (w *watchdog) arm() {
	if !w.armed.Load() && !w.armed.Swap(true) {
		w.again()
	}
}

func (w *watchdog) again() {
	w.due = w.drive.crew.Now().Add(w.patience / 2)
	w.drive.crew.AfterFunc(w.patience/2, w.look)
}

// late reports whether a look comes so late that the program was itself stopped
// for a while, and with it whoever is inside.
func (w *watchdog) late() bool { return w.drive.crew.Now().Sub(w.due) > w.patience/2 }

// look is on a goroutine of its own, without the token. A visit hangs that was
// seen at the last look as well, unless that was too long ago. It takes two
// looks, so that a program that was itself stopped is not mistaken for one
// that hangs.
func (w *watchdog) look() {
	visit, inside := w.drive.token.visit()
	switch {
	case !inside:
		w.armed.Store(false)
		if _, inside := w.drive.token.visit(); inside { // it began just now, and relied on us
			w.arm()
		}
	case visit != w.seen || w.late():
		w.seen = visit
		w.again()
	case w.drive.token.revoke(visit):
		w.armed.Store(false)
		w.drive.takeOver()
	default:
		w.again()
	}
}

// takeOver goes on in place of a holder that hangs in the kernel. What it holds
// is its ring, which is given up, and maybe the runner goroutine.
func (d *drive) takeOver() {
	e := d.engine
	if !d.over {
		e.house.dismiss(d.runner)
		d.runner = e.house.hire(false)
	}
	l := e.entering
	l.stuck = true // it was not: nobody enters a ring that is
	e.stuck++
	if l.thread != nil { // it may hang as well: it has requests on that ring
		l.thread.gone = true
	}
	if l == e.aside {
		e.fenceAside()
	}
	d.failed(&ring.FatalError{Doing: "io_uring_enter", Err: ring.ErrStuck})
	d.run(nil)
}
