package actors_test

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringmaster-io/ringmaster/actors"
)

// clock is a crew whose time the test has in hand, so that no test depends on
// how fast the machine is: deadlines come when the test says so, and what it
// calls quickly is over soon.
type clock struct {
	actors.Crew
	ahead atomic.Int64 // of the real time

	mu     sync.Mutex
	timers map[*clockTimer]struct{} // that have neither fired nor been stopped

	looks chan func() // of the watchdog, if it is the test's
	feeds chan func() // those for whom there is little room
}

// quickly is a limit that is over in some milliseconds by the clock of the crew.
// By every other clock, such as that of a Shutdown, which must end in time
// however slow the machine is, it never is.
const quickly = patience - 1

// watchEvery is how often the watchdog looks when it is the test's.
const watchEvery = patience - 2

func newClock() *clock {
	return &clock{
		Crew:   actors.NewCrew(),
		timers: make(map[*clockTimer]struct{}),
		looks:  make(chan func(), 1),
		feeds:  make(chan func(), 1),
	}
}

// Now implements actors.Crew.
func (c *clock) Now() time.Time { return c.Crew.Now().Add(time.Duration(c.ahead.Load())) }

// pass lets time pass.
func (c *clock) pass(d time.Duration) {
	c.ahead.Add(int64(d))
	now := c.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for t := range c.timers {
		if !t.at.After(now) {
			go t.fire()
		}
	}
}

// AfterFunc implements actors.Crew.
func (c *clock) AfterFunc(d time.Duration, f func()) actors.Timer {
	switch d {
	case quickly:
		d = 20 * time.Millisecond
	case watchEvery:
		c.looks <- f // there is one at a time
		return nil   // which nobody stops
	case actors.FeedAfter:
		c.feeds <- f // likewise
		return idleTimer{}
	}
	t := &clockTimer{clock: c, at: c.Now().Add(d), f: f}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timers[t] = struct{}{}
	t.timer = c.Crew.AfterFunc(d, t.fire)
	return t
}

// clockTimer fires when its time has come, by the clock of the test.
type clockTimer struct {
	clock *clock
	at    time.Time
	f     func()
	timer actors.Timer
}

func (t *clockTimer) fire() {
	if t.Stop() {
		t.f()
	}
}

// Stop implements actors.Timer.
func (t *clockTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	t.timer.Stop()
	_, runs := t.clock.timers[t]
	delete(t.clock.timers, t)
	return runs
}

// look has the watchdog look. What is under way then and at its next look hangs.
func (c *clock) look() { (<-c.looks)() }

// feed has those told who have waited for long for the little room that there is.
func (c *clock) feed() { (<-c.feeds)() }

// idleTimer is one that is the test's.
type idleTimer struct{}

// Stop implements actors.Timer.
func (idleTimer) Stop() bool { return true }
