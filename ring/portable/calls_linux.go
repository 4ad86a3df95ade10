package portable

import (
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
)

const (
	routeFirst      = routeNoWait
	eventPeerClosed = unix.POLLRDHUP
	pipeBuf         = 4096  // PIPE_BUF
	sendsWait       = false // see calls_darwin.go
)

// calls are what this system was found to have.
type calls struct {
	openat2 bool  // Linux 5.6; gVisor and old seccomp profiles lack it
	statx   bool  // Linux 4.11; old seccomp profiles lack it
	first   route // how a stream is tried first: preadv2 is of Linux 4.6
}

// probeCalls makes calls that are refused for their descriptor if for nothing
// else.
func probeCalls() calls {
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC})
	if err == nil {
		_ = unix.Close(fd)
	}
	c := calls{openat2: !sys.Lacking(err), first: routeFirst}
	c.statx = !sys.Lacking(unix.Statx(-1, "", unix.AT_EMPTY_PATH, 0, new(unix.Statx_t)))
	_, reads := unix.Preadv2(-1, nil, 0, unix.RWF_NOWAIT)
	_, writes := unix.Pwritev2(-1, nil, 0, unix.RWF_NOWAIT)
	if sys.Lacking(reads) || sys.Lacking(writes) {
		c.first = routeUnknown
	}
	return c
}

// lacks reports whether an operation cannot be performed here.
func lacks(ring.Code) bool { return false }

// open opens a file. Where openat2 is lacking, what only it can do is refused.
func (c *calls) open(dir int, path string, r *ring.Request) (int, error) {
	if c.openat2 {
		return unix.Openat2(dir, path, &unix.OpenHow{Flags: uint64(r.Flags), Mode: uint64(r.Mode), Resolve: r.Off})
	}
	if r.Off != 0 {
		return -1, unix.EOPNOTSUPP
	}
	return unix.Openat(dir, path, int(r.Flags), r.Mode)
}

// transferNoWait is a read or write that never waits. The kernel is asked
// itself (RWF_NOWAIT), so what it answers is what io_uring would: EAGAIN,
// EOPNOTSUPP, or less than was asked for.
func transferNoWait(r *ring.Request) int32 {
	off := int64(r.Off)
	n, err := preadwriteV2(r, off)
	for err == unix.EINTR {
		n, err = preadwriteV2(r, off)
	}
	switch {
	case err == nil:
		return int32(n)
	case err == unix.ESPIPE && streams(r):
		if n, err = preadwriteV2(r, -1); err == nil {
			return int32(n)
		}
	}
	return result(n, err)
}

func preadwriteV2(r *ring.Request, off int64) (int, error) {
	fd := int(r.FD)
	if uint64(off) == ring.StreamOffset && writes(r.Code) && empty(r) {
		// The file would not be asked; and to a socket it means something.
		if mode, err := fileMode(r.FD); err == nil && mode&modeType == unix.S_IFSOCK {
			return sendNoWait(r)
		}
	}
	switch r.Code {
	case ring.CodeRead:
		return unix.Preadv2(fd, [][]byte{limited(r.Buf)}, off, unix.RWF_NOWAIT)
	case ring.CodeWrite:
		return unix.Pwritev2(fd, [][]byte{limited(r.Buf)}, off, unix.RWF_NOWAIT)
	case ring.CodeReadV:
		return unix.Preadv2(fd, r.Bufs(), off, unix.RWF_NOWAIT)
	default:
		return unix.Pwritev2(fd, r.Bufs(), off, unix.RWF_NOWAIT)
	}
}

func pwrite(fd int, buf []byte, off int64) (int, error) { return unix.Pwrite(fd, buf, off) }

func readV(fd int, bufs [][]byte, off int64) (int, error) {
	if uint64(off) == ring.StreamOffset {
		return unix.Readv(fd, bufs)
	}
	return unix.Preadv(fd, bufs, off)
}

func writeV(fd int, bufs [][]byte, off int64) (int, error) {
	if uint64(off) == ring.StreamOffset {
		return unix.Writev(fd, bufs)
	}
	return unix.Pwritev(fd, bufs, off)
}

// fileMode is the type of an open file. It asks no server, which might hang,
// unless the system lacks statx.
func fileMode(fd int32) (uint32, error) {
	if fd < 0 {
		return 0, unix.EBADF // AT_FDCWD would be the working directory
	}
	mode, err := sys.FileMode(int(fd))
	for err == unix.EINTR {
		mode, err = sys.FileMode(int(fd))
	}
	return mode, err
}

// asksOthers reports whether something without a name asks other files whether it
// is ready: an epoll instance asks those that are in it.
func asksOthers(fd int32) bool {
	name := make([]byte, 64)
	n, err := unix.Readlink("/proc/thread-self/fd/"+strconv.Itoa(int(fd)), name)
	return err != nil || string(name[:n]) == "anon_inode:[eventpoll]"
}

func newWake() (wake, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	return wake{int32(fd), int32(fd)}, err
}

// pollRefused says why poll refuses a descriptor.
func pollRefused(int32) error { return unix.EBADF }

func syncFD(fd int, dataOnly bool) error {
	if dataOnly {
		return unix.Fdatasync(fd)
	}
	return unix.Fsync(fd)
}

func allocate(r *ring.Request) error {
	return unix.Fallocate(int(r.FD), r.Mode, int64(r.Off), int64(r.Length))
}

func advise(r *ring.Request) error {
	return unix.Fadvise(int(r.FD), int64(r.Off), int64(r.Length), int(r.Flags))
}

func rename(dir int, path string, dir2 int, path2 string, flags uint32) error {
	return unix.Renameat2(dir, path, dir2, path2, uint(flags))
}

// statMask is what a Stat asks for.
const statMask = unix.STATX_BASIC_STATS | unix.STATX_BTIME | unix.STATX_MNT_ID | unix.STATX_DIOALIGN

func (c *calls) stat(dir int, path string, r *ring.Request) error {
	if !c.statx {
		var from unix.Stat_t
		err := unix.Fstatat(dir, path, &from, int(r.Flags))
		if err == nil {
			sys.FillStatx(r.Statx(), &from)
		}
		return err
	}
	var from unix.Statx_t
	if err := unix.Statx(dir, path, int(r.Flags), statMask, &from); err != nil {
		return err
	}
	fillStatx(r.Statx(), &from)
	return nil
}

// fillStatx copies what the kernel said, in the order in which it says it.
func fillStatx(to *ring.Statx, from *unix.Statx_t) {
	*to = ring.Statx{
		Mask:                  from.Mask,
		BlockSize:             from.Blksize,
		Attributes:            from.Attributes,
		Links:                 from.Nlink,
		UID:                   from.Uid,
		GID:                   from.Gid,
		Mode:                  from.Mode,
		Inode:                 from.Ino,
		Size:                  from.Size,
		Blocks:                from.Blocks,
		AttributesMask:        from.Attributes_mask,
		RDeviceMajor:          from.Rdev_major,
		RDeviceMinor:          from.Rdev_minor,
		DeviceMajor:           from.Dev_major,
		DeviceMinor:           from.Dev_minor,
		MountID:               from.Mnt_id,
		DirectMemoryAlign:     from.Dio_mem_align,
		DirectOffsetAlign:     from.Dio_offset_align,
		SubvolumeID:           from.Subvol,
		AtomicWriteUnitMin:    from.Atomic_write_unit_min,
		AtomicWriteUnitMax:    from.Atomic_write_unit_max,
		AtomicWriteSegments:   from.Atomic_write_segments_max,
		DirectReadOffsetAlign: from.Dio_read_offset_align,
		AtomicWriteUnitOpt:    from.Atomic_write_unit_max_opt,
	}
	to.Accessed.Sec, to.Accessed.Nsec = from.Atime.Sec, from.Atime.Nsec
	to.Born.Sec, to.Born.Nsec = from.Btime.Sec, from.Btime.Nsec
	to.Changed.Sec, to.Changed.Nsec = from.Ctime.Sec, from.Ctime.Nsec
	to.Modified.Sec, to.Modified.Nsec = from.Mtime.Sec, from.Mtime.Nsec
}
