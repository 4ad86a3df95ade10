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
	cornered  bool // see there
	ending    ending
	log       []entry
}

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
	if h.options.wrap != nil {
		return h.options.wrap(k), nil
	}
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
	for _, t := range h.ledger.tickets {
		t.byName = t.byName || t.reply == r && t.owner != nil && t.owner.posting
	}
	h.ledger.forgive(stopping, func(t *ticket) bool { return t.reply == r }) // of what is its own somebody else may be told
	for _, a := range h.ledger.asks {
		if a.reply == r && !a.told {
			a.forgiven = stopping
			a.byName = a.byName || a.by.posting
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
