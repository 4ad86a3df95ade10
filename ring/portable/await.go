package portable

import (
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// manner is how an operation waits for its descriptor.
type manner uint8

const (
	// mannerUnknown: what the descriptor is has to be looked at first.
	mannerUnknown manner = iota
	// mannerWatch: with the others, in the readiness.
	mannerWatch
	// mannerWorker: a worker waits, in a call of its own.
	mannerWorker
)

// mannerOf is how one waits for a file of that mode. A pipe, a socket and what
// has no name answer at once whether they are ready. A device's driver or a
// file system's server may not.
func mannerOf(fd int32, mode uint32) manner {
	switch mode & modeType {
	case unix.S_IFIFO, unix.S_IFSOCK:
		return mannerWatch
	case 0:
		if !asksOthers(fd) {
			return mannerWatch
		}
	}
	return mannerWorker
}

// runStream performs a transfer or a poll on a worker, which also waits for what
// may hang when it is asked.
func (k *Kernel) runStream(o *operation) (int32, verdict) {
	res, v := o.attempt(true)
	if v != waits || o.manner != mannerWorker {
		return res, v
	}
	if o.request.Code == ring.CodePoll && !k.pollable(o.request.FD) {
		return -int32(unix.EINVAL), ended
	}
	w, err := newWake()
	if err != nil {
		w = noWake
	}
	defer w.close()
	for v == waits {
		events, err := k.await(o, &w)
		switch {
		case err != nil:
			return result(0, err), ended
		case events != 0 && events&unix.POLLNVAL == 0 && o.request.Code == ring.CodePoll:
			return int32(events), ended // though they may be there no more
		}
		res, v = o.attempt(true)
	}
	return res, v
}

// await waits on a worker for what an operation waits for. It gives no events
// when there may be none.
func (k *Kernel) await(o *operation, w *wake) (events uint32, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if o.cancelled || k.presence.closed() {
		return 0, unix.ECANCELED
	}
	o.place, o.wake = placeAwait, w
	k.mu.Unlock()
	events, err = w.poll(o.request.FD, o.events)
	k.mu.Lock()
	o.place, o.wake = placeCall, nil
	if events != 0 {
		o.judge(events)
	}
	return events, err
}

// pollable reports whether there is anything to wait for, without asking the
// file. What others wait for in the readiness need not be asked there, and must
// not: it is taken out.
func (k *Kernel) pollable(fd int32) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.presence.closed() || k.watches[fd].length > 0 || k.readiness.pollable(fd)
}

// wake ends a worker's waiting. It is one descriptor, or the two ends of a pipe.
type wake struct{ reads, writes int32 }

// noWake is for where there are no more descriptors: who waits has to look again
// and again then.
var noWake = wake{-1, -1}

// lookAgain is how often.
const lookAgain = 100 // ms

// up is called with Kernel.mu held, and not often: there is room.
func (w *wake) up() {
	if w.writes >= 0 {
		one := [8]byte{0: 1, 7: 1} // not 0 to an eventfd, whatever the byte order
		_, _ = repeatN(func() (int, error) { return unix.Write(int(w.writes), one[:]) })
	}
}

func (w *wake) close() {
	if w.reads >= 0 {
		_ = closeFD(w.reads)
	}
	if w.writes != w.reads {
		_ = closeFD(w.writes)
	}
}

// poll waits for a descriptor's events, or for up: then it gives none.
func (w *wake) poll(fd int32, events uint32) (uint32, error) {
	fds := [2]unix.PollFd{{Fd: fd, Events: int16(events)}, {Fd: w.reads, Events: unix.POLLIN}}
	timeout := -1
	if w.reads < 0 {
		timeout = lookAgain
	}
	_, err := repeatN(func() (int, error) { return unix.Poll(fds[:], timeout) })
	return uint32(uint16(fds[0].Revents)), err
}
