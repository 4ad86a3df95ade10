package ring

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// seed is a bug, where it is looked for, and what must be found there.
type seed struct {
	name string
	in   configuration
	want string
}

// The configurations in which bugs are looked for are small: those that only a
// large one would show are not seen here, and then the large one is needed.
var (
	calm   = configuration{slotCount: 1, linkCount: 1, errands: []errand{reading, opening}, dimensions: cancels | deaths}
	stormy = configuration{slotCount: 1, linkCount: 2, errands: []errand{reading, opening}, dimensions: cancels | deaths | crashes}
)

// with gives a copy of the configuration with more that can happen.
func (c configuration) with(d dimension, e ...errand) configuration {
	c.dimensions |= d
	if len(e) > 0 {
		c.errands = e
	}
	return c
}

// two gives a copy with one more slot.
func (c configuration) two() configuration {
	c.slotCount = 2
	return c
}

// having gives a copy with a bug in the engine.
func (c configuration) having(b bugs) configuration {
	c.bugs = b
	return c
}

// over gives a copy with another table.
func (c configuration) over(cells lifetable) configuration {
	c.cells = &cells
	return c
}

// late gives a copy in which enters that hung return whenever they like.
func (c configuration) late() configuration {
	c.comesBackLate = true
	return c
}

// tableSeeds are bugs of the table: a cell, or a few.
func tableSeeds() []seed {
	table := lifetable(transitions)
	return []seed{
		{"done in cancelled undoes nothing",
			calm.over(table.without(Cancelled, Done, Undo)), "a descriptor is leaked"},
		{"done in quarantined undoes nothing",
			calm.over(table.without(Quarantined, Done, Undo)), "a descriptor is leaked"},
		{"orphan in due undoes nothing",
			calm.over(table.without(Due, Orphan, Undo)), "a descriptor is leaked"},
		{"update in cancelled undoes nothing",
			calm.with(0, accepting).over(table.without(Cancelled, Update, Undo)), "descriptor of an update is leaked"},
		{"update in cancelled is delivered",
			calm.with(0, accepting).over(table.with(Cancelled, Update, Cancelled, Deliver)), "an update is delivered to nobody"},
		{"cancel answers, not done",
			calm.over(table.with(Waiting, Cancel, Due, AnswerUnsubmitted)), "while the kernel has the operation's memory"},
		{"cancel is forgotten",
			calm.over(table.with(Waiting, Cancel, Waiting)), "a cancellation that was not asked for"},
		{"orphan ends the operation",
			calm.over(table.with(Waiting, Orphan, Settling)), "done in state settling"},
		{"orphan asks nobody",
			calm.over(table.without(Waiting, Orphan, AskKernel)), "the kernel is not asked"},
		{"done in cancelled is answered",
			calm.over(table.with(Cancelled, Done, Due, Answer)), "delivered to nobody"},
		{"done in quarantined is answered",
			calm.over(table.with(Quarantined, Done, Due, Answer)), "answered twice"},
		{"done in forfeited is not answered",
			stormy.over(table.with(Forfeited, Done, Settling)), "freed without an answer"},
		{"forfeit is not answered",
			calm.over(table.without(Cancelling, Forfeit, AnswerUnknown)), "an answer is due, and nobody sends it"},
		{"forfeit settles at the answer",
			calm.over(table.with(Forfeited, Answered, Settling)), "done in state settling"},
		{"take-back in cancelling is issued again",
			calm.with(busy).over(table.with(Cancelling, TakeBack, Queued)), "a cancellation that was not asked for"},
		{"take-back in waiting ends the operation",
			stormy.over(table.with(Waiting, TakeBack, Settling)), "freed without an answer"},
		{"take-back of what was given up is not provided for",
			stormy.with(hangs).late().over(table.lacking(Forfeited, TakeBack).lacking(Quarantined, TakeBack)), "take-back in state forfeited"},
	}
}

// engineSeeds are bugs of the engine, and of what Table adds to the table.
func engineSeeds() []seed {
	forfeitSettles := lifetable(transitions).with(Forfeited, Answered, Settling)
	return []seed{
		{"a slot is released over its operation",
			calm.having(bugs{releaseOverOp: true}).over(forfeitSettles), "freed while the kernel has its operation"},
		{"a slot is released over its cancel",
			calm.having(bugs{releaseOverAux: true}), "freed while the kernel has its cancel"},
		{"generations are ignored",
			stormy.with(seen | retries).having(bugs{generationsIgnored: true}), "a stale completion hits an operation"},
		{"a cancel's own result ends the operation",
			calm.having(bugs{cancelRetires: true}), "freed while the kernel has its operation"},
		{"a cancel that found nothing is not repeated",
			calm.having(bugs{askedOnce: true}), "the kernel is not asked"},
		{"a CancelResult does not wait",
			calm.having(bugs{toldAtOnce: true}), "before the terminal answer"},
		{"a cancelled operation is retried",
			calm.with(retries).having(bugs{retryOfCancelled: true}), "retry in state cancelling"},
		{"what was done in part is forgotten",
			calm.with(retries).having(bugs{partForgotten: true}), "answered as not done"},
		{"what a busy kernel gave back is in no queue",
			calm.with(busy).having(bugs{notRequeued: true}), "nobody issues it"},
		{"what a dead ring gave back is in no queue",
			stormy.having(bugs{notRequeued: true, repairsNoQueued: true}), "nobody issues it"},
		{"a dead ring gives nothing back",
			stormy.with(refusals).having(bugs{noTakeBack: true}), "some run never ends"},
		{"what was registered is not found again",
			stormy.having(bugs{repairsNoQueued: true}), "nobody issues it"},
		{"a ring is closed in flight",
			stormy.having(bugs{closesInFlight: true}), "closed with requests outstanding"},
		{"a ring is closed over its cancels",
			stormy.having(bugs{closesEarly: true}), "closed with requests outstanding"},
		{"a ring that ends is waited for though it has lost completions",
			calm.with(losses|hangs, reading).having(bugs{lostKept: true}), "some run never ends"},
		{"a dead ring is closed over an open",
			stormy.with(refusals).having(bugs{buriesOpens: true}), "brings a descriptor that nobody sees"},
		{"a dead ring is closed over a close",
			stormy.two().with(refusals, reading, closing).having(bugs{buriesCloses: true}), "a close is given up"},
		{"a close that may have been performed is repeated",
			stormy.two().with(losses, closing).having(bugs{closeRepeated: true}), "closed twice"},
		{"memory is free when its ring is closed",
			stormy.with(refusals).having(bugs{buriesAtClose: true}), "freed while the kernel has its operation"},
		{"an orphan that was given up counts as open",
			calm.having(bugs{orphansUncounted: true}), "somebody waits for ever"},
		{"who waits for an orphan is not told that it was given up",
			calm.having(bugs{waitersKept: true}), "somebody waits for ever"},
		{"a ring that fails at the end is not given up",
			calm.with(refusals).having(bugs{withoutKeepsRing: true}), "the kernel is not asked"},
		{"a ring that hangs at the end is not given up",
			calm.with(hangs, closing, reading).two().having(bugs{withoutKeepsRing: true}), "while somebody hangs in its enter"},
		{"what comes back has no ring to wait for",
			stormy.with(hangs | makeshift).having(bugs{strandedRequeue: true}), "nobody issues it"},
		{"a ring is given up before it was entered",
			calm.having(bugs{expiresUnentered: true}).over(lifetable(transitions).lacking(Quarantined, TakeBack)), "take-back in state quarantined"},
		{"a timer that is seen twice counts twice",
			stormy.with(timers | seen).having(bugs{timerTwice: true}), "count of a ring's requests is wrong"},
		{"an update that is seen twice is used twice",
			stormy.with(0, accepting).having(bugs{updateTwice: true}), "used twice"},
	}
}

// TestModelFindsBugs seeds them, and looks.
func TestModelFindsBugs(t *testing.T) {
	for _, bug := range slices.Concat(tableSeeds(), engineSeeds()) {
		t.Run(bug.name, func(t *testing.T) {
			if bug.in.slotCount > 1 {
				skipSlow(t)
			}
			s := explore(bug.in)
			require.NotNil(t, s.finding, "not found in %d states", len(s.states))
			t.Logf("found in %d states, after %d moves: %s\n%s", len(s.states), len(s.finding.trace), s.finding.what, strings.Join(s.finding.trace, "\n"))
			require.Contains(t, s.finding.what, bug.want)
		})
	}
}
