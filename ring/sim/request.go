package sim

import (
	"bytes"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// stage says how far the kernel is with a request.
type stage uint8

const (
	// waiting: in the submission queue.
	waiting stage = iota
	// armed: waits for an event, and can be cancelled.
	armed
	// queued: for a kernel worker that has not begun, and can be cancelled.
	queued
	// running: a worker performs it, and a cancellation comes too late.
	running
	// blocked: in the block layer, where a cancellation does not find it.
	blocked
	// hanging: as running, until Thaw.
	hanging
	// ended: the kernel is done with it.
	ended
)

// request is one that was pushed. The kernel looks at its memory at any time
// from then until it has ended.
type request struct {
	ring.Request
	name   ring.UserData
	kernel *Kernel
	stage  stage
	files  [2]*Description
	asked  bool // to be cancelled

	bufs        [][]byte // what is transferred
	want        [][]byte // what must be in them
	path, path2 string
}

// take is what the kernel remembers of a request that is pushed.
func (k *Kernel) take(name ring.UserData, r *ring.Request) *request {
	w := k.world
	q := &request{Request: *r, name: name, kernel: k}
	q.path, q.path2 = r.Paths()
	q.bufs = buffers(r)
	for _, b := range q.bufs {
		q.want = append(q.want, bytes.Clone(b))
		w.own(b, 1)
	}
	if usesFile(r.Code) && (r.FD != ring.NoDir || q.path == "") {
		q.files[0] = w.use(r.FD, "request")
	}
	if twoPaths(r.Code) && r.FD2 != ring.NoDir {
		q.files[1] = w.use(r.FD2, "request")
	}
	q.direction(1)
	if r.Code == ring.CodeClose && q.files[0] != nil && q.files[0].refs > 1 {
		w.Violate("descriptor %d (%s) is to be closed, and %d requests refer to it", r.FD, q.files[0].Node.Path, q.files[0].refs-1)
	}
	return q
}

func buffers(r *ring.Request) [][]byte {
	switch r.Code {
	case ring.CodeRead, ring.CodeWrite:
		return [][]byte{r.Buf}
	case ring.CodeReadV, ring.CodeWriteV:
		return r.Bufs()
	default:
		return nil
	}
}

func usesFile(code ring.Code) bool {
	switch code {
	case ring.CodeNop, ring.CodeTimeout, ring.CodeLinkTimeout, ring.CodeCancel:
		return false
	default:
		return true
	}
}

func twoPaths(code ring.Code) bool { return code == ring.CodeRename || code == ring.CodeLink }

func (r *request) reads() bool  { return r.Code == ring.CodeRead || r.Code == ring.CodeReadV }
func (r *request) writes() bool { return r.Code == ring.CodeWrite || r.Code == ring.CodeWriteV }

// direction counts transfers of a file that has an order: they are to be issued
// one at a time in each direction.
func (r *request) direction(by int) {
	d, w := r.files[0], r.kernel.world
	if d == nil {
		return
	}
	switch {
	case r.reads() && !d.Node.HasPositions():
		if d.reads += by; d.reads > 1 {
			w.Violate("two reads of %s at a time", d.Node.Path)
		}
	case r.writes() && (!d.Node.HasPositions() || d.Flags&unix.O_APPEND != 0):
		if d.writes += by; d.writes > 1 {
			w.Violate("two writes of %s at a time", d.Node.Path)
		}
	}
}

// letGo ends what the kernel has of a request: it looks whether the memory is
// as it was.
func (r *request) letGo() {
	w := r.kernel.world
	r.stage = ended
	r.checkMemory()
	for _, b := range r.bufs {
		w.own(b, -1)
	}
	r.direction(-1)
	for _, d := range r.files {
		d.unuse()
	}
}

func (r *request) checkMemory() {
	path, path2 := r.Paths()
	now := buffers(&r.Request)
	same := slices.EqualFunc(now, r.bufs, func(a, b []byte) bool { return len(a) == len(b) && end(a) == end(b) })
	if !same || path != r.path || path2 != r.path2 || !slices.EqualFunc(r.want, r.bufs, bytes.Equal) {
		r.kernel.world.Violate("memory of %v (code %d) was changed while the kernel had it", r.name, r.Code)
	}
}

// touch has the kernel write to the buffers of a read that it is not done with.
func (r *request) touch(why Behaviour) {
	if !r.reads() || r.stage == waiting || r.stage == ended {
		return
	}
	r.kernel.world.did(why)
	r.checkMemory()
	for i, b := range r.bufs {
		for j := range b {
			b[j] ^= 0x5a
		}
		copy(r.want[i], b)
	}
}

// End names the memory that a slice is part of: a later part of the same buffer
// has the same name. It is nil for one without memory.
func End(b []byte) *byte { return end(b) }

// end names the memory that a slice is part of, by the end of what it may grow
// to: a later part of the same buffer has the same.
func end(b []byte) *byte {
	if cap(b) == 0 {
		return nil
	}
	return &b[:cap(b)][cap(b)-1]
}

func (w *World) own(b []byte, by int) {
	if key := end(b); key != nil {
		if w.owned[key] += by; w.owned[key] == 0 {
			delete(w.owned, key)
		}
	}
}

// Owned reports whether a kernel has a part of that buffer.
func (w *World) Owned(b []byte) bool {
	key := end(b)
	return key != nil && w.owned[key] > 0
}

// start is what the kernel does with a request that it has consumed.
func (r *request) start() {
	k, w := r.kernel, r.kernel.world
	w.requests++
	w.Note("ring %d takes %d:%d of code %d", int64(k.number), int64(r.name.Kind()), int64(r.name.Slot()), int64(r.Code))
	if pinned := w.current != nil && w.current.pinned; !pinned && r.needsThread() {
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
		r.update(1 + w.pick(3))
		return
	}
	r.schedule()
}

// update has a poll complete again and again.
func (r *request) update(more int) {
	w := r.kernel.world
	w.Go(func() {
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
		w.Note("%d hangs", int64(r.name))
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
	w.Note("ring %d ends %d:%d with %d", int64(k.number), int64(r.name.Kind()), int64(r.name.Slot()), int64(res))
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
