//go:build linux

package test

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/messages"
)

// effect is one operation, or one use of it, judged by what it does to a file.
type effect struct {
	name string
	do   func(r *rig, dir string)
}

// runEffects runs each in a directory of its own.
func runEffects(t *testing.T, effects []effect) {
	shared := start(t)
	for _, e := range effects {
		t.Run(e.name, func(t *testing.T) {
			r := *shared
			r.t = t
			handles := r.inspect().Handles
			e.do(&r, t.TempDir())
			require.Equal(t, handles, r.inspect().Handles, "a handle is left")
		})
	}
}

// with has f use a handle to a new file of a certain content.
func (r *rig) with(path, content string, f func(messages.Handle)) {
	r.t.Helper()
	require.NoError(r.t, os.WriteFile(path, []byte(content), 0o644))
	file := do(r, &messages.Open{Path: path, Flags: os.O_RDWR})
	f(file)
	do(r, &messages.Close{Handle: file})
	require.Empty(r.t, openOn(path))
}

// contentOf is what is in a file.
func (r *rig) contentOf(path string) string {
	r.t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(r.t, err)
	return string(content)
}

// statOf is what the operating system says of a file.
func (r *rig) statOf(path string) *syscall.Stat_t {
	r.t.Helper()
	info, err := os.Lstat(path)
	require.NoError(r.t, err)
	return info.Sys().(*syscall.Stat_t)
}
