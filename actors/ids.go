package actors

import "math/bits"

// idIndex finds an operation by its OpID. It is a hash table with linear
// probing whose entries are slots: the keys stand in the slots themselves, so
// that an operation costs it a few bytes and a few nanoseconds, which a Go map
// would not do.
type idIndex struct {
	places []uint32 // slot+1, or 0
	used   int
}

// opKey is an OpID as the index has it.
type opKey struct {
	owner uint32
	seq   uint64
}

func (k opKey) hash() uint64 {
	h := (k.seq ^ uint64(k.owner)<<32) * 0x9e3779b97f4a7c15
	return h ^ bits.ReverseBytes64(h)
}

// keyOf is the key of the operation in a slot.
func (e *engine) keyOf(slot uint32) opKey {
	p := e.table.Payload(slot)
	return opKey{p.ownerIndex, p.seq}
}

// idFind gives the slot of an operation that is open.
func (e *engine) idFind(key opKey) (uint32, bool) {
	if key.seq == 0 || len(e.ids.places) == 0 {
		return 0, false
	}
	at := e.idPlace(key)
	if e.ids.places[at] == 0 {
		return 0, false
	}
	return e.ids.places[at] - 1, true
}

// idPlace is where a key stands, or would be put.
func (e *engine) idPlace(key opKey) int {
	mask := len(e.ids.places) - 1
	at := int(key.hash()) & mask
	for e.ids.places[at] != 0 && e.keyOf(e.ids.places[at]-1) != key {
		at = (at + 1) & mask
	}
	return at
}

// idAdd enters an operation under its key, which is not in the index.
func (e *engine) idAdd(slot uint32) {
	if 2*(e.ids.used+1) > len(e.ids.places) {
		e.idGrow()
	}
	e.ids.places[e.idPlace(e.keyOf(slot))] = slot + 1
	e.ids.used++
}

func (e *engine) idGrow() {
	old := e.ids.places
	e.ids.places = make([]uint32, max(2*len(old), 64))
	for _, entry := range old {
		if entry != 0 {
			e.ids.places[e.idPlace(e.keyOf(entry-1))] = entry
		}
	}
}

// idRemove takes an operation out. Those behind it move up where a search for
// them would otherwise end at the gap.
func (e *engine) idRemove(slot uint32) {
	places, mask := e.ids.places, len(e.ids.places)-1
	gap := e.idPlace(e.keyOf(slot))
	e.ids.used--
	for at := (gap + 1) & mask; places[at] != 0; at = (at + 1) & mask {
		home := int(e.keyOf(places[at]-1).hash()) & mask
		if (at-home)&mask >= (at-gap)&mask {
			places[gap] = places[at]
			gap = at
		}
	}
	places[gap] = 0
}
