package simulation

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/ring/sim"
	asynchronous "github.com/ringmaster-io/ringmaster/test/simulation/internal/actor"
)

// crew has a world do the ring owner's work.
type crew struct{ *sim.World }

var _ actors.Crew = crew{}

// AfterFunc implements actors.Crew.
func (c crew) AfterFunc(d time.Duration, f func()) actors.Timer { return c.World.AfterFunc(d, f) }

// Hire implements actors.Crew.
func (c crew) Hire(pinned bool) actors.Worker { return c.World.Hire(pinned) }

// dispatcher has a world run actors. It is not one of protoactor's own, so that
// the ring owner delivers to them through an outbox.
type dispatcher struct{ *sim.World }

// Schedule implements actor.Dispatcher.
func (d dispatcher) Schedule(f func()) { d.Go(f) }

// Throughput implements actor.Dispatcher.
func (dispatcher) Throughput() int { return 300 }

// dispatcher has the world run an actor. To one with a direct one the ring
// owner delivers without an outbox.
func (h *history) dispatcher(direct bool) actor.Dispatcher {
	if direct {
		return asynchronous.NewDispatcher(h.world.Go)
	}
	return dispatcher{h.world}
}
