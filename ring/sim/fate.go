package sim

import (
	"slices"
	"time"

	"github.com/ringmaster-io/ringmaster/ring"
)

// start is what the kernel does with a request that it has consumed.
func (r *request) start() {
	k, w := r.kernel, r.kernel.world
	w.requests++
	w.Note(r.words().takes, int64(k.number), int64(r.name.Slot()))
	if pinned := w.running != nil && w.running.strand.pinned; !pinned && r.needsThread() {
		w.Violate("request of code %d was issued by a thread that may not be there when it completes", r.Code)
	}
	if r.ofDevice() && !r.Async && !r.NoWait {
		w.Violate("request of code %d on %s may have its submission wait", r.Code, r.files[0].Node.Path)
	}
	if w.OnTake != nil && r.transfers() && r.files[0] != nil {
		w.OnTake(r.files[0], &r.Request)
	}
	switch {
	case r.Code == ring.CodeCancel:
		r.stage = running
		k.cancel(r)
	case r.Code == ring.CodeTimeout:
		r.stage = armed
		w.AfterFunc(r.Duration(), func() { r.finish(ring.Expired) })
	case r.isArmed():
		r.stage = armed
		r.startArmed()
	case r.isBlock():
		r.stage = blocked
		r.schedule()
	case r.Async:
		r.stage = queued
		r.startQueued()
	default:
		r.stage = running
		r.schedule()
	}
	if r.stage != ended && w.fate.Chance(w.plain(w.Profile.Touch)) {
		w.Go(func() { r.touch(DidTouch) })
	}
}

// transfers reports whether a request is a read or a write.
func (r *request) transfers() bool { return r.reads() || r.writes() }

// needsThread reports whether a request completes by task work of the thread
// that issued it.
func (r *request) needsThread() bool {
	return r.Code == ring.CodeTimeout || r.isArmed() || r.isBlock() || r.transfers() && !r.NoWait && !r.Async
}

// isArmed reports whether a request waits for an event.
func (r *request) isArmed() bool {
	return r.Code == ring.CodePoll || r.transfers() && !r.Async && r.files[0] != nil && r.files[0].Node.Kind == Stream
}

// ofDevice reports whether a request is one for a device, which may have its
// submitter wait.
func (r *request) ofDevice() bool {
	d := r.files[0]
	return r.transfers() && d != nil &&
		(d.Node.Kind == BlockDevice || d.Node.Kind == Character || d.Flags&openDirectly != 0)
}

// isBlock reports whether a request is issued to the block layer as it is.
func (r *request) isBlock() bool { return r.ofDevice() && !r.Async }

// startArmed: what a request waits for is there, or comes, or does not.
func (r *request) startArmed() {
	w := r.kernel.world
	if !w.thawed && w.chance(w.Profile.Waits, DidWait) {
		w.thaw = append(w.thaw, func() { r.finishWithin(w.Profile.Delay, doIt) })
		return
	}
	if r.Code == ring.CodePoll && w.fate.Chance(w.plain(w.Profile.Update)) {
		r.update(1 + w.pick(6))
		return
	}
	r.schedule()
}

// update has a poll complete again and again.
func (r *request) update(more int) {
	w := r.kernel.world
	w.AfterFunc(time.Duration(w.pick(4))*time.Millisecond, func() {
		switch {
		case r.stage == ended:
		case more == 0:
			w.did(DidEndUpdates)
			r.finish(doIt)
		default:
			w.did(DidUpdate)
			r.kernel.post(completion{CQE: ring.CQE{UserData: r.name, Res: int32(r.Flags), Flags: ring.FlagMore}}, true)
			r.update(more - 1)
		}
	})
}

// startQueued: a kernel worker takes it, and may hang with it.
func (r *request) startQueued() {
	w := r.kernel.world
	if !w.thawed && r.device() == Slow && w.chance(w.Profile.Hangs, DidHang) {
		r.stage = hanging
		w.Note(r.words().hangs, int64(r.kernel.number), int64(r.name.Slot()))
		w.thaw = append(w.thaw, func() {
			r.stage = running
			r.finishWithin(w.Profile.Delay, doIt)
		})
		return
	}
	if w.pick(2) == 1 {
		r.stage = running
	}
	r.schedule()
}

func (r *request) device() Device {
	if d := r.files[0]; d != nil {
		return d.Node.Device
	}
	return deviceAt(r.path)
}

// schedule decides when a request ends.
func (r *request) schedule() {
	w := r.kernel.world
	switch {
	case w.chance(w.Profile.Late, DidLate):
		r.finishWithin(w.Profile.Delay, doIt)
	case r.Async || w.chance(w.Profile.Soon, DidSoon):
		w.Go(func() { r.finish(doIt) })
	default:
		w.did(DidInline)
		r.finish(doIt)
	}
}

// finishWithin has a request end in a while.
func (r *request) finishWithin(ms int, res int32) {
	w := r.kernel.world
	w.AfterFunc(time.Duration(w.pick(max(ms, 1)))*time.Millisecond, func() { r.finish(res) })
}

// doIt in place of a result has the request performed.
const doIt = -1 << 30

// finish ends a request, with that result or with what performing it gives.
func (r *request) finish(res int32) {
	if r.stage == ended {
		return
	}
	k, w := r.kernel, r.kernel.world
	brings := false
	r.checkMemory()
	if res == doIt {
		res, brings = r.perform()
	}
	if brings && r.asked {
		w.did(DidLateDescriptor)
	}
	if d := r.files[0]; r.Code == ring.CodeClose && d != nil && !d.closed {
		brings = true // as before: only the completion says so
	}
	i := slices.Index(k.inFlight, r)
	k.inFlight = slices.Delete(k.inFlight, i, i+1)
	inTask := r.stage == armed || r.stage == blocked
	r.letGo()
	w.Note(r.words().ends, int64(k.number), int64(r.name.Slot()), int64(res))
	k.post(completion{CQE: ring.CQE{UserData: r.name, Res: res}, brings: brings, open: r.Code == ring.CodeOpen || r.Code == ring.CodeClose}, inTask)
	k.vanish()
}

// Thaw lets go of everything that hangs. Nothing hangs any more after it.
func (w *World) Thaw() {
	if w.thawed {
		return
	}
	w.thawed = true
	w.did(DidThaw)
	w.Note("thaw")
	thaw := w.thaw
	w.thaw = nil
	for _, release := range thaw {
		release()
	}
}
