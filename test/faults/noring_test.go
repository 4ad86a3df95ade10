//go:build linux

package faults

import (
	"fmt"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
	"github.com/ringmaster-io/ringmaster/test/leak"
	"github.com/ringmaster-io/ringmaster/test/refuse"
)

// noRing is one way in which a system refuses io_uring (T27).
type noRing struct {
	name  string
	errno unix.Errno
	// deny has the process be refused until permit is called, if ever. It may be nil, if around is
	// enough: which arranges the world outside, and names a program to run the
	// process under.
	deny   func(t *testing.T) (permit func())
	around func(t *testing.T) (wrap []string)
}

var noRings = []noRing{
	{name: "seccomp, as Docker has it", errno: unix.EPERM, deny: func(t *testing.T) func() { return denyBySeccomp(t, unix.EPERM) }},
	{name: "seccomp, as an old kernel has it", errno: unix.ENOSYS, deny: func(t *testing.T) func() { return denyBySeccomp(t, unix.ENOSYS) }},
	{name: "sysctl", errno: unix.EPERM, around: denyBySysctl},
	{name: "no descriptors", errno: unix.EMFILE, deny: func(t *testing.T) func() { return scarce(t, 0) }},
	{name: "no memory", errno: unix.ENOMEM, around: denyByStrace},
}

// TestNoIoUring starts the subsystem where io_uring is refused. A start that
// insists on it says why it fails, and leaves nothing behind; another serves by
// the portable backend.
func TestNoIoUring(t *testing.T) {
	t.Setenv(actors.BackendVariable, "") // what serves is what it is about
	what, yes := inChild()
	for _, no := range noRings {
		switch {
		case !yes:
			t.Run(no.name, func(t *testing.T) {
				var wrap []string
				if no.around != nil {
					wrap = no.around(t)
				}
				require.Contains(t, runChild(t, no.name, wrap...), "without a ring: ")
			})
		case no.name == what:
			startWithoutRing(t, no)
		}
	}
}

// startWithoutRing is the child.
func startWithoutRing(t *testing.T, no noRing) {
	before := leak.OpenFiles()
	plenty := func() {}
	if no.deny != nil {
		plenty = no.deny(t)
	}
	for range 3 {
		requireNoRing(t, no.errno, supervisor.WithBackend(actors.BackendRing))
	}
	if no.errno == unix.EMFILE { // nothing works without descriptors
		requireNoRing(t, no.errno)
		plenty()
		require.Equal(t, before, leak.OpenFiles())
	} else {
		require.Equal(t, before, leak.OpenFiles())
		requireFallback(t, no.errno)
	}
	fmt.Println("without a ring:", no.name)
}

// requireNoRing checks that a start fails, and how.
func requireNoRing(t *testing.T, why unix.Errno, options ...supervisor.Option) {
	t.Helper()
	system := actor.NewActorSystem(quiet)
	_, err := supervisor.Start(system, options...)
	require.ErrorIs(t, err, messages.ErrUnavailable)
	require.ErrorIs(t, err, why)
	require.ErrorContains(t, err, "io_uring")
	_, running := supervisor.Get(system)
	require.False(t, running)
}

// requireFallback checks that a start which may choose serves all the same, and
// says once why not with a ring.
func requireFallback(t *testing.T, why unix.Errno) {
	t.Helper()
	core, logged := observer.New(zap.InfoLevel)
	o := start(t, supervisor.WithLogger(zap.New(core)))
	in := o.inspect()
	require.Equal(t, "portable", in.Backend)
	require.ErrorIs(t, in.Why, why)
	require.False(t, in.Degraded, "it is what there is here")
	require.Zero(t, workFor(o, 100))
	said := 0
	for _, entry := range logged.All() {
		if text := fmt.Sprint(entry.Message, entry.ContextMap()); strings.Contains(text, why.Error()) {
			said++
		}
	}
	require.Equal(t, 1, said, "%v", logged.All())
}

// denyBySeccomp has all calls of io_uring fail for the whole process, and for
// ever.
func denyBySeccomp(t *testing.T, errno unix.Errno) (permit func()) {
	t.Helper()
	refuse.NeedSeccomp(t)
	require.NoError(t, refuse.Seccomp(errno))
	return func() {}
}

// denyBySysctl forbids io_uring to processes that may not administer the system,
// and names a program that makes one. To forbid it to all, with 2, would forbid
// it to whatever else runs on the machine, other tests for instance; the kernel
// refuses both by the same error at the same place.
func denyBySysctl(t *testing.T) (wrap []string) {
	setpriv := needTool(t, "setpriv", "util-linux")
	refuse.Disable(t, "1")
	return []string{setpriv, "--bounding-set", "-sys_admin"}
}

// denyByStrace has the kernel find no memory for a ring.
func denyByStrace(t *testing.T) (wrap []string) {
	return refuse.Strace(t, "io_uring_setup", unix.ENOMEM)
}

// TestFewDescriptors starts the subsystem with none left, one left, two left and
// so on: whichever of its own it does not get, it gives back those that it has.
func TestFewDescriptors(t *testing.T) {
	if _, yes := inChild(); !yes { // the limit is the whole process's
		_, needs, ok := strings.Cut(runChild(t, ""), "needs ")
		require.True(t, ok)
		t.Logf("a start needs %s descriptors", strings.Fields(needs)[0])
		return
	}
	system := actor.NewActorSystem(quiet)
	before := leak.OpenFiles()
	for left := 0; ; left++ {
		plenty := scarce(t, left)
		rm, err := supervisor.Start(system, supervisor.WithBackend(actors.BackendRing))
		if err == nil {
			_, err = rm.Shutdown(t.Context())
		}
		plenty()
		require.Equal(t, before, leak.OpenFiles(), "with %d left", left)
		if err == nil {
			fmt.Println("needs", left)
			return
		}
		require.ErrorIs(t, err, messages.ErrUnavailable)
		require.ErrorIs(t, err, unix.EMFILE)
	}
}
