package actors

import "sync/atomic"

// household counts what is left of an engine outside the holder of the token:
// goroutines, workers, rings that are being closed. The last to leave, once the
// engine itself has left, turns off the light.
type household struct {
	crew    Crew
	members atomic.Int64
	empty   func()
}

// enter counts one in; leave counts it out, and is called last.
func (h *household) enter() { h.members.Add(1) }

func (h *household) leave() {
	if h.members.Add(-1) == 0 {
		h.empty()
	}
}

// run has the crew run f, and counts it.
func (h *household) run(f func()) {
	h.enter()
	h.crew.Go(func() {
		defer h.leave()
		f()
	})
}

// hire gives a worker that is counted until it has left, and dismiss sends one
// away.
func (h *household) hire(pinned bool) Worker {
	h.enter()
	return h.crew.Hire(pinned)
}

func (h *household) dismiss(w Worker) {
	w.Do(h.leave)
	w.Dismiss()
}
