package ring

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The model_*_test.go files go through the lifecycle protocol exhaustively: the
// real transitions and the semantics of Table, the engine of package actors as
// far as it uses them (machine), and what kernel, requesters and fate may do
// (moves), in every order.
//
// # What is checked
//
// In every state and over every move: each accepted operation gets exactly one
// terminal answer; it is sent when the kernel is done with the operation's
// memory, or says that the outcome is unknown; a slot is free only when none of
// its requests is outstanding, on a ring that is served, drained or closed; a
// descriptor that nobody takes is closed, once; a CancelResult comes after the
// answer; a completion that was seen before hits nothing; no event comes that
// the table does not provide for; whatever is due is done by somebody.
//
// From every state, whatever had happened before: the end is reached, with every
// slot free, every ring closed and no descriptor left, in every order of what
// the engine and a kernel that works must do (so there is no deadlock, no trap,
// and no circle in which everybody is busy and nothing gets done). And with a
// kernel that hangs, everybody is answered all the same.
//
// # What it knows nothing of
//
// A failure comes between two steps of the engine, and a step is what happens to
// one request, one message, one ring; within a step nothing fails. Time is
// whenever. Queues and lists have no order, and completions come in any; what
// an operation waits for besides the kernel (its stream, its device, room in the
// ring) is not there, nor the fallback that stands beside a ring for what it
// lacks. A CancelResult for several operations is one for each. What a descriptor
// came to that the kernel itself has lost nobody can know, and no check asks.

// configurations go through everything in few slots and rings, and with three
// slots through one thing at a time: the product of everything is too large.
func configurations() []configuration {
	const (
		asking = cancels | deaths | deadlines | handles
		normal = asking | retries | busy
		broken = refusals | losses | hangs
	)
	every := []errand{reading, opening, accepting, blocking, adopting, closing}
	return []configuration{
		{name: "one: all kinds, without a ring too", slotCount: 1, linkCount: 2, errands: every, dimensions: normal | crashes | makeshift | finishes},
		{name: "one: all kinds, rings are cancelled", slotCount: 1, linkCount: 2, errands: every, dimensions: normal | crashes | makeshift | finishes, cancelling: true},
		{name: "one: three rings", slotCount: 1, linkCount: 3, errands: every, dimensions: normal | crashes | finishes},
		{name: "one: completions wait to be reaped", slotCount: 1, linkCount: 2, errands: every, dimensions: normal | crashes | queues | finishes},
		{name: "one: rings break", slotCount: 1, linkCount: 2, errands: []errand{opening, closing}, dimensions: cancels | deaths | crashes | broken},
		{name: "one: rings break, completions wait", slotCount: 1, linkCount: 2, errands: []errand{opening, closing}, dimensions: crashes | queues | refusals | losses},
		{name: "one: rings hang, without a ring too", slotCount: 1, linkCount: 2, errands: []errand{opening, closing}, dimensions: deaths | crashes | hangs | makeshift},
		{name: "one: timers, completions are seen twice", slotCount: 1, linkCount: 2, errands: []errand{reading}, dimensions: crashes | seen | timers},
		{name: "none: timers, rings break", slotCount: 1, linkCount: 2, dimensions: crashes | timers | broken},
		{name: "two: all that requesters do", slotCount: 2, linkCount: 2, errands: []errand{opening}, dimensions: normal | crashes},
		{name: "two: lane and closes", slotCount: 2, linkCount: 2, errands: []errand{blocking, closing}, dimensions: cancels | deaths | crashes | busy},
		{name: "two: completions are seen twice", slotCount: 2, linkCount: 2, errands: []errand{opening}, dimensions: cancels | crashes | seen},
		{name: "two: rings fail", slotCount: 2, linkCount: 2, errands: []errand{opening}, dimensions: crashes | refusals},
		{name: "two: rings lose completions", slotCount: 2, linkCount: 2, errands: []errand{opening}, dimensions: crashes | losses},
		{name: "two: rings hang", slotCount: 2, linkCount: 2, errands: []errand{opening}, dimensions: crashes | hangs},
		{name: "three: all that requesters do, one ring", slotCount: 3, linkCount: 1, errands: []errand{opening}, dimensions: normal | finishes},
		{name: "three: cancels and failures", slotCount: 3, linkCount: 2, errands: []errand{reading}, dimensions: cancels | crashes},
		{name: "three: deaths, late success and failures", slotCount: 3, linkCount: 2, errands: []errand{opening}, dimensions: deaths | crashes},
		{name: "three: three rings", slotCount: 3, linkCount: 3, errands: []errand{reading}, dimensions: crashes},
	}
}

// TestModel goes through the configurations, and looks at which cells of the
// table that took.
func TestModel(t *testing.T) {
	var used usage
	states, moved, leftOut := 0, 0, 0
	for n, c := range configurations() {
		if raceDetector && n > 0 || testing.Short() && c.slotCount > 1 {
			leftOut++
			t.Logf("left out, since it takes too long here: %s", c.name)
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			s := explore(c)
			t.Logf("%d states, %d transitions, depth %d, %v", len(s.states), s.moved, s.depth, s.took)
			s.requireNothing(t)
			states, moved = states+len(s.states), moved+s.moved
			used.add(&s.table.used)
		})
	}
	t.Logf("%d states and %d transitions altogether", states, moved)
	if leftOut == 0 { // a part of the model need not reach all of the table
		used.requireAll(t)
	}
}

func (s *search) requireNothing(t *testing.T) {
	t.Helper()
	if f := s.finding; f != nil {
		t.Fatalf("%s, after %d moves:\n%s", f.what, len(f.trace), strings.Join(f.trace, "\n"))
	}
}

// unused are the cells that are valid and that no state needs, and why they are
// there.
var unused = map[State]map[Event]string{
	Cancelled:   {Orphan: ownerless},
	Due:         {Forfeit: notGivenUp},
	Forfeited:   {Forfeit: notGivenUp},
	Settling:    {Orphan: ownerless, Forfeit: notGivenUp},
	Quarantined: {Orphan: ownerless, Forfeit: notGivenUp},
}

const (
	ownerless  = "its owner's list has it no more"
	notGivenUp = "the engine looks at the state first"
)

func (u *usage) add(other *usage) {
	for s := range u {
		for e := range u[s] {
			u[s][e] += other[s][e]
		}
	}
}

// requireAll logs how often each cell was used, and fails for one that never
// was.
func (u *usage) requireAll(t *testing.T) {
	t.Helper()
	for s := range stateCount {
		var line []string
		for e := range eventCount {
			reason, listed := unused[s][e]
			switch count := u[s][e]; {
			case !transitions[s][e].valid:
				require.False(t, listed, "%s/%s is not valid, and in the list of those that are not used", s, e)
			case count == 0 && listed:
				line = append(line, fmt.Sprintf("%s never (%s)", e, reason))
			case count == 0:
				t.Errorf("%s/%s is valid, and no state that can be reached uses it", s, e)
			default:
				require.False(t, listed, "%s/%s is in the list of those that are not used", s, e)
				line = append(line, fmt.Sprintf("%s %d", e, count))
			}
		}
		if len(line) > 0 {
			t.Logf("%-11s %s", s, strings.Join(line, ", "))
		}
	}
}

// TestModelReductions checks that what makes the model smaller hides nothing:
// sorting the slots, and reaping completions as they come.
func TestModelReductions(t *testing.T) {
	skipSlow(t)
	two := configuration{slotCount: 2, linkCount: 2, errands: []errand{opening}, dimensions: deaths | crashes}
	three := configuration{slotCount: 3, linkCount: 1, errands: []errand{opening}, dimensions: deaths}
	for name, c := range map[string]configuration{"two": two, "three": three} {
		t.Run("slots are alike: "+name, func(t *testing.T) {
			apart := c
			apart.dimensions |= ordered
			requireSame(t, explore(c), explore(apart), func(w *world) {})
		})
	}
	one := two
	one.slotCount, one.errands = 1, []errand{reading, opening, closing, blocking, adopting}
	one.dimensions |= cancels | retries | busy | deadlines | handles
	two.linkCount, two.dimensions = 1, cancels|deaths
	for name, c := range map[string]configuration{"one": one, "two": two} {
		t.Run("completions need not wait: "+name, func(t *testing.T) {
			waiting := c
			waiting.dimensions |= queues
			requireSame(t, explore(c), explore(waiting), unreap)
		})
	}
}

// skipSlow leaves a test out that the race detector makes slow: there is one
// goroutine, and nothing to be detected.
func skipSlow(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("too slow with the race detector")
	}
}

// unreap gives what is in a completion queue back to the kernel: the engine
// sees no difference.
func unreap(w *world) {
	for i := range w.slots {
		s := &w.slots[i]
		if s.opAt == ended {
			s.opAt, s.opRes = taken, noOutcome
		}
		if s.auxAt == ended {
			s.auxAt, s.auxNo = taken, false
		}
	}
}

// requireSame asserts that a larger search has the states of a smaller one, seen
// through a projection and with the slots sorted.
func requireSame(t *testing.T, small, large *search, project func(*world)) {
	t.Helper()
	small.requireNothing(t)
	large.requireNothing(t)
	require.Less(t, len(small.states), len(large.states))
	t.Logf("%d states for %d", len(small.states), len(large.states))
	var order interner[slotWorld] // any, but the same for both
	if !maps.Equal(small.worlds(project, &order), large.worlds(project, &order)) {
		t.Fatal("they differ") // and nobody wants to see how
	}
}

func (s *search) worlds(project func(*world), order *interner[slotWorld]) map[world]bool {
	all := make(map[world]bool)
	for _, key := range s.states {
		w := s.unpack(key)
		project(&w)
		slices.SortFunc(w.slots[:s.slotCount], func(a, b slotWorld) int {
			return cmp.Compare(order.number(a, partBits), order.number(b, partBits))
		})
		all[w] = true
	}
	return all
}
