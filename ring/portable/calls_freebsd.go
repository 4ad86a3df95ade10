package portable

import (
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

const (
	eventPeerClosed = unix.POLLRDHUP
	sendsWait       = false // see calls_darwin.go
)

// lacks reports whether an operation cannot be performed here.
func lacks(code ring.Code) bool { return code == ring.CodeAllocate }

func advise(r *ring.Request) error {
	return unix.Fadvise(int(r.FD), int64(r.Off), int64(r.Length), int(r.Flags))
}

func syncFD(fd int, _ bool) error { return unix.Fsync(fd) }

func rename(dir int, path string, dir2 int, path2 string, flags uint32) error {
	if flags != 0 {
		return unix.EINVAL
	}
	return unix.Renameat(dir, path, dir2, path2)
}
