package sim

import (
	"slices"
	"time"

	"github.com/ringmaster-io/ringmaster/ring"
)

// completion is one CQE, whether it says that a descriptor is open of which
// nobody else knows, whether it is one of those that may, and whether it was
// seen before.
type completion struct {
	ring.CQE
	brings, open, again bool
}

// post is a completion. Those of one request keep their order.
func (k *Kernel) post(c completion, taskWork bool) {
	w := k.world
	earlier := slices.ContainsFunc(k.work, func(other completion) bool { return other.UserData == c.UserData })
	switch {
	case k.closed:
		c.drop(w)
	case w.chance(k.rate(w.Profile.Lose), DidLose):
		k.lost++
		w.Note("ring %d loses the completion of slot %d", int64(k.number), int64(c.UserData.Slot()))
		c.drop(w)
	case earlier || taskWork && w.chance(w.Profile.Async, DidTaskWork):
		k.work = append(k.work, c)
		w.Go(k.workDone)
	default:
		k.show(c)
	}
}

// show puts a completion where the user sees it, if there is room.
func (k *Kernel) show(c completion) {
	if c.repeated(k.world) {
		k.world.AfterFunc(time.Duration(k.world.pick(3))*time.Millisecond, func() {
			if !k.closed {
				k.show(completion{CQE: c.CQE, again: true})
			}
		})
	}
	if len(k.queue) >= k.completions || len(k.overflow) > 0 {
		k.world.did(DidOverflow)
		k.overflow = append(k.overflow, c)
		return
	}
	k.queue = append(k.queue, c)
	k.signal()
}

// repeated decides whether a completion is seen twice. No kernel has done that
// yet: it is the one liberty that is taken, since a user who crashed may have
// seen one without having given its place back.
func (c completion) repeated(w *World) bool {
	kind := c.UserData.Kind()
	return !c.again && (kind == ring.KindOp || kind == ring.KindCancel) && w.chance(w.Profile.Repeat, DidRepeat)
}

// workDone is the issuer's thread at its task work. While an Enter hangs it
// would hang behind that.
func (k *Kernel) workDone() {
	if k.closed || k.inside > 0 {
		return
	}
	work := k.work
	k.work = nil
	for _, c := range work {
		k.show(c)
	}
}

// drop is for a completion that nobody will see.
func (c completion) drop(w *World) {
	if c.brings {
		w.table.lost++
	}
}
