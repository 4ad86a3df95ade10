//go:build linux

package test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// childVariable names, in the environment of a child process of a test, what
// the child is to do.
const childVariable = "RINGMASTER_TEST_CHILD"

// children are what child processes can do. What one prints is for its test to
// read.
var children = map[string]func() error{
	"enters":     childEnters,
	"fuse":       childFuse,
	"idle-plain": childIdlePlain,
	"idle-ring":  childIdleRing,
	"start":      childStart,
}

// runChild is the child's main.
func runChild(name string) (code int) {
	child, ok := children[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "no child of the name %q\n", name)
		return 2
	}
	if err := child(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// aloneVariable names, in the environment of a child, the test that it is for.
const aloneVariable = "RINGMASTER_TEST_ALONE"

// alone runs a test again in a process of its own, of whose memory nothing else
// has a part, and shows what it printed. It reports whether this is that process.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneVariable) == t.Name() {
		return true
	}
	pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	out, err := runSelf(t, []string{aloneVariable + "=" + t.Name()}, "-test.v", "-test.run="+pattern)
	require.NoError(t, err, out)
	require.Contains(t, out, "--- PASS: "+t.Name()+" ", out)
	t.Log(out)
	return false
}

// runSelf runs the test binary with something added to the environment, and
// gives what it printed. It has the time that this process has, less what it
// takes to say where it was when that is over, and to be killed.
func runSelf(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	limit := time.Hour
	if end, limited := t.Deadline(); limited {
		limit = max(time.Until(end)-2*patience, time.Second)
	}
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), limit+patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, append(args, "-test.timeout="+limit.String())...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// runInChild runs a child to its end, under another program if wrap names one,
// and gives what it printed.
func runInChild(t *testing.T, name string, wrap ...string) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	argv := append(wrap, self)
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	var out, failure bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failure
	require.NoError(t, cmd.Run(), "child %s: %s", name, &failure)
	return out.String()
}
