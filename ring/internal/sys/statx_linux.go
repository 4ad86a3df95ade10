package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Lacking reports whether a call that one may always make failed as it does where
// there is none: an old kernel says ENOSYS, and filters of system calls that are
// older than the call say what they say of all that they do not know.
func Lacking(err error) bool {
	return err == unix.ENOSYS || err == unix.EPERM || err == unix.EACCES
}

// StatxCached says what the kernel has cached of an open file, and asks no
// server for more: it does not wait for a file system that hangs. Where the
// system lacks statx, fstat is all there is, and may ask.
func StatxCached(fd int, st *Statx) error {
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC,
		unix.STATX_BASIC_STATS|unix.STATX_BTIME|unix.STATX_MNT_ID, (*unix.Statx_t)(unsafe.Pointer(st)))
	if !Lacking(err) {
		return err
	}
	var from unix.Stat_t
	if err := unix.Fstat(fd, &from); err != nil {
		return err
	}
	FillStatx(st, &from)
	return nil
}

// FillStatx says in statx's words what stat says.
func FillStatx(to *Statx, from *unix.Stat_t) {
	*to = Statx{
		Mask:         StatxBasicStats,
		BlockSize:    uint32(from.Blksize),
		Links:        uint32(from.Nlink),
		UID:          from.Uid,
		GID:          from.Gid,
		Mode:         uint16(from.Mode),
		Inode:        from.Ino,
		Size:         uint64(from.Size),
		Blocks:       uint64(from.Blocks),
		RDeviceMajor: unix.Major(from.Rdev),
		RDeviceMinor: unix.Minor(from.Rdev),
		DeviceMajor:  unix.Major(from.Dev),
		DeviceMinor:  unix.Minor(from.Dev),
	}
	to.Accessed.Sec, to.Accessed.Nsec = int64(from.Atim.Sec), uint32(from.Atim.Nsec)
	to.Changed.Sec, to.Changed.Nsec = int64(from.Ctim.Sec), uint32(from.Ctim.Nsec)
	to.Modified.Sec, to.Modified.Nsec = int64(from.Mtim.Sec), uint32(from.Mtim.Nsec)
}
