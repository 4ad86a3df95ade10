//go:build linux

package test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// The tests of this package are a contract: they hold whatever performs the
// operations, and whoever's thread drives it. This process runs them over what
// Start chooses, and TestContract has children run them over the rest. What only
// a ring can do is asked for with needsRing and needsCancelledOpens, and is a row
// of the README's table.

// inlineVariable, in the environment of a child, turns the inline drive off if
// it is inlineOff: bursts then run on goroutines of their own.
const (
	inlineVariable = "RINGMASTER_TEST_INLINE"
	inlineOff      = "off"
)

// contractVariable marks a child of TestContract, which has no such children
// itself.
const contractVariable = "RINGMASTER_TEST_CONTRACT"

// noContract matches the tests that no backend has a part in: those of the
// sources and of a bare ring.
const noContract = "^Test(Contract|Readme|Imports|WallsStand|NoLinkname|DocComments|NoSleep|NoFutures|Seam|BlockedSubmitter)$"

// TestContract runs the tests of this package over each other backend and drive.
func TestContract(t *testing.T) {
	if os.Getenv(contractVariable) != "" {
		t.Skip("is being run by TestContract")
	}
	t.Run("portable", func(t *testing.T) {
		t.Parallel()
		runContract(t, actors.BackendVariable+"=portable", inlineVariable+"=")
	})
	t.Run("io_uring-inline-off", func(t *testing.T) {
		t.Parallel()
		start(t).needsRing()
		// Who runs a burst is no matter to a process that runs none, as long as
		// TestIdle watches it.
		runContract(t, actors.BackendVariable+"=io_uring", inlineVariable+"="+inlineOff, "-test.short")
	})
}

// runContract runs the tests in a child, with a backend, a drive and arguments,
// and shows what it printed if they fail.
func runContract(t *testing.T, backend, inline string, args ...string) {
	t.Helper()
	args = append(args, "-test.v", "-test.skip="+noContract)
	if testing.Short() {
		args = append(args, "-test.short")
	}
	out, err := runSelf(t, []string{contractVariable + "=1", backend, inline}, args...)
	require.NoError(t, err, out)
	require.Contains(t, out, "\n--- PASS: TestBackend ", out)
	t.Logf("%d tests passed", strings.Count(out, "\n--- PASS: "))
	for _, skipped := range skippedTests.FindAllStringSubmatch(out, -1) {
		t.Log("skipped:", skipped[1])
	}
}

// skippedTests finds those that were skipped.
var skippedTests = regexp.MustCompile(`(?m)^ *--- SKIP: (\S+)`)

// rigOptions are what a subsystem is started with: what the environment asks
// for, and a shutdown that may take as long as it does on a slow machine, unless
// the test wants something else.
func rigOptions(options []supervisor.Option) []supervisor.Option {
	inline := supervisor.WithInline(os.Getenv(inlineVariable) != inlineOff)
	return append([]supervisor.Option{inline, supervisor.WithShutdownGrace(patience)}, options...)
}

// TestBackend: the backend and the drive are those that were asked for.
func TestBackend(t *testing.T) {
	r := start(t)
	require.NoError(t, mixedWork(r.ctx, r.c, t.TempDir()))
	in := r.inspect()
	switch asked := os.Getenv(actors.BackendVariable); asked {
	case "", "auto":
		require.Equal(t, r.onRing(), in.Why == nil, "%s, since %v", in.Backend, in.Why)
	default:
		require.Equal(t, asked, in.Backend)
		require.NoError(t, in.Why)
	}
	require.Equal(t, os.Getenv(inlineVariable) != inlineOff, in.Inline > 0, "%+v", in.Counters)
	require.False(t, in.Degraded)
}

// onRing reports whether an io_uring performs the operations.
func (r *rig) onRing() bool {
	r.t.Helper()
	return r.inspect().Backend == actors.BackendRing.String()
}

// needsRing skips a test that is about the io_uring itself.
func (r *rig) needsRing() {
	r.t.Helper()
	if !r.onRing() {
		r.t.Skip("is about io_uring itself: the backend is", r.inspect().Backend)
	}
}

// needsCancelledOpens skips a test in which a cancel ends an open that waits in
// the kernel. Only io_uring interrupts such a call.
func (r *rig) needsCancelledOpens() {
	r.t.Helper()
	if !r.onRing() {
		r.t.Skip("a call that waits cannot be interrupted: the backend is", r.inspect().Backend)
	}
}
