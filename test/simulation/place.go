package simulation

import (
	"fmt"
	"strings"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring/sim"
)

// path decides for a path that is absolute.
func (h *history) path() string {
	device := []string{"fast", "blind", "slow"}[h.plan.Pick(3)]
	return fmt.Sprintf("/%s/%s", device, h.base())
}

// base decides for the last part of a path: mostly a file or a stream.
func (h *history) base() string {
	kind := []string{"f", "f", "s", "s", "d", "b", "l", "n", "c"}[h.plan.Pick(9)]
	return fmt.Sprintf("%s%d", kind, h.plan.Pick(4))
}

// place decides for a directory and a path below it, or an absolute path, and
// says what that is.
func (h *history) place(r *requester) (dir messages.Handle, path string, node sim.Node) {
	if h.plan.Pick(3) == 2 {
		if f := h.file(r, sim.Directory); f != nil && f.node.Kind == sim.Directory {
			path = h.base()
			return f.handle, path, sim.NodeAt(strings.TrimSuffix(f.node.Path, "/") + "/" + path)
		}
	}
	path = h.path()
	return messages.Handle{}, path, sim.NodeAt(path)
}

// file decides for a handle that somebody holds, if possible of a node of such
// a kind; now and then of another's, since a handle may be shared.
func (h *history) file(r *requester, kinds ...sim.NodeKind) *file {
	holder := r
	if h.plan.Pick(6) == 5 {
		holder = h.cast[h.plan.Pick(len(h.cast))]
	}
	var fit []*file
	for _, f := range holder.files {
		for _, k := range kinds {
			if f.node.Kind == k && !f.closed {
				fit = append(fit, f)
			}
		}
	}
	if len(fit) == 0 || h.plan.Pick(12) == 11 {
		fit = holder.files // of any kind, closed ones too
	}
	if len(fit) == 0 {
		return nil
	}
	return fit[len(fit)-1-h.plan.Pick(min(len(fit), 8))]
}

// onFile makes the ticket one about a file, and gives its handle.
func (h *history) onFile(r *requester, t *ticket, kinds ...sim.NodeKind) messages.Handle {
	f := h.file(r, kinds...)
	if f == nil {
		return messages.Handle{}
	}
	t.file = f
	return f.handle
}
