package simulation

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/sim"
)

func TestValidPairs(t *testing.T) {
	valid := validPairs()
	require.Contains(t, valid, Pair{ring.Queued, ring.Issue})
	require.Contains(t, valid, Pair{ring.Waiting, ring.Update})
	require.Contains(t, valid, Pair{ring.Quarantined, ring.Done})
	require.NotContains(t, valid, Pair{ring.Queued, ring.Done})
	require.NotContains(t, valid, Pair{ring.Settling, ring.Issue})
	require.NotContains(t, valid, Pair{ring.Due, ring.Done})
	for _, p := range unreachable {
		require.Contains(t, valid, p, "it is not even allowed")
	}
	require.Len(t, ReachablePairs(), len(valid)-len(unreachable))
}

// TestCoverageIsFullWhenItIs checks that each thing that can be missing is.
func TestCoverageIsFullWhenItIs(t *testing.T) {
	c := full()
	require.Empty(t, c.Missing())
	require.Contains(t, c.String(), "covered: everything that can be reached")

	delete(c.Pairs, Pair{ring.Forfeited, ring.Done})
	delete(c.Struck, Strike{actors.FailStopped, true})
	delete(c.Behaviours, sim.DidGone)
	delete(c.Ends, End{"give", "ok"})
	delete(c.Deeds, "storm")
	require.Equal(t, []string{
		"done in state forfeited", "crash at stopped (in flight: true)", "kernel: gone", "give that succeeds", "step: storm",
	}, c.Missing())
	require.Contains(t, c.String(), "MISSING")

	c.Merge(full())
	require.Empty(t, c.Missing())
	require.EqualValues(t, 2, c.Pairs[Pair{ring.Queued, ring.Issue}])
}

// full is a coverage that lacks nothing.
func full() *Coverage {
	c := NewCoverage()
	for _, p := range ReachablePairs() {
		c.pair(p.State, p.Event)
	}
	for _, p := range actors.Failpoints() {
		c.struck(p, true)
		c.struck(p, false)
	}
	for _, b := range sim.Behaviours() {
		c.Behaviours[b] = 1
	}
	for _, m := range makers {
		c.Ends[End{m.name, "ok"}] = 1
	}
	for _, d := range deeds {
		c.deed(d.name)
	}
	return c
}

// TestNamesOfMakers checks that each operation is called what it calls itself.
func TestNamesOfMakers(t *testing.T) {
	b := newBook()
	for _, m := range makers {
		require.Equal(t, m.name, m.make(b.history, b.r, b.t).Name())
	}
}
