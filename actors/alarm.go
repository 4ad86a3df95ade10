package actors

import (
	"sync/atomic"
	"time"
)

// alarm has the engine looked at when some time has passed. But for due it is
// touched by the holder of the token only.
type alarm struct {
	timer Timer
	set   bool        // and has neither rung nor been stopped
	due   atomic.Bool // it is time
}

// setAlarm sets an alarm, in place of what it was set to before.
func (e *engine) setAlarm(a *alarm, d time.Duration) {
	a.stop()
	a.set = true
	a.timer = e.crew.AfterFunc(d, func() {
		a.due.Store(true)
		e.drive.wake()
	})
}

func (a *alarm) stop() {
	a.set = false
	if a.timer != nil {
		a.timer.Stop()
	}
}

// rang reports, once, whether the time has come.
func (a *alarm) rang() bool {
	if !a.due.Load() {
		return false
	}
	a.due.Store(false)
	a.set = false
	return true
}
