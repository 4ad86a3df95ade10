//go:build linux

package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// slowDisk is an ext4 file system on a loop device whose reads and writes can be
// throttled, so that they stay in the block layer for as long as a test wants
// to look at them there.
//
// Nothing of it outlives the process, whatever happens: the mount is attached
// nowhere and goes with the last descriptor of it, and the loop device with the
// mount.
type slowDisk struct {
	t      testing.TB
	mount  *os.File
	name   string // of the device, "loop0"
	number string // of the device, as "7:0"
}

const diskSize = 32 << 20

// newSlowDisk makes one, which is fast until it is told otherwise. Make it
// before the oracle starts, so that it outlives that.
func newSlowDisk(t testing.TB) *slowDisk {
	t.Helper()
	needRoot(t, "mounting a file system on a loop device")
	d := &slowDisk{t: t}
	if _, err := os.Stat(d.throttle("read")); err != nil {
		t.Skip("needs the blkio controller of cgroup v1: ", err)
	}
	image := d.makeImage()
	defer func() { _ = image.Close() }()
	device := d.attach(image)
	defer func() { _ = device.Close() }() // the mount keeps it
	d.name = filepath.Base(device.Name())
	number, err := os.ReadFile("/sys/block/" + d.name + "/dev")
	require.NoError(t, err)
	d.number = strings.TrimSpace(string(number))
	d.slow(0, 0) // the limits that a killed test may have left
	d.mountIt()
	t.Cleanup(d.remove)
	return d
}

func (d *slowDisk) makeImage() *os.File {
	d.t.Helper()
	mkfs := needTool(d.t, "mkfs.ext4", "e2fsprogs")
	image, err := os.Create(filepath.Join(d.t.TempDir(), "image"))
	require.NoError(d.t, err)
	require.NoError(d.t, image.Truncate(diskSize))
	out, err := exec.Command(mkfs, "-q", "-F", image.Name()).CombinedOutput()
	require.NoError(d.t, err, "%s", out)
	return image
}

// attach gives the image a loop device, for as long as that is in use.
func (d *slowDisk) attach(image *os.File) *os.File {
	d.t.Helper()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		d.t.Skip("needs loop devices: ", err)
	}
	defer func() { _ = control.Close() }()
	for {
		k, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		require.NoError(d.t, err)
		device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", k), os.O_RDWR, 0)
		require.NoError(d.t, err)
		config := unix.LoopConfig{Fd: uint32(image.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
		if err = unix.IoctlLoopConfigure(int(device.Fd()), &config); err == nil {
			return device
		}
		_ = device.Close()
		require.ErrorIs(d.t, err, unix.EBUSY) // somebody else was faster
	}
}

// mountIt makes a mount that has no place in the file system's tree: paths start
// from its descriptor.
func (d *slowDisk) mountIt() {
	d.t.Helper()
	context, err := unix.Fsopen("ext4", unix.FSOPEN_CLOEXEC)
	require.NoError(d.t, err)
	defer func() { _ = unix.Close(context) }()
	require.NoError(d.t, unix.FsconfigSetString(context, "source", "/dev/"+d.name))
	require.NoError(d.t, unix.FsconfigCreate(context))
	mount, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, 0)
	require.NoError(d.t, err)
	d.mount = os.NewFile(uintptr(mount), d.name)
}

// remove unmounts, and waits until the device is free.
func (d *slowDisk) remove() {
	d.slow(0, 0)
	require.NoError(d.t, d.mount.Close())
	eventually(d.t, "the loop device is free", func() bool {
		_, err := os.Stat("/sys/block/" + d.name + "/loop")
		return errors.Is(err, os.ErrNotExist)
	})
}

// path is a file's on the disk, for this process.
func (d *slowDisk) path(name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.mount.Fd(), name)
}

// write makes a file, which is on the disk and nowhere else then.
func (d *slowDisk) write(name string, content []byte) {
	d.t.Helper()
	file, err := os.Create(d.path(name))
	require.NoError(d.t, err)
	_, err = file.Write(content)
	require.NoError(d.t, err)
	require.NoError(d.t, file.Sync())
	require.NoError(d.t, file.Close())
}

// slow limits what the device reads and writes a second, in bytes; 0 is no
// limit. It concerns what is asked for from now on.
func (d *slowDisk) slow(reads, writes int) {
	d.t.Helper()
	for kind, bps := range map[string]int{"read": reads, "write": writes} {
		limit := fmt.Sprintf("%s %d", d.number, bps)
		require.NoError(d.t, os.WriteFile(d.throttle(kind), []byte(limit), 0))
	}
}

// throttle is where the limit is set for all in this process's group.
func (d *slowDisk) throttle(kind string) string {
	const controller = "/sys/fs/cgroup/blkio"
	file := "blkio.throttle." + kind + "_bps_device"
	groups, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(groups)) {
		if _, group, ok := strings.Cut(strings.TrimSpace(line), ":blkio:"); ok {
			return filepath.Join(controller, group, file)
		}
	}
	return filepath.Join(controller, file)
}

// childDisk is where a child finds the disk that it was started with.
const childDisk = "/proc/self/fd/3/"

// start starts a process that has the disk.
func (d *slowDisk) start(cmd *exec.Cmd) *process {
	d.t.Helper()
	cmd.ExtraFiles = []*os.File{d.mount}
	return startProcess(d.t, cmd)
}
