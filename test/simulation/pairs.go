package simulation

import (
	"iter"
	"slices"
	"strings"

	"github.com/ringmaster-io/ringmaster/ring"
)

// states and events are all that the lifecycle knows.
func states() iter.Seq[ring.State] {
	return func(yield func(ring.State) bool) {
		for s := ring.Queued; !strings.HasPrefix(s.String(), "#"); s++ {
			if !yield(s) {
				return
			}
		}
	}
}

func events() iter.Seq[ring.Event] {
	return func(yield func(ring.Event) bool) {
		for e := ring.Issue; !strings.HasPrefix(e.String(), "#"); e++ {
			if !yield(e) {
				return
			}
		}
	}
}

// unreachable are the pairs that the lifecycle allows and that its user never
// comes to.
// An operation that is answered, or that nobody waits for, is in no list any
// more by which a further event could find it; and only what the kernel has is
// forfeited.
var unreachable = [...]Pair{
	{ring.Cancelled, ring.Orphan},
	{ring.Due, ring.Forfeit},
	{ring.Forfeited, ring.Forfeit},
	{ring.Settling, ring.Orphan},
	{ring.Settling, ring.Forfeit},
	{ring.Quarantined, ring.Orphan},
	{ring.Quarantined, ring.Forfeit},
}

// ReachablePairs are the pairs of state and event that can come up.
func ReachablePairs() []Pair {
	return slices.DeleteFunc(validPairs(), func(p Pair) bool { return slices.Contains(unreachable[:], p) })
}

// validPairs are those that the lifecycle allows: each is tried on a table.
func validPairs() (valid []Pair) {
	for s := range states() {
		for e := range events() {
			if isValid(s, e) {
				valid = append(valid, Pair{s, e})
			}
		}
	}
	return valid
}

// waysTo lead to each state; a cancel is outstanding where the slot would
// otherwise be free.
var waysTo = map[ring.State][]ring.Event{
	ring.Queued:      {},
	ring.Waiting:     {ring.Issue},
	ring.Cancelling:  {ring.Issue, ring.Cancel},
	ring.Cancelled:   {ring.Issue, ring.Orphan},
	ring.Due:         {ring.Issue, ring.Done},
	ring.Forfeited:   {ring.Issue, ring.Forfeit},
	ring.Settling:    {ring.Issue, ring.Done, ring.Answered},
	ring.Quarantined: {ring.Issue, ring.Forfeit, ring.Answered},
}

// isValid tries an event on a slot that is in that state.
func isValid(s ring.State, e ring.Event) (valid bool) {
	table := ring.NewTable[int](1)
	slot, _ := table.Add()
	var name ring.UserData
	apply := func(e ring.Event) {
		switch e {
		case ring.Issue:
			name = table.Issue(slot)
		case ring.TakeBack, ring.Retry, ring.Update, ring.Done:
			table.Completed(name, e)
		default:
			table.Apply(slot, e)
		}
	}
	for _, step := range waysTo[s] {
		apply(step)
	}
	defer func() { valid = recover() == nil }()
	apply(e)
	return
}
