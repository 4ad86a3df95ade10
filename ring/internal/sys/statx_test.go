//go:build linux

package sys

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestFillStatx compares what is made of fstat with what statx says.
func TestFillStatx(t *testing.T) {
	for _, path := range []string{"/", "/dev/null", "/proc/self/exe"} {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		require.NoError(t, err)
		var want, got Statx
		require.NoError(t, StatxCached(fd, &want))
		var from unix.Stat_t
		require.NoError(t, unix.Fstat(fd, &from))
		require.NoError(t, unix.Close(fd))
		FillStatx(&got, &from)
		want.Mask &= got.Mask
		want.Attributes, want.AttributesMask, want.MountID, want.SubvolumeID, want.Born = 0, 0, 0, 0, got.Born
		require.Equal(t, want, got)
	}
}

// TestStatxTail compares the fields that are younger than many a header.
func TestStatxTail(t *testing.T) {
	var ours Statx
	var theirs unix.Statx_t
	require.Equal(t, unsafe.Sizeof(theirs), unsafe.Sizeof(ours))
	require.Equal(t, unsafe.Offsetof(theirs.Mnt_id), unsafe.Offsetof(ours.MountID))
	require.Equal(t, unsafe.Offsetof(theirs.Subvol), unsafe.Offsetof(ours.SubvolumeID))
	require.Equal(t, unsafe.Offsetof(theirs.Atomic_write_unit_min), unsafe.Offsetof(ours.AtomicWriteUnitMin))
	require.Equal(t, unsafe.Offsetof(theirs.Atomic_write_unit_max), unsafe.Offsetof(ours.AtomicWriteUnitMax))
	require.Equal(t, unsafe.Offsetof(theirs.Atomic_write_segments_max), unsafe.Offsetof(ours.AtomicWriteSegments))
	require.Equal(t, unsafe.Offsetof(theirs.Dio_read_offset_align), unsafe.Offsetof(ours.DirectReadOffsetAlign))
	require.Equal(t, unsafe.Offsetof(theirs.Atomic_write_unit_max_opt), unsafe.Offsetof(ours.AtomicWriteUnitOpt))
}
