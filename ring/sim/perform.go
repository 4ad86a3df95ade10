package sim

import (
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// perform does what a request asks for, or fails. It gives the result, and
// whether that is a descriptor.
func (r *request) perform() (res int32, brings bool) {
	w := r.kernel.world
	for _, d := range r.files {
		w.check(d, "a request")
	}
	if errno := r.fault(); errno != 0 {
		if r.Code == ring.CodeClose && errno != unix.ECANCELED {
			w.close(r.files[0], 1) // gone all the same, as close(2) says
		}
		return -int32(errno), false
	}
	switch r.Code {
	case ring.CodeOpen:
		return r.performOpen()
	case ring.CodeClose:
		w.close(r.files[0], 1)
	case ring.CodeRead, ring.CodeReadV, ring.CodeWrite, ring.CodeWriteV:
		return r.performTransfer(), false
	case ring.CodeStat:
		n := NodeAt(below(r.files[0], r.path))
		if n.Kind == Nothing {
			return -int32(unix.ENOENT), false
		}
		n.stat(r.Statx())
	case ring.CodePoll:
		return int32(r.Flags), false
	case ring.CodeMkdir, ring.CodeUnlink, ring.CodeRename, ring.CodeLink:
		if NodeAt(below(r.files[0], r.path)).Kind == Nothing && r.Code != ring.CodeMkdir {
			return -int32(unix.ENOENT), false
		}
	}
	return 0, false
}

// fault decides whether a request fails, and how.
func (r *request) fault() unix.Errno {
	w := r.kernel.world
	p := &w.Profile
	switch {
	case r.NoWait && r.device() == Blind && !w.calm:
		w.did(DidUnsupported)
		return unix.EOPNOTSUPP
	case (r.NoWait || r.Async) && w.chance(p.Again, DidAgain):
		return unix.EAGAIN
	case w.chance(p.Interrupt, DidInterrupt):
		return unix.EINTR
	case r.stage != armed && w.chance(p.Withdraw, DidWithdraw):
		return unix.ECANCELED
	case w.chance(p.NoMemory, DidNoMemory):
		return unix.ENOMEM
	case w.chance(p.Errno, DidErrno):
		return unix.EIO
	default:
		return 0
	}
}

func (r *request) performOpen() (int32, bool) {
	flags := int(r.Flags)
	n := NodeAt(below(r.files[0], r.path))
	switch {
	case n.Kind == Nothing && flags&unix.O_CREAT == 0:
		return -int32(unix.ENOENT), false
	case n.Kind != Nothing && flags&(unix.O_CREAT|unix.O_EXCL) == unix.O_CREAT|unix.O_EXCL:
		return -int32(unix.EEXIST), false
	case n.Kind != Directory && flags&unix.O_DIRECTORY != 0:
		return -int32(unix.ENOTDIR), false
	case n.Kind == Directory && flags&(unix.O_WRONLY|unix.O_RDWR) != 0:
		return -int32(unix.EISDIR), false
	case n.Kind == Symlink:
		return -int32(unix.ELOOP), false
	case n.Kind == Nothing:
		n.Kind, n.Size = Regular, 0
	}
	d := r.kernel.world.describe(n, flags)
	r.kernel.world.Note("descriptor %d opened", int64(d.FD))
	return d.FD, true
}

// performTransfer moves bytes. What is read says where it comes from.
func (r *request) performTransfer() int32 {
	d, w := r.files[0], r.kernel.world
	if d == nil {
		return -int32(unix.EBADF)
	}
	offset, most := int64(r.Off), 0
	for _, b := range r.bufs {
		most += len(b)
	}
	if !d.Node.HasPositions() {
		offset = d.position
	} else if r.reads() {
		most = int(min(int64(most), max(d.Node.Size-offset, 0)))
	}
	if most > 1 && w.chance(w.Profile.Short, DidShort) {
		most = 1 + w.pick(most-1)
	}
	if r.reads() {
		r.fill(&d.Node, offset, most)
	}
	if !d.Node.HasPositions() && r.reads() {
		d.position += int64(most)
	}
	return int32(most)
}

func (r *request) fill(n *Node, offset int64, most int) {
	for i, b := range r.bufs {
		for j := range b {
			if most == 0 {
				return
			}
			b[j] = n.Byte(offset)
			r.want[i][j] = b[j]
			offset++
			most--
		}
	}
}
