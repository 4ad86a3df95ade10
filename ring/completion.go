package ring

import "fmt"

// CQE is one completion as the kernel reports it, copied out of the queue.
type CQE struct {
	UserData UserData
	// Res is the result, or a negated errno.
	Res   int32
	Flags uint32
}

// FlagMore on a CQE says that the same request will complete again.
const FlagMore uint32 = 1 << 1

// Expired is the result of a Timeout that has expired: -ETIME, by the number
// that it has on Linux, since some systems have no such errno.
const Expired int32 = -62

// More reports whether the request will complete again. Without it the CQE is
// terminal, whatever its result says.
func (c CQE) More() bool { return c.Flags&FlagMore != 0 }

// UserData names one kernel request: what kind it is, which slot of the
// lifecycle map it belongs to, and its generation. It is never a pointer, and
// no two requests of a table ever have the same.
type UserData uint64

// Kind says what a kernel request is to its slot.
type Kind uint8

// The kinds of kernel request.
const (
	// KindOp is the operation itself.
	KindOp Kind = iota
	// KindCancel asks the kernel to cancel the slot's operation.
	KindCancel
	// KindInternal belongs to no slot.
	KindInternal
)

const (
	slotBits       = 20
	generationBits = 42

	// SlotMax is how many slots a table may have.
	SlotMax = 1 << slotBits
	// GenerationMax is the last generation of a slot; a slot that has used it
	// is retired.
	GenerationMax = 1<<generationBits - 1
)

// MakeUserData packs a request's name.
func MakeUserData(kind Kind, slot uint32, generation uint64) UserData {
	return UserData(kind)<<(slotBits+generationBits) |
		UserData(slot)<<generationBits |
		UserData(generation)
}

// Kind says what the request is to its slot.
func (u UserData) Kind() Kind { return Kind(u >> (slotBits + generationBits)) }

// Slot is the index of the slot.
func (u UserData) Slot() uint32 { return uint32(u>>generationBits) & (SlotMax - 1) }

// Generation tells the slot's requests of one kind apart.
func (u UserData) Generation() uint64 { return uint64(u) & GenerationMax }

// String shows the three parts.
func (u UserData) String() string {
	return fmt.Sprintf("%d:%d.%d", u.Kind(), u.Slot(), u.Generation())
}
