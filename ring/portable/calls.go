package portable

import (
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// perform makes the call of a request, and waits for it as long as it takes.
func (c *calls) perform(r *ring.Request) int32 {
	fd := int(r.FD)
	switch r.Code {
	case ring.CodeRead, ring.CodeReadV, ring.CodeWrite, ring.CodeWriteV:
		return transfer(r)
	case ring.CodeClose:
		return result(0, closeFD(r.FD))
	case ring.CodeFsync:
		return result(0, repeat(func() error { return syncFD(fd, r.Flags != 0) }))
	case ring.CodeTruncate:
		return result(0, repeat(func() error { return unix.Ftruncate(fd, int64(r.Off)) }))
	case ring.CodeAllocate:
		return result(0, repeat(func() error { return allocate(r) }))
	case ring.CodeAdvise:
		return result(0, repeat(func() error { return advise(r) }))
	default:
		return c.performPath(r)
	}
}

// performPath is for what has a path, or two.
func (c *calls) performPath(r *ring.Request) int32 {
	dir, dir2 := directory(r.FD), directory(r.FD2)
	path, path2 := r.Paths()
	switch r.Code {
	case ring.CodeOpen:
		return result(repeatN(func() (int, error) { return c.open(dir, path, r) }))
	case ring.CodeStat:
		return result(0, repeat(func() error { return c.stat(dir, path, r) }))
	case ring.CodeRename:
		return result(0, repeat(func() error { return rename(dir, path, dir2, path2, r.Flags) }))
	case ring.CodeUnlink:
		flags := 0
		if r.Flags != 0 {
			flags = unix.AT_REMOVEDIR
		}
		return result(0, repeat(func() error { return unix.Unlinkat(dir, path, flags) }))
	case ring.CodeMkdir:
		return result(0, repeat(func() error { return unix.Mkdirat(dir, path, r.Mode) }))
	case ring.CodeLink:
		return result(0, repeat(func() error { return unix.Linkat(dir, path, dir2, path2, int(r.Flags)) }))
	case ring.CodeSymlink:
		return result(0, repeat(func() error { return unix.Symlinkat(path, dir, path2) }))
	default:
		return -int32(unix.EINVAL)
	}
}

// transfer is a plain read or write. It may wait.
func transfer(r *ring.Request) int32 {
	fd, off := int(r.FD), int64(r.Off)
	positioned := r.Off != ring.StreamOffset
	return result(repeatN(func() (int, error) {
		switch {
		case r.Code == ring.CodeRead && positioned:
			return unix.Pread(fd, limited(r.Buf), off)
		case r.Code == ring.CodeRead:
			return unix.Read(fd, limited(r.Buf))
		case r.Code == ring.CodeWrite && positioned:
			return pwrite(fd, limited(r.Buf), off)
		case r.Code == ring.CodeWrite:
			return unix.Write(fd, limited(r.Buf))
		case r.Code == ring.CodeReadV:
			return readV(fd, r.Bufs(), off)
		default:
			return writeV(fd, r.Bufs(), off)
		}
	}))
}

// transferNoWait is a transfer that its request has not wait, where that can be
// said.
func (c *calls) transferNoWait(r *ring.Request) int32 {
	if c.first != routeNoWait {
		return -int32(unix.EOPNOTSUPP)
	}
	return transferNoWait(r)
}

// transferSocket reads or writes a socket without waiting.
func transferSocket(r *ring.Request) int32 {
	if writes(r.Code) {
		return result(repeatN(func() (int, error) { return sendNoWait(r) }))
	}
	bufs := buffers(r)
	return result(repeatN(func() (int, error) {
		n, _, _, _, err := unix.RecvmsgBuffers(int(r.FD), bufs, nil, unix.MSG_DONTWAIT)
		if n >= 0 {
			err = nil // that of an unknown kind of sender, which nobody asked for
		}
		return n, err
	}))
}

// sendNoWait writes to a socket.
func sendNoWait(r *ring.Request) (int, error) {
	return unix.SendmsgBuffers(int(r.FD), buffers(r), nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// closeFD closes a descriptor. It is never repeated: after close(2) the
// descriptor is gone whatever the result.
func closeFD(fd int32) error { return unix.Close(int(fd)) }

// directory is the descriptor of a directory as this system has it.
func directory(fd int32) int {
	if fd == ring.NoDir {
		return unix.AT_FDCWD
	}
	return int(fd)
}

// repeat makes a call until no signal interrupts it. The Go runtime interrupts
// threads as it pleases, and not every file system restarts by itself.
func repeat(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func repeatN(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}

// The kernel's own codes for a call that is to be restarted after a signal,
// ERESTARTSYS to ERESTART_RESTARTBLOCK, which no user is meant to see.
const restartFirst, restartLast = unix.Errno(512), unix.Errno(516)

// result is n or the negated errno. The wrappers of x/sys return nothing else;
// EIO stands for what does not belong to any errno.
func result(n int, err error) int32 {
	if err == nil {
		return int32(n)
	}
	errno, ok := err.(unix.Errno)
	switch {
	case !ok || errno == 0:
		errno = unix.EIO
	case errno >= restartFirst && errno <= restartLast:
		errno = unix.EINTR
	}
	return -int32(errno)
}
