package actors

import (
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// engine is all that outlives an incarnation of the ring owner: the lifecycle
// map, the handles, the rings, the blocking lane, and what is owed to whom. It
// is touched by the holder of the drive's token only, except where a field
// says otherwise.
type engine struct {
	config Config
	system *actor.ActorSystem
	self   *actor.PID
	drive  *drive
	lane   *lane
	crew   Crew
	house  household
	herald *Herald

	table   *ring.Table[operation]
	ids     idIndex
	parties parties
	watched map[string][]*party // by the name under which they are watched
	handles *ring.Handles[fileInfo]
	devices map[uint64]*device
	// regions stand for the devices of absolute paths, by their beginning, and
	// occupied is how many operations are issued of all devices.
	regions     map[string]*device
	occupied    int
	regionsMost int // twice those that were in use at the last look, see forgetRegions

	current  *link
	aside    *link    // the fallback, for what the current one lacks
	missing  []string // which is this
	links    []*link  // the current one and those that are drained
	ghosts   []*link  // were closed with operations in flight
	entering *link    // whose kernel is being entered, or was last
	stuck    int      // how many of them have a holder hanging inside
	epoch    uint64
	backend  string // of the current one
	failure  error  // why there is none, or not the preferred backend
	begun    bool   // the first incarnation has started
	ringless bool   // the fallback serves, for there never was a ring
	reported bool   // the outcome of the first start is known
	stranded bool   // there is none, and none is expected soon
	placed   int    // how many operations have a place with the kernel
	crowd    crowd  // the owners that wait for one
	ready    queue  // may be issued by any thread
	pinned   queue  // may be issued by the pinned thread only
	due      queue  // have an answer to be sent
	heap     deadlines
	nearest  nearest
	hunger   hunger   // of those who were refused for want of room
	batched  []*party // have a batch of answers to be sent
	readyLen int      // bytes that the ready reads will copy

	// inHand is the Submit that is being taken: neither registered nor
	// answered yet. It is what a panic would lose.
	inHand      *messages.Submit
	inHandFrom  *actor.PID
	batchInHand []*messages.Submit

	counters    messages.Counters
	quarantined int
	busy        bool // the kernel takes no submissions for the moment
	busyOver    alarm
	insist      insistence
	entersGone  uint64 // of the rings that are closed

	closing   stopping
	graceUp   alarm
	opened    chan error    // gets the outcome of the first start
	answered  chan struct{} // closed when, closing, everything is answered
	closed    chan struct{} // closed when nothing is left
	final     atomic.Pointer[messages.Inspection]
	clients   clients
	flood     flood
	floodSeen uint64
	worked    atomic.Uint64 // failures of a ring that had worked
	degraded  atomic.Bool   // the supervisor has given up on rings for now
}

// stopping says how far the engine's end has come.
type stopping uint8

const (
	// serving: Submits are accepted.
	serving stopping = iota
	// finishing: no more; what is in flight is to end.
	finishing
	// cancelling: what is in flight was asked to stop.
	cancelling
	// stopped: everything is answered.
	stopped
	// gone: everything is released.
	gone
)

// closeReserve is how many slots there are for Closes when all others are taken.
const closeReserve = 1024

func newEngine(config Config, system *actor.ActorSystem, d *drive) *engine {
	e := &engine{
		config:   config,
		system:   system,
		drive:    d,
		crew:     config.Crew,
		table:    ring.NewTable[operation](min(config.InFlight+config.Queue+closeReserve, ring.SlotMax)),
		parties:  newParties(system, config.Crew),
		watched:  make(map[string][]*party),
		handles:  ring.NewHandles[fileInfo](),
		devices:  make(map[uint64]*device),
		regions:  make(map[string]*device),
		ready:    queue{id: inReady},
		pinned:   queue{id: inPinned},
		due:      queue{id: inDue},
		opened:   make(chan error, 1),
		answered: make(chan struct{}),
		closed:   make(chan struct{}),
	}
	e.table.Observe = config.Observe
	e.lane = newLane(config.Host, config.BlockingWorkers, 1<<30, d.wake)
	e.house = household{crew: config.Crew, empty: e.vanish}
	e.house.enter() // the engine itself, which has not left when there is news
	e.herald = NewHerald(system, config.Logger, e.house.run)
	return e
}

// supports reports whether there is a kernel that has an operation. Without a
// ring nobody knows, and the operation waits.
func (e *engine) supports(code ring.Code) bool {
	return e.current == nil || e.current.kernel.Supports(code) || e.aside != nil && e.aside.kernel.Supports(code)
}

// fail gives a failpoint its chance.
func (e *engine) fail(point Failpoint) {
	if e.config.Failpoint != nil {
		e.config.Failpoint(point, e.open())
	}
}

// open is how many operations are accepted and not answered.
func (e *engine) open() int {
	return int(e.counters.Submitted - e.counters.Refused - e.counters.Completed)
}

// count gives the counters as they are now.
func (e *engine) count() messages.Counters {
	c := e.counters
	c.Submitted += e.flood.count.Load()
	c.Refused = c.Refused + c.Submitted - e.counters.Submitted
	c.Queued = e.ready.length + e.pinned.length + e.parked()
	c.InFlight = e.open() - c.Queued
	c.Quarantined = e.quarantined
	c.Enters = e.entersGone
	for _, l := range e.links {
		c.Enters += l.kernel.Enters()
	}
	return c
}

// parked is how many operations wait for others on their handle or device, or of
// their owner. It is counted when somebody asks.
func (e *engine) parked() int {
	n := 0
	e.table.Each(func(i uint32, _ ring.State) {
		if q := e.table.Payload(i).queue; q == inParked || q == inDevice || q == inShare {
			n++
		}
	})
	return n
}

func (e *engine) inspect(m *messages.Inspect, sender *actor.PID) {
	to := m.ReplyTo
	if to == nil {
		to = sender
	}
	p := e.parties.resolve(to)
	if p == nil {
		e.counters.DeadReplies++
		return
	}
	in := e.picture()
	in.Token = m.Token
	p.send(in)
	e.tidy(p)
}

// picture is how the engine is.
func (e *engine) picture() *messages.Inspection {
	return &messages.Inspection{
		Counters: e.count(),
		Backend:  e.backend,
		Why:      e.failure,
		Missing:  e.missing,
		Degraded: e.degraded.Load(),
		Epoch:    e.epoch,
		Draining: e.draining(),
		Handles:  e.handles.Live() + int(e.lane.closes.Load()),
		Owners:   len(e.parties.byProcess),
		Slots:    e.table.Made(),
	}
}

// draining is how many rings are being drained.
func (e *engine) draining() int {
	n := len(e.ghosts)
	for _, l := range e.links {
		if l.draining {
			n++
		}
	}
	return n
}

// unuse ends a reference to a party.
func (e *engine) unuse(p *party) {
	p.uses--
	e.tidy(p)
}

// tidy forgets a party that nothing refers to and that is not watched. An actor
// that is gone has been forgotten.
func (e *engine) tidy(p *party) {
	if p != nil && p.uses == 0 && !p.watched && !(p.gone && p.mortal) {
		e.parties.forget(p)
	}
}

func (e *engine) logger() *zap.Logger { return e.config.Logger }

// mask keeps the kernel from signalling what the runner sees anyway.
func (e *engine) mask() {
	for _, l := range e.links {
		l.kernel.Mask()
	}
}

// unmask lets it signal again, and reports whether completions came meanwhile,
// or, if backlog is to count, something that only an enter will bring.
func (e *engine) unmask(backlog bool) bool {
	more := false
	for _, l := range e.links {
		l.kernel.Unmask()
		_, ready := l.kernel.Peek()
		more = more || ready || backlog && l.kernel.Backlog()
	}
	return more
}
