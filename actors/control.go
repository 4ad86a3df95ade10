package actors

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
)

// noDescriptor marks a control operation that brings none.
const noDescriptor = -1

// performAdopt duplicates a file's descriptor. It gives the descriptor, or a
// negated errno, and the flags that it is open with.
func (e *engine) performAdopt(op *messages.Adopt) (res, flags int32) {
	defer func() {
		if recover() != nil { // an os.File that nobody opened: its methods panic
			res, flags = -int32(unix.EBADF), 0
		}
	}()
	fd, open, err := e.config.Host.Duplicate(op.File)
	if err == nil {
		return fd, int32(open)
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		return -int32(errno), 0
	}
	return -int32(unix.EBADF), 0 // the file is closed
}

// performGive changes a handle's owner.
func (e *engine) performGive(op *messages.Give, p *operation) int32 {
	to := e.parties.resolve(op.To)
	if to == nil || !to.lasting || to.gone {
		e.tidy(to)
		return -int32(unix.ESRCH)
	}
	if p.file.Closed() {
		return -int32(unix.EBADF)
	}
	e.watch(to)
	to.uses++
	e.fileUnlink(p.file)
	e.fileLink(to, p.file)
	e.unuse(to)
	return 0
}
