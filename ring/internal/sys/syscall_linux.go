package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Kernel is the running kernel. It has no state; its methods are single system
// calls, whose errors are plain errnos.
type Kernel struct{}

// Setup makes a ring and gives its descriptor, which is O_CLOEXEC. It fills in
// params. See io_uring_setup(2).
func (Kernel) Setup(entries uint32, params *Params) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(params)), 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// Enter has the kernel consume up to submit entries. It waits for no
// completion, but issuing a request may block: so it is a Syscall, which lets
// the scheduler take the processor away, and not a RawSyscall, which would
// hold up the garbage collector. See io_uring_enter(2).
func (Kernel) Enter(fd int, submit, flags uint32) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(fd), uintptr(submit), 0, uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// Thread is the number of the calling thread. See gettid(2).
func (Kernel) Thread() uint32 { return uint32(unix.Gettid()) }

// Probe asks which operations the kernel has (Linux 5.6).
func (Kernel) Probe(fd int, probe *Probe) error {
	return register(fd, RegisterProbe, unsafe.Pointer(probe), ProbeOps)
}

// LimitWorkers bounds the kernel workers of the ring, bounded ones first; 0
// leaves a bound as it is (Linux 5.15). The kernel writes the former bounds
// back.
func (Kernel) LimitWorkers(fd int, workers *[2]uint32) error {
	return register(fd, RegisterIOWQMaxWorkers, unsafe.Pointer(workers), uint32(len(workers)))
}

// RegisterEventfd has the ring signal completions on an eventfd. The ring
// keeps a reference of its own to it.
func (Kernel) RegisterEventfd(fd, eventfd int) error {
	number := int32(eventfd)
	return register(fd, RegisterEventfd, unsafe.Pointer(&number), 1)
}

// RegisterFile makes a file the only one of the ring's registered files. The
// ring keeps a reference of its own to it.
func (Kernel) RegisterFile(fd, file int) error {
	number := int32(file)
	return register(fd, RegisterFiles, unsafe.Pointer(&number), 1)
}

func register(fd int, op uint32, arg unsafe.Pointer, n uint32) error {
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(fd), uintptr(op), uintptr(arg), uintptr(n), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// Eventfd makes an eventfd that does not block and is not inherited.
func (Kernel) Eventfd() (int, error) {
	return unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
}

// Pipe makes a pipe whose ends do not block and are not inherited.
func (Kernel) Pipe() (r, w int, err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, -1, err
	}
	return ends[0], ends[1], nil
}

// Close closes a descriptor.
func (Kernel) Close(fd int) error { return unix.Close(fd) }
