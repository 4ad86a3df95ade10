package portable

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// timeout starts a Timeout. It is Go's timer that it sleeps on, so that any
// number of them costs no thread.
func (k *Kernel) timeout(name ring.UserData, r *ring.Request) {
	if r.Duration() <= 0 {
		k.post(name, ring.Expired)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	o := k.begin(name, r)
	if o == nil {
		return
	}
	o.place = placeTimer
	k.pending[name] = o
	k.timerStart(o)
}

// linkTimeout starts a LinkTimeout for the request of that name, which was
// consumed right before, if that has not ended.
func (k *Kernel) linkTimeout(name ring.UserData, r *ring.Request, limited ring.UserData) {
	k.mu.Lock()
	defer k.mu.Unlock()
	target := k.pending[limited]
	if target == nil {
		k.postLocked(completion{CQE: ring.CQE{UserData: name, Res: -int32(unix.ECANCELED)}})
		return
	}
	o := k.begin(name, r)
	if o == nil {
		return
	}
	o.place = placeLimit
	o.other, target.other = target, o
	k.timerStart(o)
}

// timerStart starts an operation's timer.
// REQUIRES: k.mu.
func (k *Kernel) timerStart(o *operation) {
	d := max(o.request.Duration(), 0)
	if o.timer == nil {
		o.timer = time.AfterFunc(d, func() { k.expire(o) })
		return
	}
	o.timer.Reset(d)
}

// timerStop stops it, or keeps the operation from being used again where it is
// too late for that.
// REQUIRES: Kernel.mu.
func (o *operation) timerStop() {
	if o.timer != nil && !o.timer.Stop() {
		o.spent = true
	}
}

// expire is a timer's call.
func (k *Kernel) expire(o *operation) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.presence.closed() {
		return
	}
	switch o.place {
	case placeTimer:
		k.finish(o, ring.Expired)
	case placeLimit:
		target := o.other
		o.other, target.other = nil, nil
		res := k.cancel(target.name)
		if res == 0 {
			res = ring.Expired
		}
		k.finish(o, res)
	}
}
