package actors

import (
	"os"

	"golang.org/x/sys/unix"

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

// workersMax is how many kernel workers of each of its two pools a ring may
// have for each thread that submits. The kernel's own bound for path operations
// is four a processor: so few that some opens of a FIFO, which wait for its
// other end, would keep everybody else's waiting too.
const workersMax = 128

// openRing opens an io_uring that holds what the configuration allows.
func openRing(c Config) (ring.Kernel, error) {
	return ring.Open(ring.Options{
		Entries:          entries,
		Completions:      completions(c),
		BoundedWorkers:   workersMax,
		UnboundedWorkers: workersMax,
	})
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
