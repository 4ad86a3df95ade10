package simulation

import (
	"io/fs"
	"os"
	"time"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring/sim"
)

// makers make an operation each, of what a requester has and the plan decides.
// The first is the plainest.
var makers = []struct {
	name   string
	weight int
	onFile bool // it needs a handle
	make   func(*history, *requester, *ticket) messages.Op
}{
	{"nop", 3, false, makeNop},
	{"open", 14, false, makeOpen},
	{"read", 14, true, makeRead},
	{"write", 8, true, makeWrite},
	{"readv", 4, true, makeReadV},
	{"writev", 4, true, makeWriteV},
	{"close", 5, true, makeClose},
	{"poll", 4, true, makePoll},
	{"timeout", 3, false, makeTimeout},
	{"stat", 3, false, makeStat},
	{"readdir", 3, true, makeReadDir},
	{"readlink", 2, false, makeReadLink},
	{"fsync", 2, true, makeFsync},
	{"fdatasync", 1, true, makeFdatasync},
	{"truncate", 1, true, makeTruncate},
	{"allocate", 1, true, makeAllocate},
	{"advise", 1, true, makeAdvise},
	{"chmod", 1, true, makeChmod},
	{"chown", 1, true, makeChown},
	{"settimes", 1, false, makeSetTimes},
	{"mkdir", 1, false, makeMkdir},
	{"unlink", 1, false, makeUnlink},
	{"rename", 1, false, makeRename},
	{"link", 1, false, makeLink},
	{"symlink", 1, false, makeSymlink},
	{"adopt", 3, false, makeAdopt},
	{"give", 3, true, makeGive},
}

// operation makes one for a ticket.
func (h *history) operation(r *requester, t *ticket) messages.Op {
	total := 0
	for _, m := range makers {
		total += m.weight
	}
	pick := h.plan.Pick(total)
	for _, m := range makers {
		if pick -= m.weight; pick < 0 {
			if len(r.files) == 0 && m.onFile && h.plan.Pick(8) != 7 {
				return makeOpen(h, r, t)
			}
			return m.make(h, r, t)
		}
	}
	return &messages.Nop{}
}

func makeNop(*history, *requester, *ticket) messages.Op { return &messages.Nop{} }

func makeOpen(h *history, r *requester, t *ticket) messages.Op {
	op := &messages.Open{}
	op.Dir, op.Path, t.node = h.place(r)
	op.Flags = []int{os.O_RDONLY, os.O_RDWR, os.O_WRONLY}[h.plan.Pick(3)]
	switch t.node.Kind {
	case sim.Directory:
		op.Flags = os.O_RDONLY
	case sim.Nothing:
		op.Flags |= os.O_CREATE
		if h.plan.Pick(2) == 1 {
			op.Flags |= os.O_EXCL
		}
		t.node.Kind, t.node.Size = sim.Regular, 0
	case sim.Regular:
		op.Flags |= []int{0, os.O_APPEND, openDirectly}[h.plan.Pick(3)]
	}
	op.Stat = h.plan.Pick(4) == 3
	if h.plan.Pick(8) == 7 {
		op.Rights = messages.RightRead
	}
	op.Mode = 0o644
	return op
}

func flagsOf(op messages.Op) int {
	if open, ok := op.(*messages.Open); ok {
		return open.Flags
	}
	return os.O_RDWR
}

// transfers are the nodes that something can be read from.
var transfers = []sim.NodeKind{sim.Regular, sim.Stream, sim.BlockDevice, sim.Character}

// size decides how large a transfer is. A few are so large that they are not
// left to the poster's thread.
func (h *history) size() int {
	return []int{64, 200, 1, 0, 513, 70 << 10}[[]int{0, 0, 0, 1, 1, 1, 2, 3, 4, 4, 4, 5}[h.plan.Pick(12)]]
}

// offset decides where. On streams it must be 0, and mostly is.
func (h *history) offset(t *ticket) int64 {
	if t.file != nil && (!t.file.node.HasPositions() || t.file.flags&os.O_APPEND != 0) && h.plan.Pick(16) != 15 {
		return 0
	}
	return []int64{0, 8, 1001, 4090, -1}[[]int{0, 0, 0, 1, 1, 2, 2, 3, 3, 4}[h.plan.Pick(10)]]
}

func makeRead(h *history, r *requester, t *ticket) messages.Op {
	op := &messages.Read{Handle: h.onFile(r, t, transfers...), Buf: make([]byte, h.size())}
	op.Offset = h.offset(t)
	return op
}

func makeWrite(h *history, r *requester, t *ticket) messages.Op {
	op := &messages.Write{Handle: h.onFile(r, t, transfers...), Buf: make([]byte, h.size())}
	op.Offset = h.offset(t)
	fill(op.Buf, t.number)
	return op
}

func fill(buf []byte, number int) {
	for i := range buf {
		buf[i] = byte(number + i*7)
	}
}

func (h *history) bufs(number int) [][]byte {
	bufs := make([][]byte, 1+h.plan.Pick(3))
	for i := range bufs {
		bufs[i] = make([]byte, 1+h.plan.Pick(40))
		fill(bufs[i], number+i)
	}
	return bufs
}

func makeReadV(h *history, r *requester, t *ticket) messages.Op {
	op := &messages.ReadV{Handle: h.onFile(r, t, transfers...), Bufs: h.bufs(t.number)}
	op.Offset = h.offset(t)
	return op
}

func makeWriteV(h *history, r *requester, t *ticket) messages.Op {
	op := &messages.WriteV{Handle: h.onFile(r, t, transfers...), Bufs: h.bufs(t.number)}
	op.Offset = h.offset(t)
	return op
}

func makeClose(h *history, r *requester, t *ticket) messages.Op {
	op := &messages.Close{Handle: h.onFile(r, t, sim.Regular, sim.Stream, sim.Directory, sim.BlockDevice)}
	if t.file != nil {
		t.file.closed = true
	}
	return op
}

func makePoll(h *history, r *requester, t *ticket) messages.Op {
	return &messages.Poll{Handle: h.onFile(r, t, sim.Stream), Events: messages.Readable}
}

func makeTimeout(h *history, _ *requester, _ *ticket) messages.Op {
	return &messages.Timeout{After: time.Duration(h.plan.Pick(200)) * time.Millisecond}
}

func makeStat(h *history, r *requester, t *ticket) messages.Op {
	op := &messages.Stat{NoFollow: h.plan.Pick(4) == 3}
	if f := h.file(r, sim.Regular, sim.Stream); f != nil && h.plan.Pick(2) == 1 {
		op.Dir, t.node = f.handle, f.node
		return op
	}
	op.Dir, op.Path, t.node = h.place(r)
	return op
}

func makeReadDir(h *history, r *requester, t *ticket) messages.Op {
	return &messages.ReadDir{Handle: h.onFile(r, t, sim.Directory), Limit: h.plan.Pick(4)}
}

func makeReadLink(h *history, r *requester, t *ticket) messages.Op {
	op := &messages.ReadLink{}
	op.Dir, op.Path, t.node = h.place(r)
	return op
}

func makeFsync(h *history, r *requester, t *ticket) messages.Op {
	return &messages.Fsync{Handle: h.onFile(r, t, sim.Regular)}
}

func makeFdatasync(h *history, r *requester, t *ticket) messages.Op {
	return &messages.Fdatasync{Handle: h.onFile(r, t, sim.Regular)}
}

func makeTruncate(h *history, r *requester, t *ticket) messages.Op {
	return &messages.Truncate{Handle: h.onFile(r, t, sim.Regular), Size: int64(h.plan.Pick(100)) - 1}
}

func makeAllocate(h *history, r *requester, t *ticket) messages.Op {
	return &messages.Allocate{Handle: h.onFile(r, t, sim.Regular), Length: int64(h.plan.Pick(100))}
}

func makeAdvise(h *history, r *requester, t *ticket) messages.Op {
	return &messages.Advise{Handle: h.onFile(r, t, sim.Regular), Advice: h.plan.Pick(8)}
}

func makeChmod(h *history, r *requester, t *ticket) messages.Op {
	return &messages.Chmod{Handle: h.onFile(r, t, sim.Regular), Mode: fs.FileMode(0o600)}
}

func makeChown(h *history, r *requester, t *ticket) messages.Op {
	return &messages.Chown{Handle: h.onFile(r, t, sim.Regular), UID: -1 - h.plan.Pick(2), GID: -1}
}

func makeSetTimes(h *history, r *requester, t *ticket) messages.Op {
	op := &messages.SetTimes{Modified: h.world.Now()}
	op.Dir, op.Path, _ = h.place(r)
	return op
}

func makeMkdir(h *history, r *requester, t *ticket) messages.Op {
	op := &messages.Mkdir{Mode: 0o755}
	op.Dir, op.Path, _ = h.place(r)
	return op
}

func makeUnlink(h *history, r *requester, t *ticket) messages.Op {
	op := &messages.Unlink{Directory: h.plan.Pick(2) == 1}
	op.Dir, op.Path, _ = h.place(r)
	return op
}

func makeRename(h *history, r *requester, t *ticket) messages.Op {
	op := &messages.Rename{}
	op.OldDir, op.OldPath, _ = h.place(r)
	op.NewDir, op.NewPath, _ = h.place(r)
	return op
}

func makeLink(h *history, r *requester, t *ticket) messages.Op {
	op := &messages.Link{Follow: h.plan.Pick(2) == 1}
	op.OldDir, op.OldPath, _ = h.place(r)
	op.NewDir, op.NewPath, _ = h.place(r)
	return op
}

func makeSymlink(h *history, r *requester, t *ticket) messages.Op {
	op := &messages.Symlink{Target: "anything"}
	op.Dir, op.Path, _ = h.place(r)
	return op
}

func makeAdopt(h *history, r *requester, t *ticket) messages.Op {
	path := h.path()
	if t.node = sim.NodeAt(path); t.node.Kind == sim.Symlink || t.node.Kind == sim.Nothing {
		path = "/fast/s0" // what cannot be open
		t.node = sim.NodeAt(path)
	}
	op := &messages.Adopt{File: h.world.NewFile(path, os.O_RDWR)}
	switch h.plan.Pick(8) {
	case 6:
		op.File = new(os.File) // that nobody opened
	case 7:
		op.File = nil
	}
	return op
}

func makeGive(h *history, r *requester, t *ticket) messages.Op {
	op := &messages.Give{Handle: h.onFile(r, t, sim.Regular, sim.Stream, sim.Directory)}
	op.To = h.cast[h.plan.Pick(len(h.cast))].pid
	if t.file != nil {
		t.file.given = true
	}
	return op
}
