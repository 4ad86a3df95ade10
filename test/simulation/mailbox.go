package simulation

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/ring/sim"
)

// mailbox is the supervisor's. It is protoactor's own in all but two things.
// While the subsystem starts, the world runs whenever the starting goroutine is
// about to wait for it. And what another goroutine posts, which shuts the
// subsystem down, is held until the world has it posted at a moment of the
// world's choosing.
type mailbox struct {
	world   *sim.World
	invoker actor.MessageInvoker

	system, user []any
	suspended    bool
	scheduled    bool
	starting     bool

	mu       sync.Mutex
	foreign  bool // the next Watch and Stop are another goroutine's
	held     []any
	complete chan struct{} // closed when both are held
}

var _ actor.Mailbox = (*mailbox)(nil)

// RegisterHandlers implements actor.Mailbox.
func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, _ actor.Dispatcher) {
	m.invoker = invoker
}

// Start implements actor.Mailbox.
func (m *mailbox) Start() { m.pump() }

// pump runs the world until nothing is left to do at this moment.
func (m *mailbox) pump() {
	if !m.starting {
		return
	}
	for range startSteps {
		if m.world.Idle() || !m.world.Step() {
			return
		}
	}
	m.world.Violate("the subsystem does not start within %d steps", startSteps)
}

// startSteps bounds what a start may take.
const startSteps = 10_000

// UserMessageCount implements actor.Mailbox.
func (m *mailbox) UserMessageCount() int { return len(m.user) }

// PostUserMessage implements actor.Mailbox.
func (m *mailbox) PostUserMessage(message any) {
	m.user = append(m.user, message)
	m.schedule()
}

// PostSystemMessage implements actor.Mailbox.
func (m *mailbox) PostSystemMessage(message any) {
	if m.hold(message) {
		return
	}
	m.system = append(m.system, message)
	m.schedule()
	if _, stop := message.(*actor.Stop); stop {
		m.pump()
	}
}

// hold keeps what another goroutine posts.
func (m *mailbox) hold(message any) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.foreign {
		return false
	}
	switch message.(type) {
	case *actor.Watch:
		m.held = append(m.held, message)
	case *actor.Stop:
		m.held = append(m.held, message)
		m.foreign = false
		close(m.complete)
	default:
		return false
	}
	return true
}

// expect says that another goroutine is going to stop the actor.
func (m *mailbox) expect() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.foreign, m.complete = true, make(chan struct{})
}

// release posts what was held.
func (m *mailbox) release() {
	m.mu.Lock()
	held := m.held
	m.held = nil
	m.mu.Unlock()
	m.system = append(m.system, held...)
	m.schedule()
}

func (m *mailbox) schedule() {
	if !m.scheduled {
		m.scheduled = true
		m.world.Go(m.run)
	}
}

// run handles what there is, the system's first.
func (m *mailbox) run() {
	var message any
	defer func() {
		m.scheduled = false
		if r := recover(); r != nil {
			m.invoker.EscalateFailure(r, message)
		}
		if len(m.system) > 0 || len(m.user) > 0 && !m.suspended {
			m.schedule()
		}
	}()
	for {
		switch {
		case len(m.system) > 0:
			message, m.system = m.system[0], m.system[1:]
			m.handleSystem(message)
		case m.suspended || len(m.user) == 0:
			return
		default:
			message, m.user = m.user[0], m.user[1:]
			m.invoker.InvokeUserMessage(message)
		}
	}
}

func (m *mailbox) handleSystem(message any) {
	switch message.(type) {
	case *actor.SuspendMailbox:
		m.suspended = true
	case *actor.ResumeMailbox:
		m.suspended = false
	default:
		m.invoker.InvokeSystemMessage(message)
	}
}
