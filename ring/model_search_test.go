package ring

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// configuration is what a search goes through: everything that can happen in
// its dimensions, in every order, without a bound on how often. Any number of
// operations, of which so many are open at once, and any number of failures,
// with so many rings alive at once.
type configuration struct {
	name       string
	slotCount  int
	linkCount  int
	errands    []errand
	dimensions dimension
	cancelling bool // the policy with which rings are drained

	cells *lifetable // nil for the real one
	bugs  bugs
	torn  window
	// comesBackLate has hung enters return also where the table does not
	// provide for it.
	comesBackLate bool
}

func (c *configuration) ops() int { return c.slotCount }

func (c *configuration) has(d dimension) bool { return c.dimensions&d != 0 }

// search goes through the reachable states, breadth first.
//
// A state is kept as one word: the numbers under which its frame and its slots
// are known. The slots are sorted: what they are called makes no difference to
// anything (see TestModelReductions).
type search struct {
	machine
	frames  interner[frame]
	parts   interner[slotWorld]
	states  []uint64
	parents []uint32
	index   []entry  // hash table of the states
	edges   []uint32 // the moves that come by themselves: whereto<<2 | class
	first   []uint32 // each state's first edge
	moved   int      // transitions
	depth   int
	took    time.Duration
	finding *finding

	at      uint32           // the state that is expanded
	atParts [slotsMax]uint64 // its slots' numbers
	engaged bool             // there is something for the engine to do
}

// finding is a broken promise, and how it comes to that.
type finding struct {
	what  string
	trace []string
}

// explore makes a search. It ends at the first violation.
func explore(c configuration) *search {
	began := time.Now()
	cells := lifetable(transitions)
	if c.cells != nil {
		cells = *c.cells
	}
	s := &search{index: make([]entry, 1<<12)}
	s.configuration = &c
	s.table = newSlotTable(cells, &c.bugs)
	s.made = s.reach
	s.add(s.key(&world{frame: frame{n: 1}}), math.MaxUint32)
	levelEnd := 1
	for n := 0; n < len(s.states) && s.finding == nil; n++ {
		if n == levelEnd {
			levelEnd = len(s.states)
			s.depth++
		}
		s.expand(uint32(n))
	}
	if s.finding == nil {
		s.first = append(s.first, uint32(len(s.edges)))
		s.endings()
	}
	s.took = time.Since(began)
	return s
}

// expand makes all moves from one state.
func (s *search) expand(n uint32) {
	s.engaged = false
	s.first = append(s.first, uint32(len(s.edges)))
	w := s.set(n)
	s.begin(&w)
	if s.finding != nil {
		s.finding.trace = append(s.trace(n), s.finding.trace...)
		return
	}
	if what := s.inspect(&w); what != "" {
		s.finding = &finding{what, s.trace(n)}
	}
}

// set makes a state the one that is expanded.
func (s *search) set(n uint32) world {
	s.at = n
	for i := range s.atParts {
		s.atParts[i] = partOf(s.states[n], i)
	}
	return s.unpack(s.states[n])
}

// reach takes a move's result.
func (s *search) reach(c class, l label, broken string) {
	if s.finding != nil {
		return
	}
	s.moved++
	if broken != "" {
		s.finding = &finding{broken, []string{l.String()}}
		return
	}
	s.engaged = s.engaged || c == byEngine
	to := s.at
	if s.normalize(); s.world != *s.from {
		to = s.add(s.key(&s.world), s.at)
	}
	if c != byFate {
		s.edges = append(s.edges, to<<2|uint32(c))
	}
}

// A state's word: the number of its frame, and those of its slots.
const (
	frameBits = 22
	partBits  = 14
)

func partOf(key uint64, i int) uint64 {
	return key >> (frameBits + partBits*i) & (1<<partBits - 1)
}

// key is the word for a world. Most of it is mostly as it was in the state that
// is expanded.
func (s *search) key(w *world) (key uint64) {
	if s.from != nil && w.frame == s.from.frame {
		key = s.states[s.at] & (1<<frameBits - 1)
	} else {
		key = s.frames.number(w.frame, frameBits)
	}
	var ids [slotsMax]uint64
	for i := range ids {
		if s.from != nil && w.slots[i] == s.from.slots[i] {
			ids[i] = s.atParts[i]
		} else {
			ids[i] = s.parts.number(w.slots[i], partBits)
		}
	}
	if !s.has(ordered) {
		slices.Sort(ids[:s.slotCount])
	}
	for i, id := range ids {
		key |= id << (frameBits + partBits*i)
	}
	return key
}

func (s *search) unpack(key uint64) (w world) {
	w.frame = s.frames.all[key&(1<<frameBits-1)]
	for i := range w.slots {
		w.slots[i] = s.parts.all[partOf(key, i)]
	}
	return w
}

// add gives the number of a state, and knows it from now on.
func (s *search) add(key uint64, parent uint32) uint32 {
	if 2*len(s.states) >= len(s.index) {
		s.rehash()
	}
	at := s.place(key)
	if at.number != 0 {
		return uint32(at.number - 1)
	}
	s.states = append(s.states, key)
	s.parents = append(s.parents, parent)
	*at = entry{key, uint64(len(s.states))}
	return uint32(len(s.states) - 1)
}

// entry is one of the hash table: a state, and its number plus one.
type entry struct{ key, number uint64 }

// place is where a state is in the hash table, or is to be.
func (s *search) place(key uint64) *entry {
	h := (key ^ key>>32) * 0x9e3779b97f4a7c15
	h = (h ^ h>>29) * 0xbf58476d1ce4e5b9
	for h ^= h >> 32; ; h++ {
		at := &s.index[h&uint64(len(s.index)-1)]
		if at.number == 0 || at.key == key {
			return at
		}
	}
}

func (s *search) rehash() {
	s.index = make([]entry, 2*len(s.index))
	for n, key := range s.states {
		*s.place(key) = entry{key, uint64(n + 1)}
	}
}

// trace tells the moves on a shortest way to a state.
func (s *search) trace(n uint32) []string {
	var way []uint32
	for ; n != math.MaxUint32; n = s.parents[n] {
		way = append(way, n)
	}
	slices.Reverse(way)
	var trace []string
	for k := 1; k < len(way); k++ {
		w := s.unpack(s.states[way[k]])
		trace = append(trace, fmt.Sprintf("%s  [%s]", s.nameMove(way[k-1], s.states[way[k]]), w.String()))
	}
	return trace
}

// nameMove finds the move that leads from one state to another.
func (s *search) nameMove(n uint32, key uint64) (name label) {
	made, at := s.made, s.at
	s.made = func(_ class, l label, broken string) {
		if s.normalize(); broken == "" && name.what == "" && s.key(&s.world) == key {
			name = l
		}
	}
	w := s.set(n)
	s.begin(&w)
	s.made, s.at = made, at
	return name
}

// interner gives things numbers.
type interner[T comparable] struct {
	numbers map[T]uint64
	all     []T
}

// number is the thing's number, of so many bits.
func (n *interner[T]) number(thing T, bits int) uint64 {
	if id, ok := n.numbers[thing]; ok {
		return id
	}
	if n.numbers == nil {
		n.numbers = make(map[T]uint64)
	}
	id := uint64(len(n.all))
	if id >= 1<<bits {
		panic("model: more parts of states than there are numbers")
	}
	n.numbers[thing] = id
	n.all = append(n.all, thing)
	return id
}
