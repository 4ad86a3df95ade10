package simulation

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// environment reads a number.
func environment(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 0, 64)
	require.NoError(t, err)
	return n
}

// TestHistories runs SIM_COUNT histories from SIM_SEED on. Those by default are
// too few to come across everything that can be reached: a hundred thousand do.
func TestHistories(t *testing.T) {
	count := environment(t, "SIM_COUNT", 3000/slowdown)
	report := Simulate(context.Background(), environment(t, "SIM_SEED", 1), count, nil)
	report.Shorten(context.Background())
	t.Log(report)
	require.Zero(t, len(report.Failures))
	require.Equal(t, count, report.Histories)
	require.GreaterOrEqual(t, report.Fewest, uint64(200))
	if count >= 100_000 {
		require.Empty(t, report.Coverage.Missing())
	}
}

// TestTape runs the history on SIM_TAPE, and shows it.
func TestTape(t *testing.T) {
	text := os.Getenv("SIM_TAPE")
	if text == "" {
		t.Skip("no SIM_TAPE")
	}
	tape, err := ParseTape(text)
	require.NoError(t, err)
	r := (&Machine{}).Run(environment(t, "SIM_SEED", 1), Options{Tape: tape, Log: true})
	t.Log(strings.Join(r.Log, "\n"))
	require.NoError(t, r.Violation)
}

// TestReplay runs histories twice, by the seed, by its tape, and beside others:
// they must be the same each time.
func TestReplay(t *testing.T) {
	used := &Machine{}
	for seed := range uint64(200 / slowdown) {
		first := (&Machine{}).Run(seed, Options{})
		again := used.Run(seed, Options{})
		if first.Digest != again.Digest {
			t.Fatalf("seed %d does not replay:\n%s", seed, difference(seed))
		}
		taped := used.Run(0, Options{Tape: &first.Tape})
		require.Equal(t, first.Digest, taped.Digest, "seed %d by its tape", seed)
	}
}

// difference shows where two runs of a seed part.
func difference(seed uint64) string {
	a := (&Machine{}).Run(seed, Options{Log: true}).Log
	b := (&Machine{}).Run(seed, Options{Log: true}).Log
	for i := range min(len(a), len(b)) {
		// Addresses and the like are not compared: what an operation looks like
		// is no event.
		if a[i] != b[i] && !strings.Contains(a[i], "&") {
			return strings.Join(a[max(0, i-20):i+1], "\n") + "\nor\n" + b[i]
		}
	}
	return "the logs are the same"
}

func TestSimulateEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	told := uint64(0)
	report := Simulate(ctx, 1, 1<<60, func(done uint64) {
		told = done
		cancel()
	})
	require.GreaterOrEqual(t, told, uint64(1000))
	require.Less(t, report.Histories, uint64(2000))
	require.Empty(t, report.Failures)
}
