package portable

import "time"

// teller is who tells of descriptors that are ready, and tries what waits for
// them: the goroutine in readiness.run, or the latest of them. All of it is
// under Kernel.mu.
//
// An attempt does not wait for its stream, but it may hang: a read of a pipe
// waits for whoever holds that pipe, and hangs when he does, in a fault on a
// file that hangs, for instance. Then another tells in the teller's place, and
// he has become a worker, which is stuck, until he is back. So what hangs stops
// nobody, until there are as many as the crew may have.
type teller struct {
	due    list       // is to be tried
	trying *operation // is being tried
	tries  uint64

	look    *time.Timer
	looking bool   // the timer is running
	seen    uint64 // tries at the last look
}

// tryDue has the teller try what is due. It reports false if another tells by
// now: its caller was a worker since, and is to leave.
func (k *Kernel) tryDue() bool {
	k.mu.Lock()
	o := k.dueTake()
	k.mu.Unlock()
	for o != nil {
		res, v := o.attempt(false)
		k.mu.Lock()
		if k.teller.trying != o {
			k.mu.Unlock()
			k.workOn(o, res, v)
			return false
		}
		k.settle(o, res, v)
		o = k.dueTake()
		k.mu.Unlock()
	}
	return true
}

// dueTake gives the teller what it is to try next.
// REQUIRES: k.mu.
func (k *Kernel) dueTake() *operation {
	t := &k.teller
	t.trying = t.due.pop()
	if t.trying == nil {
		return nil
	}
	t.trying.place = placeCall
	t.tries++
	if !t.looking {
		k.lookSoon()
	}
	return t.trying
}

// lookSoon has somebody look whether the teller hangs.
// REQUIRES: k.mu.
func (k *Kernel) lookSoon() {
	t := &k.teller
	t.looking = true
	if t.look == nil {
		t.look = time.AfterFunc(stallAfter, k.lookAtTeller)
		return
	}
	t.look.Reset(stallAfter)
}

// lookAtTeller replaces a teller that is trying what it was trying at the last
// look. While there may be no more workers, it waits for one to leave.
func (k *Kernel) lookAtTeller() {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := &k.teller
	t.looking = false
	if t.trying == nil || k.presence.closed() {
		return
	}
	if t.tries != t.seen || k.crew.alive == k.crew.most || !k.presence.enter() {
		t.seen = t.tries
		k.lookSoon()
		return
	}
	k.crew.takeStuck(t.trying)
	t.trying = nil
	go k.readiness.run()
}

func (t *teller) forget() {
	t.due = list{}
	if t.look != nil {
		t.look.Stop()
	}
}
