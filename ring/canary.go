package ring

import (
	"errors"
	"io"
	"os"
)

// canary tells when the kernel has let go of every request of a ring, after
// the ring was closed: closing is no barrier, and a read that a device has may
// write to its buffer seconds later.
//
// It is the read end of a pipe. The ring alone has the write end, as a
// registered file, and the kernel gives up registered files where it frees the
// ring: when the last request is gone. No document promises that, so there are
// tests for it.
//
// It is closed by whoever comes last: a ring that is taken down with nothing
// outstanding, or else wait.
type canary struct{ file *os.File }

// wait blocks until the kernel has let go, and closes the canary. It reports
// false when that cannot be told, and then never will be.
func (c *canary) wait() bool {
	_, err := c.file.Read(make([]byte, 1))
	if errors.Is(err, os.ErrClosed) {
		return true // nothing was outstanding, or somebody else has seen the end
	}
	if err != io.EOF {
		return false
	}
	_ = c.file.Close() // another wait may have closed it
	return true
}

func (c *canary) close() error { return c.file.Close() }
