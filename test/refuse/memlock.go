//go:build linux

package refuse

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// ByMemlock reports whether rings count against RLIMIT_MEMLOCK, those that are
// closed until the kernel has freed them: now and then one is refused then, of
// those that follow each other closely. Root in a container is no exception.
func ByMemlock(t testing.TB) bool {
	t.Helper()
	var have [2]unix.CapUserData
	require.NoError(t, unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &have[0]))
	return have[0].Effective&(1<<unix.CAP_IPC_LOCK) == 0
}
