package ring

import (
	"os"

	"golang.org/x/sys/unix"
)

// Host is what a ring owner asks of the operating system beside its ring. A
// simulation puts one of its own here; [ThisHost] is the real one.
type Host interface {
	// OpenLane makes a blocking lane: see [NewLane] for the arguments.
	OpenLane(workers, backlog int, done func(*Job)) Blocking
	// Describe asks what a descriptor is. It does not block on a device.
	Describe(fd int32, into *Statx) error
	// Duplicate gives a descriptor of its own for an open file, close-on-exec,
	// and the flags that the file is open with.
	Duplicate(f *os.File) (fd int32, flags int, err error)
}

// Blocking is a blocking lane: see [Lane], which is one.
type Blocking interface {
	// Submit takes a job, and reports false when it does not.
	Submit(*Job) bool
	// Withdraw takes back a job that still waits, and reports whether it did.
	Withdraw(UserData) bool
	// Close refuses further jobs and gives back those that wait.
	Close() []*Job
	// Left calls left once, when the lane is closed and the last job was given
	// back: from the last worker's goroutine, or at once.
	Left(left func())
}

// ThisHost is the operating system that the program runs on.
func ThisHost() Host { return thisHost{} }

type thisHost struct{}

func (thisHost) OpenLane(workers, backlog int, done func(*Job)) Blocking {
	return NewLane(workers, backlog, done)
}

func (thisHost) Describe(fd int32, into *Statx) error { return DescribeFD(fd, into) }

func (thisHost) Duplicate(f *os.File) (fd int32, flags int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, 0, err
	}
	var inner error
	err = raw.Control(func(theirs uintptr) {
		var n int
		if n, inner = unix.FcntlInt(theirs, unix.F_DUPFD_CLOEXEC, descriptorFirst); inner != nil {
			return
		}
		fd = int32(n)
		flags, inner = unix.FcntlInt(theirs, unix.F_GETFL, 0)
	})
	if err == nil {
		err = inner
	}
	if err == nil && isRing(fd) {
		err = unix.EINVAL // closing one with a ring does not work
	}
	if err != nil && fd > 0 {
		_ = unix.Close(int(fd))
	}
	return fd, flags, err
}

// descriptorFirst keeps duplicates away from the standard streams' numbers.
const descriptorFirst = 3
