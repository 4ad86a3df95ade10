//go:build linux

// Package refuse has the kernel refuse io_uring to a test, in the ways in which
// systems do: by seccomp, for want of something, by kernel.io_uring_disabled.
//
// Whoever is refused must be a process of its own: what is done here is done to
// a whole process, for ever, or to the whole machine.
package refuse

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Seccomp has all calls of io_uring fail for this process, until it ends.
func Seccomp(errno unix.Errno) error {
	return seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true,
		Flag:       seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionAllow,
			Syscalls: []seccomp.SyscallGroup{{
				Action: seccomp.ActionErrno | seccomp.Action(errno),
				Names:  []string{"io_uring_setup", "io_uring_enter", "io_uring_register"},
			}},
		},
	})
}

// NeedSeccomp skips a test of a process that calls Seccomp where there is none.
func NeedSeccomp(t testing.TB) {
	t.Helper()
	if !seccomp.Supported() {
		t.Skip("needs seccomp in the kernel")
	}
}

// Strace names a program to run another under, for which a system call fails
// then. The test fails at its end if it was never called.
func Strace(t testing.TB, call string, errno unix.Errno) (wrap []string) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace (Debian package strace): ", err)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	wrap = []string{strace, "-f", "-qq", "--seccomp-bpf", "-o", trace, "-e", "trace=" + call,
		"-e", "inject=" + call + ":error=" + unix.ErrnoName(errno)}
	if out, err := exec.Command(wrap[0], append(wrap[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("needs a strace that may trace and inject: %v: %s", err, out)
	}
	t.Cleanup(func() {
		calls, err := os.ReadFile(trace)
		require.NoError(t, err)
		require.Positive(t, strings.Count(string(calls), "(INJECTED)"))
	})
	return wrap
}

// disabled is the sysctl kernel.io_uring_disabled.
const disabled = "/proc/sys/kernel/io_uring_disabled"

// Disable sets kernel.io_uring_disabled, for the whole machine, until the test
// ends. A process of its own sets it back, which it does when this one is
// killed, too, and when it is interrupted from the terminal.
func Disable(t testing.TB, value string) {
	t.Helper()
	old, err := os.ReadFile(disabled)
	if err != nil {
		t.Skip("needs the sysctl kernel.io_uring_disabled (Linux 6.6): ", err)
	}
	if file, err := os.OpenFile(disabled, os.O_WRONLY, 0); err != nil {
		t.Skip("needs to set the sysctl kernel.io_uring_disabled, as root and in no container: ", err)
	} else {
		require.NoError(t, file.Close())
	}
	guard := exec.Command("sh", "-c", `trap "" HUP INT TERM; cat; echo "$1" >"$2"`, "guard", strings.TrimSpace(string(old)), disabled)
	guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	alive, err := guard.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, guard.Start())
	t.Cleanup(func() {
		_ = alive.Close()
		require.NoError(t, guard.Wait())
		now, err := os.ReadFile(disabled)
		require.NoError(t, err)
		require.Equal(t, string(old), string(now))
	})
	require.NoError(t, os.WriteFile(disabled, []byte(value), 0))
}
