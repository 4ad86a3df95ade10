package actors

import (
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

// openRing opens an io_uring that holds what the configuration allows.
func openRing(c Config) (ring.Kernel, error) {
	return ring.Open(ring.Options{
		Entries:          entries,
		Completions:      completions(c),
		BoundedWorkers:   uint32(c.Workers),
		UnboundedWorkers: uint32(c.Workers),
	})
}
