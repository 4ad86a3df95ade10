package ring

import (
	"fmt"
	"strings"
)

// The bounds of a world. How many operations and rings one really has is its
// configuration's.
const (
	slotsMax = 3
	linksMax = 3
	// inLane stands for the blocking lane where a link is asked for: it is
	// never lost, and holds its jobs as a ring holds its requests.
	inLane = linksMax
)

// errand is what an operation is, as far as its lifecycle depends on it.
type errand uint8

const (
	reading   errand = iota // brings nothing: a read, a stat, a write
	opening                 // brings a descriptor
	accepting               // brings one with each update
	blocking                // is performed by the lane
	adopting                // is performed by the engine itself, and brings a descriptor
	closing                 // ends a descriptor, and cannot be stopped
)

var errandNames = [...]string{"read", "open", "accept", "readdir", "adopt", "close"}

func (e errand) String() string { return errandNames[e] }

// place is where a kernel request is.
type place uint8

const (
	nowhere place = iota
	pushed        // in the submission queue; in the lane: waits for a worker
	taken         // the kernel has it
	ended         // its CQE waits to be reaped
)

var placeNames = [...]string{"", "pushed", "taken", "ended"}

// unless is nowhere for that place.
func (p place) unless(that place) place {
	if p == that {
		return nowhere
	}
	return p
}

// outcome is a result, as far as it matters.
type outcome uint8

const (
	noOutcome   outcome = iota
	plain               // whatever the kernel says
	brought             // a descriptor
	nothingDone         // not performed: ECANCELED, EAGAIN
	partDone            // a transfer that ended early, and is to go on
)

// slotWorld is one slot with its operation: what the table has of it, what the
// engine's payload has, where its requests are, and what the requester has seen.
// The zero value is a free slot.
type slotWorld struct {
	errand errand
	state  State
	op     bool // the table has a request of it outstanding
	aux    bool // the same for a cancel

	opAt, auxAt place
	link        uint8   // where both are
	opRes       outcome // in the CQE
	auxNo       bool    // the cancel's CQE says ENOENT or EALREADY
	more        bool    // the CQE of an update waits to be reaped
	moreAgain   bool    // and was reaped before
	// staleOp and staleAux are CQEs that the table has had and that are still in
	// their queue, since a failure came in between. A bit for each link.
	staleOp, staleAux uint8

	inReady, inDue bool // the engine's queues
	unasked        bool // its link's list of those to be cancelled
	res            outcome
	partly         bool // an earlier request of it has done a part
	ended          bool // of a close: the engine has done with its descriptor
	orphan         bool // unlinked from its owner
	waiter         bool // somebody waits for a CancelResult

	// What nobody can look up, and everything is checked against.
	answered bool // a terminal answer was sent
	fd       bool // a descriptor is open that nobody outside has
	asked    bool // the kernel has been asked to cancel it, and has not refused
}

// abandoned: nobody waits for its answer.
func (s *slotWorld) abandoned() bool { return s.orphan && s.errand != closing }

// over: nothing more is owed to anybody.
func (s *slotWorld) over() bool { return s.state == Settling || s.state == Quarantined }

// onRing: its requests go to a ring.
func (s *slotWorld) onRing() bool { return s.errand != blocking && s.errand != adopting }

// holds: it has a request on a ring. That is the engine's p.link.
func (s *slotWorld) holds(k int) bool { return (s.op || s.aux) && s.onRing() && int(s.link) == k }

// linkedTo: its operation is there.
func (s *slotWorld) linkedTo(k int) bool { return s.op && s.holds(k) }

// linkWorld is one ring that the engine has: the current one, if it is not
// draining.
type linkWorld struct {
	draining, timed, told, forfeited bool
	dead, lost                       bool // as the engine knows
	broken                           fault
	stuck                            bool // a holder hangs in its enter
	abandoned, gone                  bool

	// The kernel timer of the deadlines, and the request that cancels it.
	timer, disarmer          place
	armed, disarm            bool
	staleTimer, staleDisarms bool
}

// fault is what is wrong with a ring.
type fault uint8

const (
	healthy fault = iota
	refuses       // its enters fail
	loses         // and it has lost completions
)

// mode is who runs the engine.
type mode uint8

const (
	up      mode = iota // the actor
	down                // nobody: it has failed, and is to be restarted
	without             // nobody any more: it has stopped
)

var modeNames = [...]string{"up", "down", "stopped"}

// stage is how far the engine's end has come.
type stage uint8

const (
	stageServing stage = iota
	stageFinishing
	stageCancelling
	stageStopped
	stageGone
)

var stageNames = [...]string{"serving", "finishing", "cancelling", "answered", "gone"}

// frame is all of a world but its slots.
type frame struct {
	links    [linksMax]linkWorld // the first n
	n        uint8
	mode     mode
	stage    stage
	graced   bool // the grace of the shutdown has passed
	stranded bool
}

// world is one state of the model.
type world struct {
	slots [slotsMax]slotWorld
	frame
}

// current is the ring to which operations are issued, or -1.
func (w *world) current() int {
	if w.n > 0 && !w.links[w.n-1].draining {
		return int(w.n) - 1
	}
	return -1
}

// normalize gives up differences that mean nothing.
func (w *world) normalize() {
	for i := range w.slots {
		s := &w.slots[i]
		if !s.op && !s.aux {
			s.link = 0
		}
		if s.state != Cancelling && s.state != Cancelled {
			// Nobody asks for what is in a list and not to be cancelled.
			s.asked, s.unasked = false, false
		}
	}
}

// removeLink forgets a ring that is closed. What its queues still held went
// with it.
func (w *world) removeLink(k int) {
	copy(w.links[k:], w.links[k+1:])
	w.links[linksMax-1] = linkWorld{}
	w.n--
	for i := range w.slots {
		s := &w.slots[i]
		if s.link > uint8(k) && s.link < inLane {
			s.link--
		}
		s.staleOp = dropBit(s.staleOp, k)
		s.staleAux = dropBit(s.staleAux, k)
	}
}

func dropBit(set uint8, k int) uint8 {
	low := set & (1<<k - 1)
	return low | set>>(k+1)<<k
}

// String shows a world in one line.
func (w *world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s", modeNames[w.mode], stageNames[w.stage])
	for k := range int(w.n) {
		fmt.Fprintf(&b, "; ring %d%s", k, w.links[k].String())
	}
	for i := range w.slots {
		if s := &w.slots[i]; *s != (slotWorld{}) {
			fmt.Fprintf(&b, "; slot %d: %s", i, s.String())
		}
	}
	return b.String()
}

func (l *linkWorld) String() string {
	return flags(
		flag{"draining", l.draining}, flag{"told", l.told}, flag{"forfeited", l.forfeited},
		flag{"dead", l.dead}, flag{"lost", l.lost}, flag{"broken", l.broken != healthy}, flag{"stuck", l.stuck},
		flag{"abandoned", l.abandoned}, flag{"gone", l.gone},
		flag{"timer " + placeNames[l.timer], l.timer != nowhere}, flag{"disarm " + placeNames[l.disarmer], l.disarmer != nowhere},
	)
}

func (s *slotWorld) String() string {
	if s.state == Free {
		return "free"
	}
	at := fmt.Sprintf("%s %s", s.errand, s.state)
	if s.opAt != nowhere {
		at += fmt.Sprintf(" %s@%d", placeNames[s.opAt], s.link)
	}
	if s.auxAt != nowhere {
		at += fmt.Sprintf(" cancel %s@%d", placeNames[s.auxAt], s.link)
	}
	return at + flags(
		flag{"ready", s.inReady}, flag{"due", s.inDue}, flag{"unasked", s.unasked}, flag{"orphan", s.orphan},
		flag{"waiter", s.waiter}, flag{"answered", s.answered}, flag{"fd", s.fd}, flag{"more", s.more},
		flag{"stale", s.staleOp|s.staleAux != 0},
	)
}

type flag struct {
	name string
	set  bool
}

func flags(all ...flag) string {
	var b strings.Builder
	for _, f := range all {
		if f.set {
			b.WriteString(" +" + f.name)
		}
	}
	return b.String()
}
