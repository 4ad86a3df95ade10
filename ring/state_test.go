package ring

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// lifecycle is the lifecycle of a slot as the design tells it, written down a
// second time: a row for each state, a cell for each event with the next state
// and the effects. A dash is an event that cannot come in that state; whoever
// sends it has a bug.
const lifecycle = `
             | issue   | take-back           | retry  | update             | done              | cancel                | orphan             | forfeit                  | answered
free         | -       | -                   | -      | -                  | -                 | -                     | -                  | -                        | -
queued       | waiting | -                   | -      | -                  | -                 | due +unsubmitted      | settling           | -                        | -
waiting      | -       | queued              | queued | waiting +deliver   | due +answer       | cancelling +ask       | cancelled +ask     | forfeited +unknown       | -
cancelling   | -       | due +unsubmitted    | -      | cancelling +deliver| due +answer       | cancelling            | cancelled          | forfeited +unknown       | -
cancelled    | -       | settling            | -      | cancelled +undo    | settling +undo    | cancelled             | cancelled          | quarantined              | -
due          | -       | -                   | -      | -                  | -                 | due                   | settling +undo     | due                      | settling
forfeited    | -       | due +unsubmitted    | -      | forfeited +undo    | due +answer       | forfeited             | quarantined        | forfeited                | quarantined
settling     | -       | -                   | -      | -                  | -                 | settling              | settling           | settling                 | -
quarantined  | -       | settling            | -      | quarantined +undo  | settling +undo    | quarantined           | quarantined        | quarantined              | -
`

var effectNames = map[string]Effect{
	"answer":      Answer,
	"unsubmitted": AnswerUnsubmitted,
	"unknown":     AnswerUnknown,
	"deliver":     Deliver,
	"ask":         AskKernel,
	"undo":        Undo,
	"release":     Release,
}

// row splits a line of a text table.
func row(line string) []string {
	cells := strings.Split(line, "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

func TestEveryStateAndEvent(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(lifecycle), "\n")
	header := row("|" + strings.TrimLeft(lines[0], " |"))
	require.Equal(t, append([]string{""}, eventNames[:]...), header, "an event is missing from the table")
	require.Len(t, lines[1:], int(stateCount), "a state is missing from the table")

	for state, line := range lines[1:] {
		cells := row(line)
		require.Equal(t, State(state).String(), cells[0])
		require.Len(t, cells[1:], int(eventCount), line)
		for event, cell := range cells[1:] {
			t.Run(cells[0]+"/"+Event(event).String(), func(t *testing.T) {
				checkCell(t, State(state), Event(event), cell)
			})
		}
	}
}

func checkCell(t *testing.T, state State, event Event, cell string) {
	if cell == "-" {
		requireInvariant(t, event.String()+" in state "+state.String(), func() { step(state, event) })
		return
	}
	name, effects, _ := strings.Cut(cell, " ")
	var want Effect
	for effect := range strings.FieldsFuncSeq(effects, func(r rune) bool { return r == '+' || r == ' ' }) {
		require.Contains(t, effectNames, effect)
		want |= effectNames[effect]
	}
	next, got := step(state, event)
	require.Equal(t, name, next.String())
	require.Equal(t, want, got)
}

// requireInvariant asserts that f panics over a broken invariant whose text
// contains what.
func requireInvariant(t testing.TB, what string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		broken, ok := recover().(*InvariantError)
		require.True(t, ok, "no *InvariantError")
		require.Contains(t, broken.Error(), what)
	}()
	f()
}

// TestLifecycleRules are the sentences of the promise, checked against the
// transitions themselves rather than against a second copy of them.
func TestLifecycleRules(t *testing.T) {
	const answers = Answer | AnswerUnsubmitted | AnswerUnknown
	withKernel := []State{Waiting, Cancelling, Cancelled, Forfeited, Quarantined}
	each(func(s State, e Event, next State, effect Effect) {
		at := s.String() + "/" + e.String()
		if effect&answers != 0 {
			require.Contains(t, []State{Due, Forfeited}, next, "%s: an answer that is due waits to be sent", at)
		}
		if next == Due && s != Due {
			require.NotZero(t, effect&(Answer|AnswerUnsubmitted), "%s: due without an answer", at)
		}
		if e == Done || e == Update {
			require.Contains(t, withKernel, s, "%s: a completion of what the kernel does not have", at)
		}
		if effect&AskKernel != 0 {
			require.Equal(t, Waiting, s, "%s: the kernel is asked once, and only for what it has", at)
		}
		if e == Forfeit {
			require.NotContains(t, []State{Waiting, Cancelling}, next, at)
		}
		if e == Orphan && s != Queued {
			require.NotContains(t, []State{Waiting, Cancelling, Due}, next, "%s: somebody still waits", at)
		}
		if slices.Contains(withKernel, s) && e != Done && e != TakeBack && e != Retry {
			require.Contains(t, withKernel, next, "%s: only the kernel lets go", at)
		}
		require.NotEqual(t, Free, next, "%s: only Release frees", at)
		require.Zero(t, effect&Release, "%s: the table adds Release", at)
	})
}

// each calls f for every valid cell.
func each(f func(s State, e Event, next State, effect Effect)) {
	for s := range stateCount {
		for e := range eventCount {
			if transitions[s][e].valid {
				next, effect := step(s, e)
				f(s, e, next, effect)
			}
		}
	}
}

func TestEveryStateIsReachable(t *testing.T) {
	reached := map[State]bool{Queued: true} // by Add
	for grew := true; grew; {
		grew = false
		each(func(s State, _ Event, next State, _ Effect) {
			if reached[s] && !reached[next] {
				reached[next], grew = true, true
			}
		})
	}
	for s := Queued; s < stateCount; s++ {
		require.True(t, reached[s], s)
	}
}

func TestNamesOfNothing(t *testing.T) {
	require.Equal(t, "#9", stateCount.String())
	require.Equal(t, "#9", eventCount.String())
	require.Panics(t, func() { step(stateCount, Issue) })
	require.Panics(t, func() { step(Queued, eventCount) })
}
