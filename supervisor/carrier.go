package supervisor

import (
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/extensions"

	"github.com/ringmaster-io/ringmaster/actors"
)

// carrier is the extension by which an actor system carries its subsystem. It
// also has what is sent to a ring owner that is no more refused, for as long
// as the system lives, and by one subscription for each name.
type carrier struct {
	main atomic.Pointer[Subsystem]

	mu      sync.Mutex
	refusal map[string]func() // by the ring owner's name: ends its subscription
}

// carrierID is protoactor's number for the extension.
var carrierID = extensions.NextExtensionID()

// registering guards the look-up and registration of a carrier, which
// protoactor's list of extensions does not.
var registering sync.Mutex

// ExtensionID implements extensions.Extension.
func (*carrier) ExtensionID() extensions.ExtensionID { return carrierID }

// carrierOf finds a system's carrier, or registers it.
func carrierOf(system *actor.ActorSystem) *carrier {
	registering.Lock()
	defer registering.Unlock()
	if c, ok := system.Extensions.Get(carrierID).(*carrier); ok {
		return c
	}
	c := &carrier{refusal: make(map[string]func())}
	system.Extensions.Register(c)
	return c
}

// refuse has dead letters to a ring owner refused, in place of those to an
// earlier one of the same name.
func (c *carrier) refuse(system *actor.ActorSystem, owner *actor.PID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if end := c.refusal[owner.Id]; end != nil {
		end()
	}
	c.refusal[owner.Id] = actors.RefuseDeadLetters(system, owner)
}
