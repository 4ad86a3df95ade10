package faulty

import "github.com/ringmaster-io/ringmaster/ring"

// kernel is another kernel whose Enter fails now and then. All else is that
// one's.
type kernel struct {
	ring.Kernel
	injector *Injector
	// fresh: operations, not only cancels and timers, were pushed since the last
	// Enter. A ring that is being drained gets none.
	fresh bool
	lost  bool
}

var _ ring.Kernel = (*kernel)(nil)

// Push implements ring.Kernel.
func (k *kernel) Push(name ring.UserData, r *ring.Request) bool {
	pushed := k.Kernel.Push(name, r)
	k.fresh = k.fresh || pushed && name.Kind() == ring.KindOp
	return pushed
}

// TakeBack implements ring.Kernel.
func (k *kernel) TakeBack(back func(ring.UserData)) {
	k.fresh = false
	k.Kernel.TakeBack(back)
}

// Enter implements ring.Kernel. What is the wrapper's own is touched before the
// real one is entered: that may hang, and another be here meanwhile.
func (k *kernel) Enter() (int, error) {
	f := k.choose()
	switch {
	case f == nil:
		return k.Kernel.Enter()
	case !f.late:
		return 0, f.err
	}
	n, err := k.Kernel.Enter()
	if err == nil {
		err = f.err
	}
	return n, err
}

// choose finds the fault of this call. Nothing fails that submits nothing: the
// kernel is entered then for what it has to say.
func (k *kernel) choose() *fault {
	if k.Unsubmitted() == 0 {
		return nil
	}
	mayLose := k.fresh && !k.lost
	f := k.injector.next(mayLose)
	k.fresh = k.fresh && f == &faults[busy]
	k.lost = k.lost || f != nil && f != &faults[busy]
	return f
}
