//go:build darwin || freebsd

package portable

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
)

const (
	routeFirst = routeUnknown
	pipeBuf    = 512 // PIPE_BUF

	// What requests say in Linux's numbers, whatever system this is.
	linuxEmptyPath = 0x1000
	linuxNoReplace = 1
	linuxExchange  = 2
)

// calls are what this system was found to have.
type calls struct {
	first route // how a stream is tried first
}

func probeCalls() calls { return calls{first: routeFirst} }

func openReadiness(k *Kernel) (readiness, error) { return openPollset(k) }

// open opens a file. There is no openat2 here, and what only it can do is
// refused.
func (*calls) open(dir int, path string, r *ring.Request) (int, error) {
	if r.Off != 0 {
		return -1, unix.EOPNOTSUPP
	}
	return unix.Openat(dir, path, int(r.Flags), r.Mode)
}

// transferNoWait cannot be said here.
func transferNoWait(*ring.Request) int32 { return -int32(unix.EOPNOTSUPP) }

// pwrite writes at an offset; a file that is open for appending is appended to,
// as Linux has it.
func pwrite(fd int, buf []byte, off int64) (int, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err == nil && flags&unix.O_APPEND != 0 {
		return unix.Write(fd, buf)
	}
	return unix.Pwrite(fd, buf, off)
}

func readV(fd int, bufs [][]byte, off int64) (int, error) {
	if uint64(off) == ring.StreamOffset {
		return unix.Read(fd, portion(bufs, transferMax))
	}
	return oneByOne(bufs, off, func(buf []byte, off int64) (int, error) { return unix.Pread(fd, buf, off) })
}

func writeV(fd int, bufs [][]byte, off int64) (int, error) {
	if uint64(off) == ring.StreamOffset {
		return unix.Write(fd, portion(bufs, transferMax))
	}
	return oneByOne(bufs, off, func(buf []byte, off int64) (int, error) { return pwrite(fd, buf, off) })
}

// oneByOne transfers buffers one after the other, to the first that is not
// moved whole.
func oneByOne(bufs [][]byte, off int64, call func([]byte, int64) (int, error)) (total int, err error) {
	for _, buf := range bufs {
		n, err := repeatN(func() (int, error) { return call(buf, off+int64(total)) })
		if err != nil {
			if total > 0 {
				return total, nil
			}
			return -1, err
		}
		total += n
		if n < len(buf) {
			break
		}
	}
	return total, nil
}

func fileMode(fd int32) (uint32, error) {
	var st unix.Stat_t
	err := repeat(func() error { return unix.Fstat(int(fd), &st) })
	return uint32(st.Mode), err
}

// asksOthers: nothing without a name asks other files whether it is ready.
func asksOthers(int32) bool { return false }

func newWake() (wake, error) {
	syscall.ForkLock.RLock() // macOS has no pipe2
	defer syscall.ForkLock.RUnlock()
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		return wake{}, err
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	return wake{int32(fds[0]), int32(fds[1])}, nil
}

// pollRefused says why poll refuses a descriptor: nil if it is open all the
// same. macOS does not poll terminals and some other devices.
func pollRefused(fd int32) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err
}

func allocate(*ring.Request) error { return unix.EINVAL }

func (*calls) stat(dir int, path string, r *ring.Request) error {
	var from unix.Stat_t
	var err error
	if path == "" && r.Flags&linuxEmptyPath != 0 {
		err = unix.Fstat(dir, &from)
	} else {
		err = unix.Fstatat(dir, path, &from, int(r.Flags&^linuxEmptyPath))
	}
	if err == nil {
		sys.FillStatx(r.Statx(), &from)
	}
	return err
}
