package actors

import (
	"reflect"
	"runtime"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/ring"
)

// Glass looks into a ring owner, for tests.
type Glass struct{ drive *drive }

// NewGlass finds the ring owner that runs at a PID.
func NewGlass(system *actor.ActorSystem, pid *actor.PID) *Glass {
	process, _ := system.ProcessRegistry.Get(pid)
	box := reflect.ValueOf(process.(*actor.ActorProcess)).Elem().FieldByName("mailbox")
	return &Glass{(*drive)(box.Elem().UnsafePointer())}
}

// Picture is what stands in a ring owner between two bursts.
type Picture struct {
	Live, IDs, Handles, Parties, Watched, Buried  int
	Deadlines, Ready, Pinned, Due, Starved, Links int
	Quarantined, Open, Insisting, Requests        int
	Placed, Crowd, Regions                        int
	Slots                                         map[uint32]ring.State
	Gone                                          bool
}

// Empty reports whether no operation, handle or party is left.
func (p Picture) Empty() bool {
	return p.Live+p.IDs+p.Handles+p.Parties+p.Watched+p.Deadlines+p.Ready+p.Pinned+p.Due+p.Starved+p.Quarantined+p.Open+p.Placed+p.Crowd == 0
}

// Look takes a picture while nobody runs and what was posted before is taken: it
// waits for a burst that is under way, and sees to it that what was posted meanwhile
// is handled.
func (g *Glass) Look() Picture {
	d := g.drive
	d.seize()
	for !d.noMail() && !d.resting() {
		d.token.give()
		d.wake()
		d.seize()
	}
	defer d.wake()
	defer d.token.give()
	e := d.engine
	p := Picture{
		Live:        e.table.Live(),
		IDs:         e.ids.used,
		Handles:     e.handles.Live(),
		Parties:     len(e.parties.byProcess),
		Watched:     len(e.watched),
		Buried:      len(e.parties.dead),
		Deadlines:   len(e.heap),
		Ready:       e.ready.length,
		Pinned:      e.pinned.length,
		Due:         e.due.length,
		Starved:     e.hunger.owners.Len(),
		Links:       len(e.links),
		Quarantined: e.quarantined,
		Open:        e.open(),
		Insisting:   len(e.insist.slots),
		Slots:       map[uint32]ring.State{},
		Gone:        e.closing == gone,
		Placed:      e.placed,
		Regions:     len(e.regions),
	}
	for o := e.crowd.head; o != nil; o = o.behind {
		p.Crowd++
	}
	for _, l := range e.links {
		p.Requests += l.requests
	}
	e.table.Each(func(i uint32, s ring.State) { p.Slots[i] = s })
	return p
}

// seize takes the token as soon as it is free.
func (d *drive) seize() {
	for !d.token.tryTake() {
		runtime.Gosched()
	}
}

// Hold keeps the ring owner from running while f does.
func (g *Glass) Hold(f func()) {
	g.drive.seize()
	defer g.drive.wake()
	defer g.drive.token.give()
	f()
}

// Answers gives channels that are closed at the engine's two ends.
func (g *Glass) Answers() (answered, closed <-chan struct{}) {
	return g.drive.engine.answered, g.drive.engine.closed
}

// Backoff is for how long a kernel is left alone that is busy.
const Backoff time.Duration = backOffTime

// RetriesMax bounds how often an operation is issued anew.
const RetriesMax = retriesMax

// DeviceBound is how many operations of one device are issued at a time.
const DeviceBound = workersDefault / 8

// CloseReserve is how many slots there are for Closes when all others are taken.
const CloseReserve = closeReserve

// RegionsKept is how many regions there may be before those are looked for that may
// be forgotten.
const RegionsKept = regionsKept

// FeedAfter is for how long one is not told of a little room.
const FeedAfter = feedAfter

// Scarce is how many may be issued before each device gets few only.
const Scarce = workersDefault * 5 / 8

// CopyBound is how much a burst may copy on its poster's stack, and CopyBoundBatch
// one that is a batch.
const (
	CopyBound      = copyBound
	CopyBoundBatch = copyBoundBatch
)

// NewsBound is how many events wait to be told.
const NewsBound = newsBound
