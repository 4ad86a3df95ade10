package sim

import (
	"bytes"
	"slices"

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
