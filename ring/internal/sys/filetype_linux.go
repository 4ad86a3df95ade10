package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// FileMode is the type of an open file, in the bits of S_IFMT. It asks no
// server, which might hang, unless the system lacks statx. See statx(2); unix.Statx
// would allocate its empty path each time.
func FileMode(fd int) (uint32, error) {
	var st unix.Statx_t
	var path [1]byte
	_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(fd), uintptr(unsafe.Pointer(&path)),
		unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE, uintptr(unsafe.Pointer(&st)), 0)
	switch {
	case errno == 0:
		return uint32(st.Mode), nil
	case !Lacking(errno):
		return 0, errno
	}
	var old unix.Stat_t
	err := unix.Fstat(fd, &old)
	return old.Mode, err
}
