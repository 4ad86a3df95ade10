//go:build darwin || freebsd

package sys

import "golang.org/x/sys/unix"

// FillStatx says in Linux's words what a file is.
func FillStatx(to *Statx, from *unix.Stat_t) {
	*to = Statx{
		Mask:         StatxBasicStats | StatxBirthTime,
		BlockSize:    uint32(from.Blksize),
		Links:        uint32(from.Nlink),
		UID:          from.Uid,
		GID:          from.Gid,
		Mode:         from.Mode,
		Inode:        from.Ino,
		Size:         uint64(from.Size),
		Blocks:       uint64(from.Blocks),
		RDeviceMajor: unix.Major(uint64(from.Rdev)),
		RDeviceMinor: unix.Minor(uint64(from.Rdev)),
		DeviceMajor:  unix.Major(uint64(from.Dev)),
		DeviceMinor:  unix.Minor(uint64(from.Dev)),
	}
	to.Accessed.Sec, to.Accessed.Nsec = from.Atim.Sec, uint32(from.Atim.Nsec)
	to.Born.Sec, to.Born.Nsec = from.Btim.Sec, uint32(from.Btim.Nsec)
	to.Changed.Sec, to.Changed.Nsec = from.Ctim.Sec, uint32(from.Ctim.Nsec)
	to.Modified.Sec, to.Modified.Nsec = from.Mtim.Sec, uint32(from.Mtim.Nsec)
}

// StatxCached says what an open file is.
func StatxCached(fd int, st *Statx) error {
	var from unix.Stat_t
	if err := unix.Fstat(fd, &from); err != nil {
		return err
	}
	FillStatx(st, &from)
	return nil
}
