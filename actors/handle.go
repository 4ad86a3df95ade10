package actors

import (
	"errors"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// file is one open descriptor, and fileInfo what the engine knows of it.
type file = ring.File[fileInfo]

type fileInfo struct {
	owner      *party
	next, prev *file // in the owner's list
	rights     messages.Rights
	kind       fileKind
	direct     bool // opened with O_DIRECT
	appends    bool // opened with O_APPEND
	device     *device

	// in and out are the two directions of a stream: operations of one
	// direction are issued one at a time, in order of arrival.
	in, out direction
	// closing is the Close that waits for the operations on the handle.
	closing queue
}

// fileKind is what matters of a file's type.
type fileKind uint8

const (
	kindRegular   fileKind = iota // positioned, and never polled
	kindStream                    // has no positions: pipe, socket
	kindCharacter                 // likewise, and a driver answers: a terminal, for instance
	kindDirectory
	kindDevice // a block device: positioned, and may take its time
)

// isStream reports whether a file has no positions.
func (info *fileInfo) isStream() bool {
	return info.kind == kindStream || info.kind == kindCharacter
}

// direction is one end of a stream's work.
type direction struct {
	busy    bool // one operation of it is issued, or queued to be
	waiting queue
}

// find checks a handle and the right to use it so.
func (e *engine) find(h messages.Handle, want messages.Rights) (*file, error) {
	f, err := e.handles.Find(h.ID(), h.Key())
	switch {
	case err == nil && f.Payload.rights.Has(want):
		return f, nil
	case err == nil:
		return nil, messages.ErrRights
	case errors.Is(err, ring.ErrHandleClosed):
		return nil, messages.ErrHandleClosed
	default:
		return nil, messages.ErrBadHandle
	}
}

// adopt makes a handle for a descriptor that is now the subsystem's.
func (e *engine) adopt(fd int32, owner *party, info fileInfo) *file {
	f := e.handles.Add(fd)
	f.Payload = info
	info.device.files++
	f.Payload.in.waiting.id = inParked
	f.Payload.out.waiting.id = inParked
	f.Payload.closing.id = inParked
	e.fileLink(owner, f)
	return f
}

func (e *engine) fileLink(owner *party, f *file) {
	f.Payload.owner = owner
	f.Payload.next, f.Payload.prev = owner.files, nil
	if owner.files != nil {
		owner.files.Payload.prev = f
	}
	owner.files = f
	owner.uses++
}

func (e *engine) fileUnlink(f *file) {
	owner := f.Payload.owner
	if owner == nil {
		return
	}
	if f.Payload.prev == nil {
		owner.files = f.Payload.next
	} else {
		f.Payload.prev.Payload.next = f.Payload.next
	}
	if f.Payload.next != nil {
		f.Payload.next.Payload.prev = f.Payload.prev
	}
	f.Payload.owner, f.Payload.next, f.Payload.prev = nil, nil, nil
	e.unuse(owner)
}

// closeFile closes a handle that nobody asked to close: its owner has stopped,
// or the subsystem does.
func (e *engine) closeFile(f *file) {
	e.fileUnlink(f)
	if f.Close() {
		e.discard(f)
	}
}

// drop ends an operation's hold on a file, and lets go of the descriptor when
// it was the last on a closed handle.
func (e *engine) drop(f *file) {
	if f == nil || !f.Drop() {
		return
	}
	if q := &f.Payload.closing; q.head != nil {
		p := q.head
		q.remove(p)
		e.enqueue(p) // the Close that waited
		return
	}
	e.discard(f)
}

// discard closes a descriptor in the blocking lane: closing may block, on a
// network file system for instance.
func (e *engine) discard(f *file) {
	e.lane.close(f.FD, f.Payload.device)
	e.forgetFile(f)
}

// forgetFile is for a file whose descriptor is closed, or is being.
func (e *engine) forgetFile(f *file) {
	f.Payload.device.files--
	e.handles.Forget(f)
}

// handleOf is the capability for a file.
func handleOf(f *file) messages.Handle { return messages.NewHandle(f.ID(), f.Key()) }

// isOf reports whether a handle is the capability for a file, which may be closed.
func isOf(f *file, h messages.Handle) bool { return f != nil && f.ID() == h.ID() && f.Key() == h.Key() }

// parkedIn is the list of its handle in which an operation waits.
func (p *operation) parkedIn() *queue {
	if p.isClose() {
		return &p.file.Payload.closing
	}
	return &p.direction().waiting
}

// direction is the side of a stream that an operation is ordered in, or nil.
func (p *operation) direction() *direction {
	if p.file == nil || p.class == classControl {
		return nil
	}
	info := &p.file.Payload
	if p.class == classLane {
		if info.kind == kindDirectory && p.extra.job.Call == ring.CallReadDir {
			return &info.in
		}
		return nil
	}
	switch p.request.Code {
	case ring.CodeRead, ring.CodeReadV:
		if info.isStream() {
			return &info.in
		}
	case ring.CodeWrite, ring.CodeWriteV:
		if info.isStream() || info.appends {
			return &info.out
		}
	}
	return nil
}
