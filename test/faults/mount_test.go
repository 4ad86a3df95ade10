//go:build linux

package faults

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// mountTmpfs mounts a file system in memory; options are as in "size=1m". It is
// unmounted when the subsystem is shut down, which fails the test if there is a
// file open then.
func mountTmpfs(o *oracle, options string) (dir string) {
	o.t.Helper()
	needRoot(o.t, "mounts a tmpfs")
	dir = o.dir()
	require.NoError(o.t, unix.Mount("faults", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options))
	o.unmountAfter(dir)
	return dir
}

// mountExt4 mounts a new ext4 of so many bytes, on a loop device.
func mountExt4(o *oracle, size int64) (dir string) {
	o.t.Helper()
	needRoot(o.t, "mounts an ext4 on a loop device")
	mkfs, mount := needTool(o.t, "mkfs.ext4", "e2fsprogs"), needTool(o.t, "mount", "mount")
	dir = o.dir()
	image := filepath.Join(o.dir(), "image")
	require.NoError(o.t, os.WriteFile(image, nil, 0o600))
	require.NoError(o.t, os.Truncate(image, size))
	runTool(o.t, mkfs, "-q", "-F", "-m", "0", "-b", "4096", image)
	if out, err := exec.Command(mount, "-o", "loop", image, dir).CombinedOutput(); err != nil {
		o.t.Skipf("needs a loop device: %s", out)
	}
	o.unmountAfter(dir)
	return dir
}

// dir is a directory that is there until the subsystem is shut down: one of the
// testing package's goes before that.
func (o *oracle) dir() (path string) {
	o.t.Helper()
	path, err := os.MkdirTemp("", "faults-")
	require.NoError(o.t, err)
	o.after(func() {
		if err := os.RemoveAll(path); err != nil {
			o.t.Error(err)
		}
	})
	return path
}

// unmountAfter unmounts when the subsystem is shut down. The kernel puts the last
// reference to a file a moment after it has said that the file is closed.
func (o *oracle) unmountAfter(dir string) {
	o.after(func() {
		eventually(o.t, "O3: nothing of the mounted file system is in use", func() bool {
			return unix.Unmount(dir, 0) != unix.EBUSY
		})
	})
}

// runTool runs a program that must succeed.
func runTool(t testing.TB, argv ...string) {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	require.NoError(t, err, "%v: %s", argv, out)
}
