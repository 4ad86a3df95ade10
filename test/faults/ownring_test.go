//go:build linux

package faults

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/test/leak"
)

// ringFile is a duplicate of the subsystem's own ring.
func ringFile(t testing.TB) *os.File {
	t.Helper()
	for _, f := range leak.OpenFiles() {
		number, target, _ := strings.Cut(f, " ")
		if target != "anon_inode:[io_uring]" {
			continue
		}
		fd, err := strconv.Atoi(number)
		require.NoError(t, err)
		dup, err := unix.Dup(fd)
		require.NoError(t, err)
		return os.NewFile(uintptr(dup), "ring")
	}
	t.Skip("needs the ring's descriptor in /proc/self/fd")
	return nil
}

// TestRingOfItsOwn adopts the ring's own descriptor (T18), which is refused: a
// ring that has a request on itself would keep itself alive.
func TestRingOfItsOwn(t *testing.T) {
	o := start(t)
	file := ringFile(t)
	require.ErrorIs(t, fails(o, &messages.Adopt{File: file}), unix.EINVAL)
	require.NoError(t, file.Close())
	do(o, &messages.Nop{})
}
