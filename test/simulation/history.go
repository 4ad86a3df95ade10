package simulation

import (
	"errors"
	"fmt"
	"slices"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/sim"
	"github.com/ringmaster-io/ringmaster/supervisor"
	asynchronous "github.com/ringmaster-io/ringmaster/test/simulation/internal/actor"
)

// history is one run of a subsystem in a world.
type history struct {
	options  Options
	system   *actor.ActorSystem
	world    *sim.World
	script   *script
	plan     *sim.Choices // of the step that is being taken
	coverage *Coverage
	ledger   ledger

	subsystem *supervisor.Subsystem
	owner     *actor.PID // the ring owner
	box       *mailbox
	cast      []*requester
	names     int
	failed    int // futures, for good
	crashes   []*crash
	lacks     []ring.Code // what the kernel cannot do
	started   bool
	aside     bool // a step is taken while the ring owner hangs
	over      bool // the last step was taken
	cornered  bool // see there
	ending    ending
	log       []entry
}

// crash is a failure that is to strike.
type crash struct {
	point actors.Failpoint
	after int // visits of the point that it lets pass
	// waits: it lets all pass until the event has happened, and then strikes at
	// its point, or anywhere.
	waits, anywhere bool
	event           ring.Event
}

// dispatcher has the world run an actor. To one with a direct one the ring
// owner delivers without an outbox.
func (h *history) dispatcher(direct bool) actor.Dispatcher {
	if direct {
		return asynchronous.NewDispatcher(h.world.Go)
	}
	return dispatcher{h.world}
}

// errCrash is what the ring owner fails with at a failpoint.
var errCrash = errors.New("simulated crash")

// entry is one event of the log.
type entry struct {
	at     int64 // nanoseconds of virtual time
	format string
	args   []int64
}

// newHistory prepares one.
func newHistory(system *actor.ActorSystem, seed uint64, options Options) *history {
	h := &history{
		options:  options,
		system:   system,
		script:   newScript(seed, options.Tape),
		coverage: NewCoverage(),
	}
	h.plan = h.script.setup
	h.world = sim.NewWorld(h.script.order, h.script.fate, profile(h.plan))
	h.world.AfterStep = h.afterStep
	h.ledger = ledger{world: h.world, buffers: make(map[*byte]*ticket), turns: make(map[turn]int)}
	h.world.OnTake = h.ledger.took
	began := h.world.Now()
	if options.Log {
		h.world.OnNote = func(format string, args []int64) {
			h.log = append(h.log, entry{int64(h.world.Now().Sub(began)), format, args})
		}
	}
	return h
}

// play runs the history from its beginning to its end.
func (h *history) play() {
	subscription := h.system.EventStream.Subscribe(h.heard)
	defer h.system.EventStream.Unsubscribe(subscription)
	if !h.begin() {
		return
	}
	for range 2 + h.plan.Pick(3) {
		h.enter("")
	}
	steps := 50 + h.plan.Pick(100)
	for n := 0; h.goesOn(n < steps) && h.step(); n++ {
	}
	h.over = true
	h.plan = h.script.ending
	h.end()
}

// goesOn reports whether there is another step: on the tape, or by the plan, or
// because there have not been enough events.
func (h *history) goesOn(wanted bool) bool {
	return !h.world.Failed() && (h.options.Tape != nil || wanted || h.world.Notes() < h.options.eventsLeast())
}

// begin starts the subsystem.
func (h *history) begin() bool {
	h.box = &mailbox{world: h.world, starting: true}
	s, err := supervisor.Start(h.system, h.configure)
	h.box.starting = false
	if err != nil {
		if !h.world.Failed() {
			h.world.Violate("start: %w", err)
		}
		return false
	}
	h.subsystem, h.owner, h.started = s, s.PID(), true
	return !h.world.Failed()
}

func (h *history) configure(c *actors.Config) {
	configure(h.plan, c)
	if h.cornered = h.plan.Pick(12) == 11; h.cornered {
		cornered(&h.world.Profile, c)
	}
	c.Logger = zap.New(watcher{h})
	c.Crew, c.Host = crew{h.world}, h.world
	c.Failpoint = h.failpoint
	c.Observe = h.observe
	c.OpenKernel = h.openKernel
	c.Backend, c.OpenFallback = actors.BackendAuto, nil
	if h.plan.Pick(3) == 2 {
		c.OpenFallback = h.openFallback
	}
	if h.plan.Pick(4) == 3 { // an old kernel
		h.lacks = []ring.Code{ring.CodeTruncate, ring.CodeSymlink, ring.CodeLink, ring.CodeStat}[:1+h.plan.Pick(4)]
	}
	c.PropsOptions = []actor.PropsOption{
		actor.WithMailbox(func() actor.Mailbox { return h.box }),
	}
}

func (h *history) openKernel(actors.Config) (ring.Kernel, error) {
	k, err := h.world.Open()
	if err != nil {
		return nil, err
	}
	k.Lacks(h.lacks...)
	return k, nil
}

// openFallback opens what is there when no ring is. It is a ring that needs no
// kernel's leave.
func (h *history) openFallback(actors.Config) (ring.Kernel, error) {
	refuse := h.world.Profile.Refuse
	h.world.Profile.Refuse = 0
	defer func() { h.world.Profile.Refuse = refuse }()
	k, err := h.world.Open()
	if err != nil {
		return nil, err
	}
	k.Steady()
	return k, nil
}

// enter has a further requester appear, under a name of its own or under one
// that another had.
func (h *history) enter(name string) *requester {
	r := &requester{history: h, index: len(h.cast) + 1, direct: h.plan.Pick(3) != 2, read: make(map[*file]int64)}
	if name == "" {
		h.names++
		name = fmt.Sprintf("requester-%d", h.names)
	}
	r.name = name
	props := actor.PropsFromProducer(func() actor.Actor { return r }, actor.WithDispatcher(h.dispatcher(r.direct)))
	pid, err := h.system.Root.SpawnNamed(props, name)
	if err != nil {
		h.world.Violate("spawning %s: %w", r, err)
	}
	r.pid = pid
	h.cast = append(h.cast, r)
	return r
}

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
	for i, c := range h.crashes {
		if c.waits || c.point != p && !c.anywhere {
			continue
		}
		if c.after--; c.after >= 0 {
			continue
		}
		h.crashes = append(h.crashes[:i], h.crashes[i+1:]...)
		h.coverage.struck(p, h.inFlight() > 0)
		h.world.Note("crash at failpoint %d", int64(p))
		panic(errCrash)
	}
}

// inFlight is how many requests the kernels have.
func (h *history) inFlight() (n int) {
	for _, k := range h.world.Kernels() {
		n += k.InFlight()
	}
	return n
}

// afterStep looks at what must hold at any moment.
func (h *history) afterStep() {
	h.ledger.look()
	h.ending.attend(h)
	h.stepAside()
	if !h.world.Idle() || slices.ContainsFunc(h.world.Kernels(), (*sim.Kernel).Hangs) {
		return
	}
	for _, k := range h.world.Kernels() {
		if !k.Closed() && k.Unseen() > 0 {
			h.world.Violate("%d completions lie in ring %d, and nobody looks", k.Unseen(), k.Number())
		}
	}
}

// heard is told what is published on the event stream.
func (h *history) heard(event any) {
	if e, ok := event.(*messages.OwnerFailedEvent); ok {
		h.world.Note("ring owner failed, to be restarted in %d ms", e.RestartIn.Milliseconds())
		h.judge(e.Reason)
	}
}

// judge looks at what the ring owner failed with: a crash of ours, or a ring
// that was lost, or not to be had. Anything else is a bug of its own.
func (h *history) judge(reason any) {
	err, ok := reason.(error)
	if ok {
		var fatal *ring.FatalError
		if errors.Is(err, errCrash) || errors.As(err, &fatal) || errors.Is(err, messages.ErrUnavailable) {
			return
		}
	}
	h.world.Violate("ring owner failed: %v", reason)
}

// stopping is why nothing is owed to somebody.
const stopping = "its owner or its requester is stopping"

// died is for a requester that is stopping: nobody owes it anything, and
// nobody waits for its operations.
func (h *history) died(r *requester) {
	h.ledger.forgive(stopping, func(t *ticket) bool { return t.owner == r || t.reply == r })
	for _, a := range h.ledger.asks {
		if a.reply == r && !a.told {
			a.forgiven = stopping
		}
	}
	for _, s := range h.ledger.spawns {
		if s.parent == r && !s.told {
			s.forgiven = stopping
		}
	}
}

// futureFailed is for a future that protoactor ended: its Submit was a dead
// letter.
func (h *history) futureFailed(error) { h.failed++ }

// balanced checks the books.
func (h *history) balanced(c messages.Counters) {
	if c.Submitted != c.Completed+c.Refused+uint64(c.Queued)+uint64(c.InFlight) {
		h.world.Violate("books: %d submitted, %d completed, %d refused, %d queued, %d in flight",
			c.Submitted, c.Completed, c.Refused, c.Queued, c.InFlight)
	}
	if repeated := h.world.Did(sim.DidRepeat); c.Stale > repeated {
		h.world.Violate("%d stale completions, and %d were repeated", c.Stale, repeated)
	}
}
