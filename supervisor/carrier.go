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
// as the system lives, by one subscription for all.
type carrier struct {
	main atomic.Pointer[Subsystem]

	mu sync.RWMutex
	// owners are all ring owners that there were, by name. Of those that have
	// ended only the name is kept.
	owners map[string]*actors.RingOwner
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
	c := &carrier{owners: make(map[string]*actors.RingOwner)}
	system.Extensions.Register(c)
	actors.RefuseDeadLetters(system, c.find)
	return c
}

// refuse has dead letters to a ring owner refused.
func (c *carrier) refuse(pid *actor.PID, owner *actors.RingOwner) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, o := range c.owners {
		if o != nil && o.Ended() {
			c.owners[name] = nil
		}
	}
	c.owners[pid.Id] = owner
}

// find implements what actors.RefuseDeadLetters asks for.
func (c *carrier) find(pid *actor.PID) (*actors.RingOwner, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	owner, yes := c.owners[pid.Id]
	return owner, yes
}
