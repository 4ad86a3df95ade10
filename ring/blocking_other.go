//go:build !linux

package ring

import "golang.org/x/sys/unix"

// utimeOmit is UTIME_OMIT of Darwin's and FreeBSD's sys/stat.h.
const utimeOmit = -2

// setTimesFD is not to be had: x/sys has no futimens.
func (j *Job) setTimesFD() error { return unix.ENOSYS }

// readDir is not to be had: x/sys has no call that reads raw entries here.
func (j *Job) readDir(*scratch) error { return unix.ENOSYS }
