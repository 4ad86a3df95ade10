package messages

import (
	"fmt"
	"io"
)

// Handle is the right to use one open file, directory, pipe or socket of the
// subsystem. It is a capability: whoever holds it may use it, nobody can guess
// one, and it outlives a restart of the ring owner. The zero Handle names
// nothing.
//
// A handle belongs to the owner named in the operation that made it and is
// closed when that owner stops; see [Give].
type Handle struct {
	id  uint64
	key uint64
}

// NewHandle builds a handle from its two halves. It is for the subsystem
// itself: a handle with a key that the subsystem did not issue is refused.
func NewHandle(id, key uint64) Handle { return Handle{id: id, key: key} }

// ID names the place of the handle in the subsystem's table, generation
// included. It may be shown and logged: it gives no right.
func (h Handle) ID() uint64 { return h.id }

// Key is the secret half. Whoever learns it holds the handle.
func (h Handle) Key() uint64 { return h.key }

// IsZero reports whether h names nothing.
func (h Handle) IsZero() bool { return h == Handle{} }

// String shows the handle without its secret.
func (h Handle) String() string {
	if h.IsZero() {
		return "no handle"
	}
	return fmt.Sprintf("handle %d.%d", uint32(h.id), h.id>>32)
}

// Format keeps the secret out of every verb, those for numbers among them.
func (h Handle) Format(f fmt.State, verb rune) {
	text := h.String()
	if verb == 'v' && f.Flag('#') {
		text = "messages." + text
	}
	_, _ = io.WriteString(f, text)
}

// Rights say what a handle may be used for.
type Rights uint8

// The rights of a handle. An Open or Adopt asks for a subset of what the
// file's own access mode allows; zero asks for all of it.
const (
	// RightRead allows reads, polling for input and advice.
	RightRead Rights = 1 << iota
	// RightWrite allows writes, truncation and allocation.
	RightWrite
	// RightMeta allows changing mode, owner and times, and syncing.
	RightMeta
	// RightPath allows the handle to serve as the directory of a path.
	RightPath

	// RightsAll is every right there is.
	RightsAll = RightRead | RightWrite | RightMeta | RightPath
)

// Has reports whether r includes all of want.
func (r Rights) Has(want Rights) bool { return r&want == want }

// String lists the rights, as in "read|meta".
func (r Rights) String() string {
	names := [...]string{"read", "write", "meta", "path"}
	text := ""
	for bit, name := range names {
		if r&(1<<bit) == 0 {
			continue
		}
		if text != "" {
			text += "|"
		}
		text += name
	}
	if text == "" {
		return "none"
	}
	return text
}
