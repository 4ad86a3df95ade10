//go:build linux

package test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
	"github.com/ringmaster-io/ringmaster/test/leak"
)

// TestStartIsCheap counts what a start takes, rather than timing it. See
// BenchmarkStart for the time.
func TestStartIsCheap(t *testing.T) {
	const rounds, most = 20, 512 << 10
	system := actor.NewActorSystem(quiet)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		rm, err := supervisor.Start(system)
		require.NoError(t, err)
		_, err = rm.Shutdown(t.Context())
		require.NoError(t, err)
	}
	runtime.ReadMemStats(&after)
	bytes, allocations := (after.TotalAlloc-before.TotalAlloc)/rounds, (after.Mallocs-before.Mallocs)/rounds
	t.Logf("start and shutdown: %d bytes in %d allocations", bytes, allocations)
	require.Less(t, bytes, uint64(most))
}

// TestStartCalls counts the system calls between two marks that a child makes
// around its start, without those by which Go's threads wait for each other.
func TestStartCalls(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace: ", err)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	runInChild(t, "start", strace, "-f", "-e", "trace=!futex,nanosleep,sched_yield,epoll_pwait,rt_sigreturn,getpid,tgkill", "-o", trace)
	calls := callsBetween(t, trace, markBegin, markEnd)
	t.Logf("%d system calls: %v", len(calls), calls)
	require.NotEmpty(t, calls)
	require.Less(t, len(calls), 40)
}

const (
	markBegin = "/ringmaster-starts"
	markEnd   = "/ringmaster-has-started"
)

// callsBetween names the system calls between two marks in a trace.
func callsBetween(t *testing.T, trace, begin, end string) (calls []string) {
	f, err := os.Open(trace)
	require.NoError(t, err)
	defer f.Close()
	inside := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.Contains(line, begin):
			inside = true
		case strings.Contains(line, end):
			return calls
		case inside && strings.Contains(line, "(") && !strings.Contains(line, "resumed"):
			name, _, _ := strings.Cut(line, "(")
			_, name, _ = strings.Cut(name, " ")
			calls = append(calls, strings.TrimSpace(name))
		}
	}
	t.Fatal("a mark is missing")
	return nil
}

// childStart starts a subsystem between two marks.
func childStart() error {
	system := actor.NewActorSystem(quiet)
	leak.PrimeNetpoller()
	_ = unix.Access(markBegin, 0)
	rm, err := supervisor.Start(system)
	_ = unix.Access(markEnd, 0)
	if err != nil {
		return err
	}
	_, err = rm.Shutdown(context.Background())
	return err
}

// TestRefusedOptions refuses limits that make no sense, and leaves nothing.
func TestRefusedOptions(t *testing.T) {
	before := leak.OpenFiles()
	closed := func() bool { return slices.Equal(before, leak.OpenFiles()) }
	for name, option := range map[string]supervisor.Option{
		"in-flight-none": supervisor.WithInFlight(0),
		"in-flight-all":  supervisor.WithInFlight(1 << 20),
		"queue-negative": supervisor.WithQueue(-1),
		"quota-none":     supervisor.WithOwnerQuota(0),
		"lane-none":      supervisor.WithBlockingWorkers(0),
		"workers-few":    supervisor.WithWorkers(63),
		"drain-no-time":  supervisor.WithDrainTimeout(0),
		"grace-no-time":  supervisor.WithShutdownGrace(-1),
		"without-logger": supervisor.WithLogger(nil),
	} {
		t.Run(name, func(t *testing.T) {
			system := actor.NewActorSystem(quiet)
			_, err := supervisor.Start(system, option)
			require.ErrorIs(t, err, messages.ErrArgument)
			require.True(t, closed(), "descriptors are left")
			rm, err := supervisor.Start(system)
			require.NoError(t, err)
			_, err = rm.Shutdown(t.Context())
			require.NoError(t, err)
			require.True(t, closed(), "the backend's descriptors are left")
		})
	}
}

// TestSmallest works within the smallest limits.
func TestSmallest(t *testing.T) {
	r := start(t, supervisor.WithInFlight(1), supervisor.WithQueue(0), supervisor.WithOwnerQuota(1), supervisor.WithBlockingWorkers(1))
	workload(r, 1, 5)
	require.Equal(t, 1, r.inspect().Slots)
}

// BenchmarkStart is what a subsystem adds to the start of an actor system, and
// what that takes by itself.
func BenchmarkStart(b *testing.B) {
	b.Run("NewActorSystem", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			actor.NewActorSystem(quiet)
		}
	})
	b.Run("Start", func(b *testing.B) {
		system := actor.NewActorSystem(quiet)
		b.ReportAllocs()
		for b.Loop() {
			rm, err := supervisor.Start(system)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := actors.Await(b.Context(), rm.Client(), &messages.Nop{}); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if _, err := rm.Shutdown(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
}
