package ring

import "fmt"

// lifetable is the table of transitions as the model uses it. A mutation of it
// is a copy with other cells.
type lifetable [stateCount][eventCount]transition

// without gives a copy of the table in which a cell's effect is missing.
func (t lifetable) without(s State, e Event, effect Effect) lifetable {
	t[s][e].effect &^= effect
	return t
}

// with gives a copy of the table with another cell.
func (t lifetable) with(s State, e Event, next State, effect ...Effect) lifetable {
	t[s][e] = to(next, effect...)
	return t
}

// lacking gives a copy of the table without a cell.
func (t lifetable) lacking(s State, e Event) lifetable {
	t[s][e] = transition{}
	return t
}

// usage counts how often each cell was used.
type usage [stateCount][eventCount]int

// slotTable is the model's Table: it does to a slotWorld what Table does to a
// slot. As long as nothing is seeded into it, a real Table makes each call as
// well, from the same state, and must come to the same.
type slotTable struct {
	cells lifetable
	bugs  *bugs
	used  usage
	real  *Table[int] // nil when a bug is seeded
}

// The generations that the real table's slot is given.
const (
	generationStale = iota + 1 // of a request that has completed
	generationOp
	generationAux
)

func newSlotTable(cells lifetable, b *bugs) *slotTable {
	t := &slotTable{cells: cells, bugs: b}
	if cells == lifetable(transitions) && *b == (bugs{}) {
		t.real = NewTable[int](1)
		t.real.Add()
	}
	return t
}

// load brings the real table's slot into the same state.
func (t *slotTable) load(s *slotWorld) *slot[int] {
	r := t.real.at(0)
	r.state, r.op, r.aux, r.generation = s.state, 0, 0, generationAux
	if s.op {
		r.op = generationOp
	}
	if s.aux {
		r.aux = generationAux
	}
	return r
}

// agree compares what became of the two.
func (t *slotTable) agree(s *slotWorld, r *slot[int], what string) {
	if r.state != s.state || (r.op != 0) != s.op || (r.aux != 0) != s.aux {
		panic(fmt.Sprintf("%s: the model's slot is %s (%t, %t), the table's %s (%d, %d)",
			what, s.state, s.op, s.aux, r.state, r.op, r.aux))
	}
}

// step is step, over the model's own cells. A cell that is not valid is a
// violation, which panics as it does there.
func (t *slotTable) step(s *slotWorld, e Event) Effect {
	cell := &t.cells[s.state][e]
	if !cell.valid {
		panic(violation(fmt.Sprintf("%s in state %s", e, s.state)))
	}
	t.used[s.state][e]++
	s.state = cell.next
	return cell.effect
}

func (t *slotTable) settled(s *slotWorld, effect Effect) Effect {
	if s.state == Settling && (!s.op || t.bugs.releaseOverOp) && (!s.aux || t.bugs.releaseOverAux) {
		effect |= Release
	}
	return effect
}

// issue is Table.Issue.
func (t *slotTable) issue(s *slotWorld) {
	if s.op {
		panic(violation("issue of an operation that has a request outstanding"))
	}
	var r *slot[int]
	if t.real != nil {
		r = t.load(s)
	}
	t.step(s, Issue)
	s.op = true
	if r != nil {
		t.real.Issue(0)
		t.agree(s, r, "issue")
	}
}

// issueCancel is Table.IssueCancel.
func (t *slotTable) issueCancel(s *slotWorld) bool {
	if t.real != nil {
		t.load(s)
		if _, ok := t.real.IssueCancel(0); ok == s.aux {
			panic("issue of a cancel: the model's table does not agree")
		}
	}
	if s.aux {
		return false
	}
	s.aux = true
	return true
}

// completed is Table.Completed for the operation's own request.
func (t *slotTable) completed(s *slotWorld, e Event) Effect {
	var r *slot[int]
	if t.real != nil {
		r = t.load(s)
	}
	effect := t.step(s, e)
	if e != Update {
		s.op = false
	}
	effect = t.settled(s, effect)
	if r != nil {
		t.same(effect, t.real.Completed(MakeUserData(KindOp, 0, generationOp), e), e)
		t.agree(s, r, e.String())
	}
	return effect
}

// completedCancel is Table.Completed for a cancel.
func (t *slotTable) completedCancel(s *slotWorld) Effect {
	var r *slot[int]
	if t.real != nil {
		r = t.load(s)
	}
	s.aux = false
	effect := t.settled(s, 0)
	if r != nil {
		t.same(effect, t.real.Completed(MakeUserData(KindCancel, 0, generationAux), 0), eventCount)
		t.agree(s, r, "the cancel's completion")
	}
	return effect
}

// apply is Table.Apply.
func (t *slotTable) apply(s *slotWorld, e Event) Effect {
	var r *slot[int]
	if t.real != nil {
		r = t.load(s)
	}
	effect := t.settled(s, t.step(s, e))
	if r != nil {
		t.same(effect, t.real.Apply(0, e), e)
		t.agree(s, r, e.String())
	}
	return effect
}

func (t *slotTable) same(model, table Effect, e Event) {
	if model != table {
		panic(fmt.Sprintf("%s: the model's effect is %#x, the table's %#x", e, model, table))
	}
}

// found is Table.Lookup for the slot's outstanding request, or with stale for
// one that has completed.
func (t *slotTable) found(s *slotWorld, kind Kind, stale bool) bool {
	generation, found := uint64(generationOp), s.op
	if kind == KindCancel {
		generation, found = generationAux, s.aux
	}
	if stale {
		generation, found = generationStale, found && t.bugs.generationsIgnored
	}
	if t.real != nil {
		t.load(s)
		if _, ok := t.real.Lookup(MakeUserData(kind, 0, generation)); ok != found {
			panic("lookup: the model's table does not agree")
		}
	}
	return found
}

// release is Table.Release. The slot is free, but for what is still in queues
// under its number.
func (t *slotTable) release(s *slotWorld) {
	if t.real != nil {
		t.load(s)
		t.real.Release(0)
		t.real.Add()
	}
	*s = slotWorld{staleOp: s.staleOp, staleAux: s.staleAux}
}
