package ring

import "fmt"

// Table is the lifecycle map: a slot for each operation that is open, with a
// payload of type O that the table does not look into. It is pure: it performs
// nothing, and says what is to be done.
//
// A table outlives rings. Its user data never repeat, so that a completion
// finds its slot whichever ring it comes from, or none.
//
// INVARIANT: a slot is freed only when each of its requests has completed or
// was taken back.
type Table[O any] struct {
	// Observe, if not nil, is told of each event, and the state that it meets.
	Observe func(State, Event)

	chunks  []*[chunkSize]slot[O]
	free    uint32 // first free slot, as index+1
	made    uint32 // slots that exist
	limit   uint32
	live    int
	retired int
}

const (
	chunkBits = 8
	chunkSize = 1 << chunkBits
)

type slot[O any] struct {
	// generation is the last one given to a request of this slot. It is not
	// reset when the slot is freed.
	generation uint64
	op         uint64 // generation of the operation's outstanding request, or 0
	aux        uint64 // generation of the cancel's outstanding request, or 0
	nextFree   uint32
	state      State
	payload    O
}

// NewTable makes a table of at most limit slots. Memory is taken as slots are
// needed, and kept.
func NewTable[O any](limit int) *Table[O] {
	if limit <= 0 || limit > SlotMax {
		panic(&InvariantError{fmt.Sprintf("table of %d slots", limit)})
	}
	return &Table[O]{limit: uint32(limit)}
}

// Live is how many slots are not free.
func (t *Table[O]) Live() int { return t.live }

// Made is how many slots there is memory for.
func (t *Table[O]) Made() int { return int(t.made) }

// Full reports whether Add would fail.
func (t *Table[O]) Full() bool { return t.free == 0 && t.made == t.limit }

// Add takes a free slot, in state Queued and with a zero payload, for a new
// operation. It reports false when there is none.
func (t *Table[O]) Add() (uint32, bool) {
	if t.free == 0 && !t.grow() {
		return 0, false
	}
	i := t.free - 1
	s := t.at(i)
	t.free = s.nextFree
	s.state = Queued
	t.live++
	return i, true
}

func (t *Table[O]) grow() bool {
	if t.made == t.limit {
		return false
	}
	if t.made%chunkSize == 0 {
		t.chunks = append(t.chunks, new([chunkSize]slot[O]))
	}
	s := t.at(t.made)
	t.made++
	s.nextFree, t.free = t.free, t.made
	return true
}

func (t *Table[O]) at(i uint32) *slot[O] {
	return &t.chunks[i>>chunkBits][i&(chunkSize-1)]
}

// Payload is the slot's payload, to be read and changed in place.
func (t *Table[O]) Payload(i uint32) *O { return &t.at(i).payload }

// State is where the slot stands.
func (t *Table[O]) State(i uint32) State { return t.at(i).state }

// Issue gives the operation's next request its name, and makes the slot
// Waiting.
func (t *Table[O]) Issue(i uint32) UserData {
	s := t.at(i)
	if s.op != 0 {
		panic(&InvariantError{"issue of an operation that has a request outstanding"})
	}
	s.state, _ = t.step(s.state, Issue)
	s.generation++
	s.op = s.generation
	return MakeUserData(KindOp, i, s.op)
}

// Outstanding names the operation's request that the kernel has; it reports
// false when there is none.
func (t *Table[O]) Outstanding(i uint32) (UserData, bool) {
	s := t.at(i)
	return MakeUserData(KindOp, i, s.op), s.op != 0
}

// OutstandingCancel names the request that asks the kernel to cancel the slot's
// operation; it reports false when there is none.
func (t *Table[O]) OutstandingCancel(i uint32) (UserData, bool) {
	s := t.at(i)
	return MakeUserData(KindCancel, i, s.aux), s.aux != 0
}

// IssueCancel gives a request its name that asks the kernel to cancel the
// slot's operation. It reports false while an earlier one is outstanding.
func (t *Table[O]) IssueCancel(i uint32) (UserData, bool) {
	s := t.at(i)
	if s.aux != 0 {
		return 0, false
	}
	s.generation++
	s.aux = s.generation
	return MakeUserData(KindCancel, i, s.aux), true
}

// Lookup finds the slot of a request. It reports false when the request is
// stale: of an earlier generation, or of no slot at all.
func (t *Table[O]) Lookup(u UserData) (uint32, bool) {
	i := u.Slot()
	if i >= t.made || u.Generation() == 0 {
		return 0, false
	}
	switch s := t.at(i); u.Kind() {
	case KindOp:
		return i, s.op == u.Generation()
	case KindCancel:
		return i, s.aux == u.Generation()
	default:
		return 0, false
	}
}

// Completed records that the kernel is done with a request that Lookup found,
// or that it was taken back, and applies the event to its slot: Done, Update,
// Retry or TakeBack for the operation's own; none for a cancel's, whose result
// retires nothing.
func (t *Table[O]) Completed(u UserData, event Event) Effect {
	s := t.at(u.Slot())
	if u.Kind() == KindCancel {
		s.aux = 0
		return s.settled(0)
	}
	next, effect := t.step(s.state, event)
	s.state = next
	if event != Update {
		s.op = 0
	}
	return s.settled(effect)
}

// Apply applies an event that is not a request's: Cancel, Orphan, Forfeit or
// Answered.
func (t *Table[O]) Apply(i uint32, event Event) Effect {
	s := t.at(i)
	next, effect := t.step(s.state, event)
	s.state = next
	return s.settled(effect)
}

func (t *Table[O]) step(state State, event Event) (State, Effect) {
	if t.Observe != nil {
		t.Observe(state, event)
	}
	return step(state, event)
}

// settled adds Release when nothing of the slot is outstanding any more.
func (s *slot[O]) settled(effect Effect) Effect {
	if s.state == Settling && s.op == 0 && s.aux == 0 {
		effect |= Release
	}
	return effect
}

// Release frees a slot after the effect Release, and drops its payload. A slot
// whose generations are used up is not used again.
func (t *Table[O]) Release(i uint32) {
	s := t.at(i)
	if s.state != Settling || s.op != 0 || s.aux != 0 {
		panic(&InvariantError{fmt.Sprintf("release of a slot in state %s", s.state)})
	}
	var none O
	s.payload = none
	s.state = Free
	t.live--
	if s.generation >= GenerationMax-generationReserve {
		t.retired++
		return
	}
	s.nextFree, t.free = t.free, i+1
}

// generationReserve is how many requests one operation may ever make: itself,
// its retries and its cancels. The last generations are kept for it.
const generationReserve = 1 << 20

// Each calls f for every slot that is not free.
func (t *Table[O]) Each(f func(i uint32, state State)) {
	for i := range t.made {
		if s := t.at(i); s.state != Free {
			f(i, s.state)
		}
	}
}
