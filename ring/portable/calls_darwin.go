package portable

import (
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

const (
	eventPeerClosed = 0 // poll does not tell
	// sendsWait: a send on a blocking socket waits for room, whatever
	// MSG_DONTWAIT says.
	sendsWait = true
)

// lacks reports whether an operation cannot be performed here.
func lacks(code ring.Code) bool { return code == ring.CodeAllocate || code == ring.CodeAdvise }

func advise(*ring.Request) error { return unix.EINVAL }

// syncFD flushes to the medium, as Linux does; fsync here stops at the device's
// cache. Not every file system has it.
func syncFD(fd int, _ bool) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_FULLFSYNC, 0)
	if err == unix.ENOTSUP || err == unix.ENOTTY || err == unix.EINVAL {
		return unix.Fsync(fd)
	}
	return err
}

func rename(dir int, path string, dir2 int, path2 string, flags uint32) error {
	switch flags {
	case 0:
		return unix.Renameat(dir, path, dir2, path2)
	case linuxNoReplace:
		return unix.RenameatxNp(dir, path, dir2, path2, unix.RENAME_EXCL)
	case linuxExchange:
		return unix.RenameatxNp(dir, path, dir2, path2, unix.RENAME_SWAP)
	default:
		return unix.EINVAL
	}
}
