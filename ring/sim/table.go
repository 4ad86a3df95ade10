package sim

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// table is the descriptor table of the simulated process. As in a real one the
// lowest free number is the next: whoever uses a number after it was closed
// soon hits another file.
type table struct {
	open  []*Description // by number, from descriptorBase on
	made  int
	lost  int // are open, and nobody was told: see Kernel.lose
	files map[*os.File]*Description
}

// descriptorBase is the first number, so that 0 is none.
const descriptorBase = 100

// Description is one open file.
type Description struct {
	Node  Node
	FD    int32
	Flags int
	// serial tells descriptions apart that have the same number.
	serial int
	// refs are requests and jobs that refer to it; reads and writes those of
	// them that are transfers.
	refs, reads, writes int
	position            int64
	closed              bool
}

// describe opens a file.
func (w *World) describe(n Node, flags int) *Description {
	t := &w.table
	t.made++
	d := &Description{Node: n, Flags: flags, serial: t.made}
	for i := range t.open {
		if t.open[i] == nil {
			d.FD = int32(descriptorBase + i)
			t.open[i] = d
			return d
		}
	}
	d.FD = int32(descriptorBase + len(t.open))
	t.open = append(t.open, d)
	return d
}

// at is what a number stands for, or nil.
func (w *World) at(fd int32) *Description {
	if i := int(fd) - descriptorBase; i >= 0 && i < len(w.table.open) {
		return w.table.open[i]
	}
	return nil
}

// use finds the description that a request or job is about, and has it count
// as in use. That there is none is the user's mistake.
func (w *World) use(fd int32, what string) *Description {
	d := w.at(fd)
	if d == nil {
		w.Violate("%s of descriptor %d, which is not open", what, fd)
		return nil
	}
	d.refs++
	return d
}

// unuse ends that.
func (d *Description) unuse() {
	if d != nil {
		d.refs--
	}
}

// check looks a descriptor up as the kernel does, late: it must still be the
// file that was meant.
func (w *World) check(d *Description, what string) {
	if d == nil {
		return
	}
	if now := w.at(d.FD); now != d {
		w.Violate("%s of %s hit another file: descriptor %d was closed meanwhile", what, d.Node.Path, d.FD)
	}
}

// close closes a descriptor. own is how many references are the closer's.
func (w *World) close(d *Description, own int) {
	if d == nil {
		return
	}
	if d.closed {
		w.Violate("descriptor %d (%s) was closed twice", d.FD, d.Node.Path)
		return
	}
	if d.refs > own {
		w.Violate("descriptor %d (%s) was closed while %d requests refer to it", d.FD, d.Node.Path, d.refs-own)
	}
	d.closed = true
	w.table.open[d.FD-descriptorBase] = nil
	w.Note("descriptor %d closed", int64(d.FD))
}

// OpenDescriptors are those that are open and not lost.
func (w *World) OpenDescriptors() []*Description {
	var open []*Description
	for _, d := range w.table.open {
		if d != nil {
			open = append(open, d)
		}
	}
	return open
}

// LostDescriptors is how many stay open since the completion that brought them
// was lost.
func (w *World) LostDescriptors() int { return w.table.lost }

// Opened is how many descriptors there have been.
func (w *World) Opened() int { return w.table.made }

// At is the description behind a number, or nil.
func (w *World) At(fd int32) *Description { return w.at(fd) }

// Refs is how many requests and jobs refer to the description.
func (d *Description) Refs() int { return d.refs }

// NewFile makes a file that can be duplicated, see Host.
func (w *World) NewFile(path string, flags int) *os.File {
	f := new(os.File)
	if w.table.files == nil {
		w.table.files = make(map[*os.File]*Description)
	}
	w.table.files[f] = &Description{Node: NodeAt(path), Flags: flags, FD: -1}
	return f
}

var _ ring.Host = (*World)(nil)

// Duplicate implements ring.Host.
func (w *World) Duplicate(f *os.File) (fd int32, flags int, err error) {
	d := w.table.files[f]
	if d == nil {
		return -1, 0, os.ErrClosed
	}
	return w.describe(d.Node, d.Flags).FD, d.Flags, nil
}

// Describe implements ring.Host.
func (w *World) Describe(fd int32, into *ring.Statx) error {
	d := w.at(fd)
	if d == nil {
		w.Violate("descriptor %d was asked about, and is not open", fd)
		return unix.EBADF
	}
	if w.chance(w.Profile.LaneErr, DidLaneErr) {
		return unix.EIO
	}
	d.Node.stat(into)
	return nil
}

// stat fills in what statx says.
func (n Node) stat(into *ring.Statx) {
	into.Mode = n.mode()
	into.Inode = n.Inode
	into.Size = uint64(n.Size)
	into.Links = 1
	into.DeviceMajor = 1 + uint32(n.Device)
}
