package simulation

import (
	"errors"
	"fmt"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/ring"
)

// crash is a failure that is to strike.
type crash struct {
	point actors.Failpoint
	after int // visits of the point that it lets pass
	// waits: it lets all pass until the event has happened, and then strikes at
	// its point, or anywhere.
	waits, anywhere bool
	event           ring.Event
}

// errCrash is what the ring owner fails with at a failpoint.
var errCrash = errors.New("simulated crash")

// observe is told of each event of the lifecycle map.
func (h *history) observe(s ring.State, e ring.Event) {
	h.coverage.pair(s, e)
	h.world.Note(lifecycleNote(s, e))
	for _, c := range h.crashes {
		c.waits = c.waits && c.event != e
	}
}

// lifecycleNote is the event as it is noted.
func lifecycleNote(s ring.State, e ring.Event) string { return lifecycleNotes[s][e] }

var lifecycleNotes = func() map[ring.State]map[ring.Event]string {
	notes := make(map[ring.State]map[ring.Event]string)
	for s := range states() {
		notes[s] = make(map[ring.Event]string)
		for e := range events() {
			notes[s][e] = fmt.Sprintf("  %s: %s", s, e)
		}
	}
	return notes
}()

// failpoint strikes with the crashes that are due.
func (h *history) failpoint(p actors.Failpoint, _ int) {
	if !h.started {
		return
	}
	h.world.Preempt()
	for i, c := range h.crashes {
		if c.waits || c.point != p && !c.anywhere {
			continue
		}
		if c.after--; c.after >= 0 {
			continue
		}
		h.crashes = append(h.crashes[:i], h.crashes[i+1:]...)
		h.coverage.struck(p, h.inFlight() > 0)
		h.world.Note("crash: " + p.String())
		panic(errCrash)
	}
}
