package sim

import (
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// cancel performs a request that asks for another's cancellation. Its answer
// says little about the target: see [ring.PrepCancel].
func (k *Kernel) cancel(asking *request) {
	w := k.world
	target := k.find(ring.UserData(asking.Off))
	if target == nil {
		w.did(DidCancelMissed)
		asking.finish(-int32(unix.ENOENT))
		return
	}
	target.asked = true
	switch target.stage {
	case armed, queued:
		k.cancelFound(asking, target)
	case blocked:
		w.did(DidCancelBlind)
		asking.finish(-int32(unix.ENOENT))
	default:
		w.did(DidCancelAlready)
		asking.finish(-int32(unix.EALREADY))
		if target.stage == running && w.pick(4) == 3 {
			target.finish(-int32(unix.EINTR))
		}
	}
}

func (k *Kernel) find(name ring.UserData) *request {
	for _, r := range k.inFlight {
		if r.name == name {
			return r
		}
	}
	return nil
}

// cancelFound is for a target that can be cancelled.
func (k *Kernel) cancelFound(asking, target *request) {
	w := k.world
	switch p := &w.Profile; {
	case w.chance(p.CancelBlind, DidCancelBlind):
		asking.finish(-int32(unix.ENOENT)) // it is looked for while it is between two lists
		return
	case w.chance(p.CancelDeaf, DidCancelDeaf):
		asking.finish(-int32(unix.EALREADY)) // it looks as if it were about to end
		return
	case w.chance(p.CancelOutrun, DidCancelOutrun):
		target.stage = running
		asking.finish(0)
		target.finishWithin(w.Profile.Delay, doIt)
		return
	}
	w.did(DidCancelFound)
	switch w.pick(3) {
	case 0:
		w.did(DidCancelFirst)
		asking.finish(0)
		target.finish(-int32(unix.ECANCELED))
	case 1:
		w.did(DidTargetFirst)
		target.finish(-int32(unix.ECANCELED))
		asking.finish(0)
	default:
		w.did(DidCancelFirst)
		asking.finish(0)
		target.stage = running
		target.finishWithin(w.Profile.Delay, -int32(unix.ECANCELED))
	}
}
