package simulation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/sim"
)

// Coverage counts what histories came across.
type Coverage struct {
	// Pairs are the (state, event) pairs of the lifecycle map.
	Pairs map[Pair]uint64
	// Struck are the crashes, by failpoint and whether the kernel had
	// something in flight.
	Struck map[Strike]uint64
	// Ends are the operations, by name and how they ended.
	Ends map[End]uint64
	// Behaviours are what the simulated system did.
	Behaviours map[sim.Behaviour]uint64
	// Deeds are the steps of the plans.
	Deeds map[string]uint64
}

// Pair is an event, and the state that it met.
type Pair struct {
	State ring.State
	Event ring.Event
}

// Strike is a crash.
type Strike struct {
	Point    actors.Failpoint
	InFlight bool
}

// End is how an operation ended.
type End struct{ Op, How string }

// NewCoverage makes one that is empty.
func NewCoverage() *Coverage {
	return &Coverage{
		Pairs:      make(map[Pair]uint64),
		Struck:     make(map[Strike]uint64),
		Ends:       make(map[End]uint64),
		Behaviours: make(map[sim.Behaviour]uint64),
		Deeds:      make(map[string]uint64),
	}
}

func (c *Coverage) pair(s ring.State, e ring.Event) { c.Pairs[Pair{s, e}]++ }

func (c *Coverage) struck(p actors.Failpoint, inFlight bool) { c.Struck[Strike{p, inFlight}]++ }

func (c *Coverage) deed(name string) { c.Deeds[name]++ }

func (c *Coverage) answered(op messages.Op, err error) {
	if isNil(op) {
		return
	}
	c.Ends[End{op.Name(), howOf(err)}]++
}

// hows are the ways in which an operation can end.
var hows = [...]string{"ok", "failed", "cancelled", "unknown", "refused"}

func howOf(err error) string {
	var opErr *messages.OpError
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, messages.ErrRefused):
		return "refused"
	case errors.Is(err, messages.ErrOutcomeUnknown):
		return "unknown"
	case errors.As(err, &opErr) && opErr.Why != nil:
		return "cancelled"
	default:
		return "failed"
	}
}

// Merge adds another's counts.
func (c *Coverage) Merge(other *Coverage) {
	mergeCounts(c.Pairs, other.Pairs)
	mergeCounts(c.Struck, other.Struck)
	mergeCounts(c.Ends, other.Ends)
	mergeCounts(c.Behaviours, other.Behaviours)
	mergeCounts(c.Deeds, other.Deeds)
}

func mergeCounts[K comparable](into, from map[K]uint64) {
	for k, n := range from {
		into[k] += n
	}
}

// Missing are the reachable pairs, the crashes and the behaviours that never
// came up.
func (c *Coverage) Missing() (missing []string) {
	for _, p := range ReachablePairs() {
		if c.Pairs[p] == 0 {
			missing = append(missing, fmt.Sprintf("%s in state %s", p.Event, p.State))
		}
	}
	for _, p := range actors.Failpoints() {
		for _, inFlight := range [...]bool{false, true} {
			if c.Struck[Strike{p, inFlight}] == 0 {
				missing = append(missing, fmt.Sprintf("crash at %s (in flight: %v)", p, inFlight))
			}
		}
	}
	for _, b := range sim.Behaviours() {
		if c.Behaviours[b] == 0 {
			missing = append(missing, "kernel: "+b.String())
		}
	}
	for _, m := range makers {
		if c.Ends[End{m.name, "ok"}] == 0 {
			missing = append(missing, m.name+" that succeeds")
		}
	}
	for _, d := range deeds {
		if c.Deeds[d.name] == 0 {
			missing = append(missing, "step: "+d.name)
		}
	}
	return missing
}

// String shows the counts as tables.
func (c *Coverage) String() string {
	var b strings.Builder
	c.writePairs(&b)
	c.writeStruck(&b)
	c.writeEnds(&b)
	b.WriteString("\nkernel:")
	for _, k := range sim.Behaviours() {
		fmt.Fprintf(&b, " %s %d", k, c.Behaviours[k])
	}
	b.WriteString("\nsteps:")
	for _, name := range slices.Sorted(maps.Keys(c.Deeds)) {
		fmt.Fprintf(&b, " %s %d", name, c.Deeds[name])
	}
	if missing := c.Missing(); len(missing) > 0 {
		fmt.Fprintf(&b, "\nnot covered: %s\n", strings.Join(missing, "; "))
	} else {
		b.WriteString("\ncovered: everything that can be reached\n")
	}
	return b.String()
}

func (c *Coverage) writePairs(b *strings.Builder) {
	possible := map[Pair]bool{}
	for _, p := range validPairs() {
		possible[p] = true
	}
	fmt.Fprintf(b, "%-12s", "state")
	for e := range events() {
		fmt.Fprintf(b, "%11s", e)
	}
	for s := range states() {
		fmt.Fprintf(b, "\n%-12s", s)
		for e := range events() {
			p := Pair{s, e}
			switch {
			case c.Pairs[p] > 0:
				fmt.Fprintf(b, "%11d", c.Pairs[p])
			case !possible[p]:
				fmt.Fprintf(b, "%11s", ".")
			case slices.Contains(unreachable[:], p):
				fmt.Fprintf(b, "%11s", "(never)")
			default:
				fmt.Fprintf(b, "%11s", "MISSING")
			}
		}
	}
	b.WriteString("\n")
}

func (c *Coverage) writeStruck(b *strings.Builder) {
	b.WriteString("\ncrash at, with nothing and with something in flight:\n")
	for _, p := range actors.Failpoints() {
		fmt.Fprintf(b, "%-14s%8d%8d\n", p, c.Struck[Strike{p, false}], c.Struck[Strike{p, true}])
	}
}

func (c *Coverage) writeEnds(b *strings.Builder) {
	fmt.Fprintf(b, "\n%-12s", "operation")
	for _, how := range hows {
		fmt.Fprintf(b, "%11s", how)
	}
	for _, m := range makers {
		fmt.Fprintf(b, "\n%-12s", m.name)
		for _, how := range hows {
			fmt.Fprintf(b, "%11d", c.Ends[End{m.name, how}])
		}
	}
	b.WriteString("\n")
}
