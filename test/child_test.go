//go:build linux

package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"

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
