package actors

import "sync/atomic"

// token is the right to run the ring owner. Whoever holds it may touch the
// engine; taking it never blocks.
//
// It can be taken away from a holder that hangs inside the kernel: what hangs
// there holds nothing of ours but its ring. So a holder says when it goes in
// (enter), and on its way out asks whether the token is still its own (entered).
// If it is not, it must touch nothing, and leave.
type token struct{ word atomic.Uint64 }

// The word is a number that is never the same twice, and these two bits.
const (
	tokenHeld     = 1 << 0
	tokenEntering = 1 << 1
	tokenStep     = 1 << 2
)

// tryTake takes the token if nobody holds it.
func (t *token) tryTake() bool {
	w := t.word.Load()
	return w&tokenHeld == 0 && t.word.CompareAndSwap(w, w+tokenStep|tokenHeld)
}

// give gives it back.
// REQUIRES: the caller holds it.
func (t *token) give() { t.word.Store(t.word.Load() &^ tokenHeld) }

// enter says that the holder is about to call into the kernel, and gives what
// names this visit.
func (t *token) enter() uint64 {
	w := (t.word.Load() + tokenStep) | tokenEntering
	t.word.Store(w)
	return w
}

// entered says that the visit is over, and reports whether the token is still
// the caller's.
func (t *token) entered(visit uint64) bool {
	return t.word.CompareAndSwap(visit, visit&^tokenEntering)
}

// visit names the visit that is under way, if there is one.
func (t *token) visit() (uint64, bool) {
	w := t.word.Load()
	return w, w&tokenEntering != 0
}

// revoke takes the token from a holder that is still on that visit; the caller
// holds it then.
func (t *token) revoke(visit uint64) bool {
	return t.word.CompareAndSwap(visit, (visit+tokenStep)&^tokenEntering)
}
