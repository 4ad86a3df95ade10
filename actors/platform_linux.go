package actors

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// The kernel's bits that operations are checked against.
const (
	openDirectory = unix.O_DIRECTORY
	openTmpfile   = unix.O_TMPFILE &^ unix.O_DIRECTORY
	openPath      = unix.O_PATH
	openDirect    = unix.O_DIRECT
	resolveKnown  = unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_SYMLINKS |
		unix.RESOLVE_BENEATH | unix.RESOLVE_IN_ROOT | resolveCached
	renameKnown = unix.RENAME_NOREPLACE | unix.RENAME_EXCHANGE | unix.RENAME_WHITEOUT
	adviceMax   = unix.FADV_NOREUSE
	// resolveCached is RESOLVE_CACHED, which x/sys/unix lacks.
	resolveCached = 0x20
	atEmptyPath   = unix.AT_EMPTY_PATH
)

// openRing opens an io_uring that holds what the configuration allows.
func openRing(c Config) (ring.Kernel, error) {
	return ring.Open(ring.Options{
		Entries:          256,
		Completions:      completions(c),
		UnboundedWorkers: 64,
	})
}

// describe looks at a descriptor that is to become a handle: what it is, and
// what it allows. It never waits for a file system that hangs: only what the
// kernel has cached is asked for.
func (e *engine) describe(fd int32, flags int) (fileInfo, error) {
	info := fileInfo{
		rights:  rightsOf(flags),
		direct:  flags&unix.O_DIRECT != 0,
		appends: flags&unix.O_APPEND != 0,
	}
	if flags&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL && flags&os.O_RDWR == 0 {
		return info, nil // just created and only to be written: nothing to learn
	}
	var st unix.Statx_t
	err := unix.Statx(int(fd), "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE, &st)
	if err != nil {
		return info, fmt.Errorf("asking for the type of a descriptor: %w", err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		info.kind = kindRegular
	case unix.S_IFDIR:
		info.kind = kindDirectory
		info.rights |= messages.RightPath
	case unix.S_IFBLK:
		info.kind = kindDevice
	default:
		info.kind = kindStream
	}
	info.device = e.deviceOf(uint64(st.Dev_major)<<32 | uint64(st.Dev_minor))
	return info, nil
}

// rightsOf is what a descriptor's access mode allows.
func rightsOf(flags int) messages.Rights {
	if flags&unix.O_PATH != 0 {
		return 0
	}
	switch flags & unix.O_ACCMODE {
	case unix.O_RDONLY:
		return messages.RightMeta | messages.RightRead
	case unix.O_WRONLY:
		return messages.RightMeta | messages.RightWrite
	default:
		return messages.RightMeta | messages.RightRead | messages.RightWrite
	}
}

// duplicate makes a descriptor of our own for an open file.
func duplicate(f *os.File) (fd int32, flags int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, 0, err
	}
	var inner error
	err = raw.Control(func(theirs uintptr) {
		var n int
		if n, inner = unix.FcntlInt(theirs, unix.F_DUPFD_CLOEXEC, 3); inner != nil {
			return
		}
		fd = int32(n)
		flags, inner = unix.FcntlInt(theirs, unix.F_GETFL, 0)
	})
	if err == nil {
		err = inner
	}
	if err != nil && fd > 0 {
		_ = unix.Close(int(fd))
	}
	return fd, flags, err
}
