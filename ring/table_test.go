package ring

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// model is one operation as the promise sees it: who has it, and what is owed.
// It knows no states.
type model struct {
	slot uint32
	name UserData // of its outstanding request
	aux  UserData // of its outstanding cancel

	ended     bool // the kernel is done with it, or will never see it
	asked     bool // the kernel was asked to cancel it
	orphan    bool // nobody waits
	forfeited bool // given up
	owed      debt
	answers   int
}

// debt is which answer is due.
type debt uint8

const (
	nothing debt = iota
	result
	unsubmitted
	unknown
)

// move is what happens to an operation: an event of the table, or one of the
// two below.
type move uint8

const (
	askMove       move = move(eventCount) + iota // a cancel is pushed
	cancelledMove                                // the cancel's own CQE
	moveCount
)

func (m move) String() string {
	switch m {
	case askMove:
		return "issue-cancel"
	case cancelledMove:
		return "cancel's CQE"
	}
	return Event(m).String()
}

func (m *model) queued() bool { return m.name == 0 && !m.ended && !m.forfeited }

// settled: nothing is outstanding and nothing is owed.
func (m *model) settled() bool { return m.ended && m.owed == nothing && m.name == 0 && m.aux == 0 }

// possible reports whether a move makes sense: the others must panic.
func (m *model) possible(v move) bool {
	kernel := m.name != 0
	switch v {
	case move(Issue):
		return m.queued()
	case move(Retry):
		return kernel && !m.asked && !m.orphan && !m.forfeited
	case move(TakeBack), move(Update), move(Done):
		return kernel
	case move(Forfeit):
		return !m.queued()
	case move(Answered):
		return m.owed != nothing
	case askMove:
		return kernel && m.asked && !m.forfeited && m.aux == 0
	case cancelledMove:
		return m.aux != 0
	default: // cancelled or orphaned can be anything
		return true
	}
}

// expect applies a possible move and gives the effects that it must have.
func (m *model) expect(v move) Effect {
	var effect Effect
	switch v {
	case move(TakeBack):
		m.name = 0
		effect = m.expectTakeBack()
	case move(Retry):
		m.name = 0
	case move(Update):
		effect = Deliver
		if m.orphan || m.forfeited {
			effect = Undo
		}
	case move(Done):
		m.name = 0
		effect = m.expectDone()
	case move(Cancel):
		effect = m.expectCancel()
	case move(Orphan):
		effect = m.expectOrphan()
	case move(Forfeit):
		effect = m.expectForfeit()
	case move(Answered):
		m.owed = nothing
		m.answers++
	case cancelledMove:
		m.aux = 0
	}
	if m.settled() {
		effect |= Release
	}
	return effect
}

func (m *model) expectTakeBack() Effect {
	switch {
	case m.orphan, m.forfeited && m.owed == nothing:
		m.ended = true
		return 0
	case m.asked, m.forfeited:
		m.ended, m.forfeited, m.owed = true, false, unsubmitted
		return AnswerUnsubmitted
	}
	return 0
}

func (m *model) expectDone() Effect {
	m.ended = true
	if m.orphan || m.forfeited && m.owed == nothing {
		return Undo
	}
	m.forfeited, m.owed = false, result
	return Answer
}

func (m *model) expectCancel() Effect {
	switch {
	case m.queued():
		m.ended, m.owed = true, unsubmitted
		return AnswerUnsubmitted
	case m.name != 0 && !m.asked && !m.orphan && !m.forfeited:
		m.asked = true
		return AskKernel
	}
	return 0
}

func (m *model) expectOrphan() Effect {
	if m.orphan || m.answers > 0 {
		return 0
	}
	m.orphan = true
	switch {
	case m.queued():
		m.ended = true
	case m.owed == unknown:
		m.owed = nothing
	case m.owed != nothing:
		m.owed = nothing
		return Undo
	case !m.asked:
		m.asked = true
		return AskKernel
	}
	return 0
}

func (m *model) expectForfeit() Effect {
	if m.name == 0 || m.forfeited {
		return 0
	}
	m.forfeited = true
	if m.orphan {
		return 0
	}
	m.owed = unknown
	return AnswerUnknown
}

// history drives a table and the models of its operations side by side.
type history struct {
	t     require.TestingT
	table *Table[int]
	limit int
	ops   []*model // those that live, in order of their Add
	added int
	peak  int // most that lived at once
	seen  map[UserData]bool
}

func newHistory(t require.TestingT, limit int) *history {
	return &history{t: t, table: NewTable[int](limit), limit: limit, seen: map[UserData]bool{}}
}

func (h *history) add() {
	slot, ok := h.table.Add()
	require.Equal(h.t, len(h.ops) < h.limit, ok, "Add with %d of %d slots in use", len(h.ops), h.limit)
	if !ok {
		require.True(h.t, h.table.Full())
		return
	}
	for _, m := range h.ops {
		require.NotEqual(h.t, m.slot, slot, "slot is in use")
	}
	require.Zero(h.t, *h.table.Payload(slot), "payload of an earlier operation")
	require.Equal(h.t, Queued, h.table.State(slot))
	h.added++
	*h.table.Payload(slot) = h.added
	h.ops = append(h.ops, &model{slot: slot})
	h.peak = max(h.peak, len(h.ops))
	h.check()
}

// do makes a possible move of an operation, compares the effects, and releases
// its slot when that is due.
func (h *history) do(m *model, v move) {
	name := m.name // of the request that the move may complete
	want := m.expect(v)
	got := h.perform(m, v, name)
	require.Equal(h.t, want, got, "effects of %s on %+v", v, *m)
	if got&Release != 0 {
		h.release(m)
	}
	h.check()
}

func (h *history) perform(m *model, v move, name UserData) Effect {
	switch v {
	case move(Issue):
		m.name = h.fresh(h.table.Issue(m.slot), KindOp, m.slot)
		return 0
	case askMove:
		u, ok := h.table.IssueCancel(m.slot)
		require.True(h.t, ok)
		m.aux = h.fresh(u, KindCancel, m.slot)
		_, ok = h.table.IssueCancel(m.slot)
		require.False(h.t, ok, "a second cancel while one is outstanding")
		return 0
	case cancelledMove:
		i := h.table.at(m.slot)
		return h.table.Completed(MakeUserData(KindCancel, m.slot, i.aux), 0)
	case move(TakeBack), move(Retry), move(Update), move(Done):
		return h.table.Completed(name, Event(v))
	default:
		return h.table.Apply(m.slot, Event(v))
	}
}

// fresh checks a name that was never given before.
func (h *history) fresh(u UserData, kind Kind, slot uint32) UserData {
	require.Equal(h.t, kind, u.Kind())
	require.Equal(h.t, slot, u.Slot())
	require.NotZero(h.t, u.Generation())
	require.False(h.t, h.seen[u], "user data %v repeats", u)
	h.seen[u] = true
	return u
}

func (h *history) release(m *model) {
	require.Zero(h.t, m.name)
	require.Zero(h.t, m.aux)
	if m.orphan {
		require.Zero(h.t, m.answers, "an orphan was answered")
	} else {
		require.Equal(h.t, 1, m.answers, "answers of an operation at its end")
	}
	h.table.Release(m.slot)
	require.Equal(h.t, Free, h.table.State(m.slot))
	require.Zero(h.t, *h.table.Payload(m.slot), "the payload outlives the operation")
	h.ops = slices.DeleteFunc(h.ops, func(o *model) bool { return o == m })
}

// check compares what is found of every name ever given, and the counts.
func (h *history) check() {
	require.Equal(h.t, len(h.ops), h.table.Live())
	require.Equal(h.t, h.peak, h.table.Made(), "memory is taken only as it is needed")
	require.Equal(h.t, len(h.ops) == h.limit, h.table.Full())
	open := map[UserData]bool{}
	for _, m := range h.ops {
		u, outstanding := h.table.Outstanding(m.slot)
		require.Equal(h.t, m.name != 0, outstanding)
		if outstanding {
			require.Equal(h.t, m.name, u)
		}
		open[m.name], open[m.aux] = true, true
	}
	for u := range h.seen {
		slot, ok := h.table.Lookup(u)
		require.Equal(h.t, open[u], ok, "lookup of %v", u)
		if ok {
			require.Equal(h.t, u.Slot(), slot)
		}
	}
	n := 0
	h.table.Each(func(i uint32, s State) {
		n++
		require.Equal(h.t, h.table.State(i), s)
	})
	require.Equal(h.t, len(h.ops), n)
}

// refuse asserts that an impossible move panics and changes nothing.
func (h *history) refuse(m *model, v move) {
	before := *h.table.at(m.slot)
	defer func() {
		_, ok := recover().(*InvariantError)
		require.True(h.t, ok, "%s of %+v is no bug to the table", v, *m)
		require.Equal(h.t, before, *h.table.at(m.slot), "a refused event changed the slot")
	}()
	h.perform(m, v, MakeUserData(KindOp, m.slot, h.table.at(m.slot).op))
}

// finish ends all operations as a well-behaved kernel and engine would.
func (h *history) finish() {
	for len(h.ops) > 0 {
		m := h.ops[0]
		for _, v := range [...]move{move(Cancel), move(Done), cancelledMove, move(Answered)} {
			if slices.Contains(h.ops, m) && m.possible(v) {
				h.do(m, v)
			}
		}
	}
	require.Zero(h.t, h.table.Live())
}

// TestTableHistories drives random histories through the table and the model.
func TestTableHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t, rapid.IntRange(1, 5).Draw(t, "limit"))
		for range rapid.IntRange(1, 120).Draw(t, "moves") {
			h.random(t)
		}
		h.finish()
	})
}

func (h *history) random(t *rapid.T) {
	if len(h.ops) == 0 || rapid.IntRange(0, 5).Draw(t, "add") == 0 {
		h.add()
		return
	}
	m := rapid.SampledFrom(h.ops).Draw(t, "operation")
	v := move(rapid.IntRange(0, int(moveCount)-1).Draw(t, "move"))
	switch {
	case m.possible(v):
		h.do(m, v)
	case v < move(eventCount):
		h.refuse(m, v)
	}
	forged := UserData(rapid.Uint64().Draw(t, "forged"))
	if _, ok := h.table.Lookup(forged); ok && !h.seen[forged] {
		t.Fatalf("forged user data %v was found", forged)
	}
}

// TestTableExhaustively walks every reachable state of a table of two slots
// through which up to three operations pass, by every move in every order. In
// each state it also checks that all operations can still be brought to their
// end, each with its one answer.
func TestTableExhaustively(t *testing.T) {
	const limit, additions = 2, 3
	seen := map[string]bool{}
	work := []*history{newHistory(t, limit)}
	moves, refused := 0, 0
	for len(work) > 0 {
		h := work[len(work)-1]
		work = work[:len(work)-1]
		if key := h.key(); !seen[key] {
			seen[key] = true
			h.clone().finish()
			next, no := h.successors(additions)
			moves += len(next)
			refused += no
			work = append(work, next...)
		}
	}
	t.Logf("%d states, %d moves, %d impossible moves refused", len(seen), moves, refused)
	require.Greater(t, len(seen), 1000, "the exploration ended early")
}

func (h *history) successors(additions int) (next []*history, refused int) {
	if h.added < additions {
		c := h.clone()
		c.add()
		next = append(next, c)
	}
	for k, m := range h.ops {
		for v := range moveCount {
			c := h.clone()
			switch {
			case m.possible(v):
				c.do(c.ops[k], v)
				next = append(next, c)
			case v < move(eventCount):
				c.refuse(c.ops[k], v)
				refused++
			}
		}
	}
	return next, refused
}

// key names a state, but for the generations.
func (h *history) key() string {
	key := fmt.Sprint(h.added, h.peak, h.table.free)
	for _, m := range h.ops {
		k := *m
		k.name, k.aux = min(m.name, 1), min(m.aux, 1) // outstanding or not
		key += fmt.Sprint(k, h.table.State(m.slot))
	}
	return key
}

func (h *history) clone() *history {
	c := *h
	table := *h.table
	table.chunks = nil
	for _, chunk := range h.table.chunks {
		copied := new([chunkSize]slot[int])
		copy(copied[:h.limit], chunk[:h.limit])
		table.chunks = append(table.chunks, copied)
	}
	c.table = &table
	c.ops = nil
	for _, m := range h.ops {
		copied := *m
		c.ops = append(c.ops, &copied)
	}
	c.seen = map[UserData]bool{}
	for u := range h.seen {
		c.seen[u] = true
	}
	return &c
}

func TestTableGrowsAcrossChunks(t *testing.T) {
	const n = 3*chunkSize + 1
	table := NewTable[int](n)
	for k := range n {
		require.Equal(t, k, table.Made())
		i, ok := table.Add()
		require.True(t, ok)
		require.EqualValues(t, k, i)
		*table.Payload(i) = k
	}
	require.True(t, table.Full())
	_, ok := table.Add()
	require.False(t, ok)
	for k := range n {
		require.Equal(t, k, *table.Payload(uint32(k)), "growing moved a payload")
	}
}

func TestTableRetiresUsedUpSlots(t *testing.T) {
	table := NewTable[int](2)
	first, _ := table.Add()
	table.at(first).generation = GenerationMax - generationReserve - 1
	last := table.Issue(first)
	require.EqualValues(t, GenerationMax-generationReserve, last.Generation())
	end(table, first, last)
	require.Zero(t, table.Live())
	require.Equal(t, 1, table.retired)

	second, ok := table.Add()
	require.True(t, ok)
	require.NotEqual(t, first, second, "a used-up slot is in use again")
	require.True(t, table.Full(), "the retired slot still counts as room")
	_, ok = table.Add()
	require.False(t, ok)
	_, ok = table.Lookup(last)
	require.False(t, ok)
}

// end completes, answers and releases an operation.
func end(table *Table[int], i uint32, u UserData) {
	table.Completed(u, Done)
	table.Apply(i, Answered)
	table.Release(i)
}

// TestTableGenerationsOutliveTheirOperation pins that a slot's next operation
// does not begin with the names of the last.
func TestTableGenerationsOutliveTheirOperation(t *testing.T) {
	table := NewTable[int](1)
	seen := map[UserData]bool{}
	for range 100 {
		i, ok := table.Add()
		require.True(t, ok)
		u := table.Issue(i)
		require.False(t, seen[u])
		seen[u] = true
		end(table, i, u)
	}
	require.Equal(t, 1, table.Made())
}

func TestTableMisuse(t *testing.T) {
	for _, limit := range [...]int{-1, 0, SlotMax + 1} {
		requireInvariant(t, "slots", func() { NewTable[int](limit) })
	}
	table := NewTable[int](1)
	i, _ := table.Add()
	requireInvariant(t, "release of a slot in state queued", func() { table.Release(i) })
	u := table.Issue(i)
	requireInvariant(t, "outstanding", func() { table.Issue(i) })
	requireInvariant(t, "release of a slot in state waiting", func() { table.Release(i) })
	end(table, i, u)
	requireInvariant(t, "release of a slot in state free", func() { table.Release(i) })
	requireInvariant(t, "issue in state free", func() { table.Issue(i) })
}

func TestTableLookupOfNothing(t *testing.T) {
	table := NewTable[int](4)
	for _, u := range [...]UserData{0, MakeUserData(KindOp, 0, 1), MakeUserData(KindOp, SlotMax-1, GenerationMax), ^UserData(0)} {
		_, ok := table.Lookup(u)
		require.False(t, ok, u)
	}
	i, _ := table.Add()
	_, ok := table.Lookup(MakeUserData(KindOp, i, 0))
	require.False(t, ok, "generation 0 is nobody's")
	u := table.Issue(i)
	for _, kind := range [...]Kind{KindCancel, KindInternal} {
		_, ok := table.Lookup(MakeUserData(kind, i, u.Generation()))
		require.False(t, ok, "kind %d with an operation's generation", kind)
	}
}

func TestUserDataPacks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := Kind(rapid.IntRange(0, int(KindInternal)).Draw(t, "kind"))
		slot := rapid.Uint32Range(0, SlotMax-1).Draw(t, "slot")
		generation := rapid.Uint64Range(0, GenerationMax).Draw(t, "generation")
		u := MakeUserData(kind, slot, generation)
		require.Equal(t, kind, u.Kind())
		require.Equal(t, slot, u.Slot())
		require.Equal(t, generation, u.Generation())
		require.Equal(t, fmt.Sprintf("%d:%d.%d", kind, slot, generation), u.String())
	})
}

func TestTableAllocatesNothingInTheSteadyState(t *testing.T) {
	table := NewTable[int](8)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		i, _ := table.Add()
		u := table.Issue(i)
		table.Apply(i, Cancel)
		cancel, _ := table.IssueCancel(i)
		table.Completed(u, Done)
		table.Apply(i, Answered)
		table.Completed(cancel, 0)
		table.Release(i)
	}))
}
