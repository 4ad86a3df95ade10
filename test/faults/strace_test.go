//go:build linux

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/supervisor"
)

// injectedRounds is how much a child works while its system calls fail.
const injectedRounds = 250

// worksInChild works, under the oracle, in the child of a test that has strace
// fail its calls, and prints how that went. It reports false in the test
// itself.
func worksInChild(t *testing.T, options ...supervisor.Option) bool {
	if _, yes := inChild(); !yes {
		return false
	}
	o := start(t, options...)
	refused := workFor(o, injectedRounds)
	in := o.inspect()
	fmt.Printf("submitted %d completed %d refused %d restarts %d failures %d enters %d\n",
		in.Submitted, in.Completed, refused, in.Restarts, in.Failures, in.Enters)
	return true
}

// injection is what strace has done to a child.
type injection struct {
	calls    []injected // those that were made to fail
	restarts int
}

// injected is one call that did not reach the kernel.
type injected struct {
	thread string
	at     time.Duration // since some moment
}

// inject runs this test again in a child, of which strace fails calls of
// io_uring_enter, each thread's own counted: when is strace's expression.
func inject(t *testing.T, errno, when string) (in injection) {
	t.Helper()
	return injectAs(t, "error="+errno, when)
}

// injectAs fails them in any way of strace's: "retval=1" has the call return
// that, and do nothing.
func injectAs(t *testing.T, how, when string) (in injection) {
	t.Helper()
	strace := needTool(t, "strace", "strace")
	trace := filepath.Join(t.TempDir(), "trace")
	out := runChild(t, how, strace, "-f", "--seccomp-bpf", "-ttt", "-o", trace,
		"-e", "trace=io_uring_enter", "-e", "inject=io_uring_enter:"+how+":when="+when)
	_, found, ok := strings.Cut(out, "submitted ")
	require.True(t, ok, out)
	var submitted, completed, refused, failures, enters int
	_, err := fmt.Sscanf(found, "%d completed %d refused %d restarts %d failures %d enters %d",
		&submitted, &completed, &refused, &in.restarts, &failures, &enters)
	require.NoError(t, err, out)
	in.calls = injectedCalls(t, trace)
	require.NotEmpty(t, in.calls, "strace has not injected anything")
	t.Logf("%s at %s: %d of %d calls failed; %d operations, %d refused, %d restarts",
		how, when, len(in.calls), enters, submitted, refused, in.restarts)
	return in
}

// injectedLine is a line of strace's for such a call.
var injectedLine = regexp.MustCompile(`^(\d+) +(\d+\.\d+) .* = .*\(INJECTED\)$`)

func injectedCalls(t *testing.T, trace string) (calls []injected) {
	t.Helper()
	content, err := os.ReadFile(trace)
	require.NoError(t, err)
	for line := range strings.Lines(string(content)) {
		m := injectedLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		at, err := strconv.ParseFloat(m[2], 64)
		require.NoError(t, err)
		calls = append(calls, injected{m[1], time.Duration(at * float64(time.Second))})
	}
	return calls
}

// TestEnterEAGAIN has the kernel refuse submissions for want of memory (T8): the
// second, the fifth, every third of each thread, and forty in a row. Nothing is
// lost or performed twice, and the ring is not given up.
func TestEnterEAGAIN(t *testing.T) {
	if worksInChild(t) {
		return
	}
	start(t).needsRing("calls of io_uring_enter")
	for _, when := range []string{"2", "5", "3+3", "10..50"} {
		t.Run(when, func(t *testing.T) {
			in := inject(t, "EAGAIN", when)
			require.Zero(t, in.restarts)
			if when == "10..50" {
				require.Greater(t, pause(in.calls), 500*time.Microsecond, "it does not back off")
			}
		})
	}
}

// pause is the median time between one failed call and the next of all threads.
func pause(calls []injected) time.Duration {
	var gaps []time.Duration
	for k := range calls[1:] {
		gaps = append(gaps, calls[k+1].at-calls[k].at)
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2]
}

// TestEnterEBUSY is the same for what older kernels say when their overflow list
// is full.
func TestEnterEBUSY(t *testing.T) {
	if worksInChild(t) {
		return
	}
	start(t).needsRing("calls of io_uring_enter")
	require.Zero(t, inject(t, "EBUSY", "2+3").restarts)
}

// TestEnterEINTR has calls interrupted, one by one and a hundred in a row (T9).
// They are repeated at once.
func TestEnterEINTR(t *testing.T) {
	if worksInChild(t) {
		return
	}
	start(t).needsRing("calls of io_uring_enter")
	for _, when := range []string{"1", "2+3", "10..110"} {
		t.Run(when, func(t *testing.T) { require.Zero(t, inject(t, "EINTR", when).restarts) })
	}
}

// TestEnterFatal has a call fail with each error after which a ring cannot be
// used (T10). It is given up, what it has is drained, the next one serves: each
// operation is answered once, and has happened once. The first call of a thread
// is not one of a ring that serves.
func TestEnterFatal(t *testing.T) {
	if worksInChild(t) {
		return
	}
	start(t).needsRing("calls of io_uring_enter")
	for _, errno := range []string{"EBADF", "ENXIO", "EBADR", "EOWNERDEAD", "EFAULT", "EINVAL"} {
		for _, when := range []string{"2", "20+50"} {
			t.Run(errno+"/"+when, func(t *testing.T) {
				in := inject(t, errno, when)
				require.Positive(t, in.restarts)
				require.LessOrEqual(t, in.restarts, len(in.calls))
			})
		}
	}
}

// TestEnterLies has calls say that so many entries were taken when none was
// (T11): what counts is what the queue's head says.
func TestEnterLies(t *testing.T) {
	if worksInChild(t) {
		return
	}
	start(t).needsRing("calls of io_uring_enter")
	for _, consumed := range []string{"0", "1", "1000"} {
		t.Run(consumed, func(t *testing.T) { require.Zero(t, injectAs(t, "retval="+consumed, "2+3").restarts) })
	}
}
