package ring

import (
	"fmt"
	"os"

	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
)

// openCreates are the flags with which an open takes a mode.
const openCreates = os.O_CREATE | sys.OpenTmpfile

// isRing reports whether a descriptor is that of an io_uring.
func isRing(fd int32) bool {
	target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	return err == nil && target == "anon_inode:[io_uring]"
}
