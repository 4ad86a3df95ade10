//go:build !linux

package actors

import (
	"fmt"
	"runtime"

	"github.com/ringmaster-io/ringmaster/ring"
)

// There is no kernel here that these could be said to. They are those of
// Linux, so that the checks are the same everywhere.
const (
	openDirectory = 0x10000
	openTmpfile   = 0x400000
	resolveKnown  = 0x3f
	renameKnown   = 0x7
	adviceMax     = 5
	atEmptyPath   = 0x1000
	openPath      = 0x200000
	openDirect    = 0x4000
)

func openRing(Config) (ring.Kernel, error) {
	return nil, fmt.Errorf("%w: io_uring needs Linux, this is %s", ring.ErrUnavailable, runtime.GOOS)
}
