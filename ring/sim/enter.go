package sim

import (
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// Enter implements ring.Kernel.
func (k *Kernel) Enter() (int, error) {
	k.useQueue("Enter")
	switch {
	case k.closed:
		return 0, k.fatal(os.ErrClosed)
	case k.lost > 0:
		k.givenUp()
		return 0, k.fatalLost()
	case len(k.pushed)+len(k.overflow)+len(k.work) == 0:
		return 0, nil
	case k.dead != 0:
		k.givenUp()
		return 0, k.fatal(k.dead)
	}
	k.enters++
	k.inside++
	defer func() {
		k.inside--
		k.vanish()
	}()
	take, err := k.enterPlan()
	if err == nil && k.world.hanging < hangingMax && k.world.chance(k.rate(k.world.Profile.HangEnter), DidHangEnter) {
		before := k.world.pick(take + 1)
		n := k.consume(before)
		k.hang()
		if n < take && k.world.pick(3) == 2 {
			return n, k.enterEnd(ring.ErrBusy)
		}
		n += k.consume(take - before)
		return n, k.enterEnd(err)
	}
	return k.consume(take), k.enterEnd(err)
}

// givenUp checks that a ring which was reported lost is given no more operations
// to perform.
func (k *Kernel) givenUp() {
	if k.dead == 0 && !k.told {
		return
	}
	for _, r := range k.pushed {
		if r.name.Kind() == ring.KindOp {
			k.world.Violate("ring %d was lost, and still is to perform %v", k.number, r.name)
		}
	}
}

// hangingMax is how many Enters hang at a time at most.
const hangingMax = 3

// deaths are the errors after which a ring cannot be entered any more.
var deaths = [...]struct {
	errno syscall.Errno
	did   Behaviour
}{
	{errDisabled, DidFatalBadFD},
	{unix.ENXIO, DidFatalNXIO},
	{unix.EOWNERDEAD, DidFatalOwnerDead},
	{unix.EINVAL, DidFatalInvalid},
}

// enterPlan decides how many requests an Enter takes, and how it ends.
func (k *Kernel) enterPlan() (take int, err error) {
	w, n := k.world, len(k.pushed)
	switch {
	case w.fate.Chance(w.plain(k.rate(w.Profile.Fatal))):
		death := deaths[w.pick(len(deaths))]
		w.did(death.did)
		k.dead = death.errno
		return w.pick(n + 1), k.fatal(death.errno)
	case n > 0 && w.chance(w.Profile.Busy, DidBusy):
		if take = w.pick(n); take > 0 {
			w.did(DidPartial)
		}
		return take, ring.ErrBusy
	default:
		return n, nil
	}
}

// enterEnd is the way out of the kernel: what waits inside is brought.
func (k *Kernel) enterEnd(err error) error {
	if k.closed {
		return k.fatal(os.ErrClosed)
	}
	if k.dead == 0 {
		k.flush()
	}
	if k.lost > 0 {
		return k.fatalLost()
	}
	return err
}

// flush moves to the queue what waits for an Enter.
func (k *Kernel) flush() {
	for _, waiting := range [...]*[]completion{&k.overflow, &k.work} {
		n := min(len(*waiting), k.completions-len(k.queue))
		k.queue = append(k.queue, (*waiting)[:n]...)
		*waiting = slices.Delete(*waiting, 0, n)
	}
}

// consume takes requests out of the submission queue, the oldest first.
func (k *Kernel) consume(n int) int {
	n = min(n, len(k.pushed))
	if n > 0 && k.world.chance(k.world.Profile.Spurious, DidSpurious) {
		k.world.Go(k.signal)
	}
	for range n {
		r := k.pushed[0]
		k.pushed = slices.Delete(k.pushed, 0, 1)
		k.inFlight = append(k.inFlight, r)
		r.start()
	}
	return n
}

// hang has an Enter not return for a while. Others run meanwhile.
func (k *Kernel) hang() {
	w := k.world
	if w.thawed || w.running == nil {
		return
	}
	w.Note("enter of ring %d hangs", int64(k.number))
	w.hanging++
	w.park(func(wake func()) {
		w.AfterFunc(time.Duration(1+w.pick(max(w.Profile.HangFor, 1)))*time.Millisecond, wake)
		w.thaw = append(w.thaw, wake)
	})
	w.hanging--
	w.Note("enter of ring %d goes on", int64(k.number))
}

func (k *Kernel) fatal(err error) error {
	return &ring.FatalError{Doing: "io_uring_enter", Err: err}
}

// fatalLost says that a completion was lost.
func (k *Kernel) fatalLost() error {
	k.told = true
	return k.fatal(errLost)
}
