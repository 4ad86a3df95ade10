package simulation

import (
	"context"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func environment(t *testing.T, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 0, 64)
	require.NoError(t, err)
	return n
}

// TestHistories runs SIM_COUNT histories from SIM_SEED on.
func TestHistories(t *testing.T) {
	known := os.Getenv("SIM_KNOWN")
	report := simulate(context.Background(), environment(t, "SIM_SEED", 1), environment(t, "SIM_COUNT", 3000), func(done uint64) {
		t.Logf("%d histories", done)
	}, func(err error) bool { return known != "" && regexp.MustCompile(known).MatchString(err.Error()) })
	report.Shorten(context.Background())
	t.Log(report)
	require.Zero(t, len(report.Failures))
}

// TestTape runs the history on SIM_TAPE.
func TestTape(t *testing.T) {
	text := os.Getenv("SIM_TAPE")
	if text == "" {
		t.Skip("no SIM_TAPE")
	}
	tape, err := ParseTape(text)
	require.NoError(t, err)
	r := (&Machine{}).Run(environment(t, "SIM_SEED", 1), Options{Tape: tape, Log: true})
	for _, line := range r.Log {
		t.Log(line)
	}
	require.NoError(t, r.Violation)
}

// TestReplay runs histories twice: they must be the same.
func TestReplay(t *testing.T) {
	for seed := range environment(t, "SIM_COUNT", 300) {
		first := (&Machine{}).Run(seed, Options{})
		second := (&Machine{}).Run(seed, Options{})
		if first.Digest == second.Digest {
			continue
		}
		a, b := (&Machine{}).Run(seed, Options{Log: true}).Log, (&Machine{}).Run(seed, Options{Log: true}).Log
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] && !strings.Contains(a[i], "submits") && !strings.Contains(a[i], "asks") {
				t.Log(strings.Join(a[max(0, i-20):i+3], "\n"))
				t.Log("or " + b[i])
				break
			}
		}
		t.Fatalf("seed %d does not replay", seed)
	}
}
