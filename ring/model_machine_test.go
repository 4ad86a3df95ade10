package ring

// machine is the engine of package actors as far as the lifecycle goes: what it
// does with the table's effects, and in which order. Its methods are named after
// the engine's. Whatever breaks the promise panics with a violation.
type machine struct {
	world
	*configuration
	table    *slotTable
	requests [linksMax + 1]int // the engine's count, of each link

	// from is the world from which moves are made, and what is so there.
	from    *world
	counted [linksMax + 1]int // requests
	blocked bool              // each turn fails at the enter of a ring
	tear    int               // the step fails when it has come to so many of its windows
	// made takes each move's result.
	made func(c class, l label, broken string)
}

// begin makes the moves from a world.
func (m *machine) begin(w *world) {
	m.world, m.from = *w, w
	m.blocked = false
	for k := range m.requests {
		m.counted[k] = m.outstanding(k)
		if k < int(m.n) {
			l := &m.links[k]
			m.blocked = m.blocked || l.broken != healthy && !l.dead && !l.stuck && m.unentered(k)
		}
	}
	m.requests = m.counted
	m.moves()
}

// try makes one move, and goes back to where it began.
func (m *machine) try(c class, l label, do func()) {
	m.tryOnce(c, l, do)
	l.torn = m.torn != whole
	for n, torn := 1, l.torn; torn; n++ {
		torn = false
		m.tryOnce(byFate, l, func() {
			if torn = m.tearAt(n, do); torn {
				m.failed()
			}
		})
	}
}

func (m *machine) tryOnce(c class, l label, do func()) {
	defer func() {
		if r := recover(); r != nil {
			m.made(c, l, brokenBy(r))
		}
		m.world, m.requests = *m.from, m.counted
	}()
	do()
	for k := range int(m.n) {
		must(m.links[k].abandoned || m.requests[k] == m.outstanding(k), "the engine's count of a ring's requests is wrong")
	}
	m.made(c, l, "")
}

func brokenBy(r any) string {
	switch r := r.(type) {
	case violation:
		return string(r)
	case *InvariantError:
		return r.Error()
	}
	panic(r)
}

// violation is a broken promise.
type violation string

func must(kept bool, promise string) {
	if !kept {
		panic(violation(promise))
	}
}

// bugs are the mistakes that can be seeded into the engine: against the rules
// that it is to keep, one by one.
type bugs struct {
	releaseOverOp      bool // a slot is freed though its operation is outstanding
	releaseOverAux     bool // or its cancel
	generationsIgnored bool // user data names a slot, and nothing more
	cancelRetires      bool // a cancel's own success ends its operation
	askedOnce          bool // a cancel that found nothing is not repeated
	toldAtOnce         bool // a CancelResult does not wait
	retryOfCancelled   bool // a result that says "again" is obeyed whatever was asked
	partForgotten      bool // of what is not issued again, nothing was done
	notRequeued        bool // what was taken back after a ring's death is in no queue
	noTakeBack         bool // nothing is taken back
	repairsNoQueued    bool // a registered operation is not found again
	closesEarly        bool // a ring is closed when its operations have ended, not its cancels
	closesInFlight     bool // a ring that is to be drained is closed at once
	buriesAtClose      bool // a closed ring's memory is freed before the kernel is done
	buriesOpens        bool // a ring that is dead is closed though it may bring descriptors
	buriesCloses       bool // or has closes to perform
	orphansUncounted   bool // an orphan that is given up still counts as open
	waitersKept        bool // and those who wait for its end are not told
	lostKept           bool // at the end a ring is waited for of which not all will come
	withoutKeepsRing   bool // a ring that fails after the actor's end stays current
	closeRepeated      bool // a close whose outcome nobody knows is done again
	timerTwice         bool // a timer's CQE that is seen again counts again
	updateTwice        bool // an update's CQE that is seen again is an update again
	strandedRequeue    bool // what comes back to an engine without hope of a ring waits for one
	expiresUnentered   bool // a ring is given up before it was entered
}
