package ring

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
)

// What Handles.Find says of a handle that it does not find.
var (
	// ErrBadHandle: it was never issued, or is of an earlier life of its place.
	ErrBadHandle = errors.New("bad handle")
	// ErrHandleClosed: it was issued, and is closed.
	ErrHandleClosed = errors.New("handle is closed")
)

// Handles is the table of open descriptors behind capabilities. A descriptor
// is closed only when its handle is and no operation holds it: the kernel
// looks descriptor numbers up late, and a number that is reused meanwhile
// names another file.
type Handles[O any] struct {
	files []*File[O]
	free  []uint32
	keys  *rand.ChaCha8
	live  int
}

// File is one open descriptor.
type File[O any] struct {
	FD int32
	// Payload is the user's own.
	Payload O

	id     uint64
	key    uint64
	holds  int
	closed bool
}

// NewHandles makes an empty table.
func NewHandles[O any]() *Handles[O] {
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // never fails: see crypto/rand
	return &Handles[O]{keys: rand.NewChaCha8(seed)}
}

// Add takes over a descriptor.
func (h *Handles[O]) Add(fd int32) *File[O] {
	var slot uint32
	if n := len(h.free); n > 0 {
		slot = h.free[n-1]
		h.free = h.free[:n-1]
	} else {
		slot = uint32(len(h.files))
		h.files = append(h.files, &File[O]{id: uint64(slot)})
	}
	// A new File for each life: whoever kept the old one sees that it is dead.
	f := &File[O]{FD: fd, id: h.files[slot].id + 1<<32, key: h.keys.Uint64() | 1}
	h.files[slot] = f
	h.live++
	return f
}

// Find checks a handle's two halves. A file whose handle is closed is given
// with ErrHandleClosed.
func (h *Handles[O]) Find(id, key uint64) (*File[O], error) {
	slot := uint32(id)
	if int64(slot) >= int64(len(h.files)) {
		return nil, ErrBadHandle
	}
	f := h.files[slot]
	if f.id != id || f.key != key {
		return nil, ErrBadHandle
	}
	if f.closed {
		return f, ErrHandleClosed
	}
	return f, nil
}

// Live is how many descriptors are open, those with a deferred close among
// them.
func (h *Handles[O]) Live() int { return h.live }

// Each calls f for every handle that is not closed.
func (h *Handles[O]) Each(f func(*File[O])) {
	for _, file := range h.files {
		if file.key != 0 && !file.closed {
			f(file)
		}
	}
}

// ID is the handle's public half.
func (f *File[O]) ID() uint64 { return f.id }

// Key is its secret one.
func (f *File[O]) Key() uint64 { return f.key }

// Closed reports whether the handle is closed; the descriptor may not be yet.
func (f *File[O]) Closed() bool { return f.closed }

// Hold keeps the descriptor open for an operation.
func (f *File[O]) Hold() { f.holds++ }

// Held reports whether an operation holds the descriptor.
func (f *File[O]) Held() bool { return f.holds > 0 }

// Drop ends a Hold. It reports true when the descriptor is now to be closed:
// the caller must close it, and then Forget it.
func (f *File[O]) Drop() bool {
	if f.holds--; f.holds < 0 {
		panic(&InvariantError{fmt.Sprintf("descriptor %d dropped more often than held", f.FD)})
	}
	return f.closed && f.holds == 0
}

// Close closes the handle. It reports true when the descriptor is to be closed
// at once, as Drop does. Closing a closed handle reports false.
func (f *File[O]) Close() bool {
	if f.closed {
		return false
	}
	f.closed = true
	return f.holds == 0
}

// Forget gives the place of a file whose descriptor is being closed to others.
func (h *Handles[O]) Forget(f *File[O]) {
	if !f.closed || f.holds != 0 {
		panic(&InvariantError{fmt.Sprintf("descriptor %d forgotten while in use", f.FD)})
	}
	h.live--
	h.free = append(h.free, uint32(f.id))
}
