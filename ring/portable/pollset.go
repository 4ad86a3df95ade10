package portable

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// pollset is readiness by poll(2), for where epoll is not to be had. Its
// goroutine, and the thread that poll occupies, are there only while something
// is armed.
//
// (A kqueue, unlike an epoll instance, cannot be put on Go's netpoller through
// the os package, and would occupy a thread as well.)
type pollset struct {
	kernel *Kernel
	// wakeUp is read by run; what is written to wake interrupts its poll.
	wakeUp, wake *os.File
	wakeFD       int32

	// The rest is under Kernel.mu.
	armed           map[int32]armed
	running, woken  bool // there is a goroutine; a byte lies in the pipe
	stopped, closed bool
	ended           chan struct{} // closed when the latter is
}

func openPollset(k *Kernel) (readiness, error) {
	p := &pollset{kernel: k, armed: make(map[int32]armed), ended: make(chan struct{})}
	var err error
	if p.wakeUp, p.wake, err = os.Pipe(); err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	conn, err := p.wakeUp.SyscallConn()
	if err == nil {
		err = conn.Control(func(fd uintptr) { p.wakeFD = int32(fd) })
	}
	if err != nil {
		_, _ = p.wakeUp.Close(), p.wake.Close()
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	return p, nil
}

// armed is what a descriptor is armed for, and by which arming.
type armed struct{ events, arming uint32 }

func (p *pollset) arm(fd int32, events, arming uint32) error {
	p.armed[fd] = armed{events, arming}
	if p.running {
		p.interrupt()
		return nil
	}
	if p.kernel.presence.enter() {
		p.running = true
		go p.run()
	}
	return nil
}

func (p *pollset) disarm(fd int32) {
	if _, armed := p.armed[fd]; armed { // and not told of
		delete(p.armed, fd)
		p.interrupt()
	}
}

// pollable: poll tells of whatever there is.
func (*pollset) pollable(int32) bool { return true }

// interrupt has run look at what is armed.
// REQUIRES: Kernel.mu.
func (p *pollset) interrupt() {
	if p.running && !p.woken {
		p.woken = true
		_, _ = p.wake.Write([]byte{0}) // there is room: it is the only byte
	}
}

// run tells of descriptors until none is armed.
func (p *pollset) run() {
	defer p.kernel.presence.leave()
	var set []unix.PollFd
	var armings []uint32
	for p.kernel.tryDue() {
		if set, armings = p.take(set[:0], armings[:0]); set == nil {
			return
		}
		if _, err := unix.Poll(set, -1); err != nil {
			continue // EINTR, or EAGAIN: there is nothing to do but again
		}
		if set[0].Revents&unix.POLLNVAL != 0 { // somebody has closed it
			p.giveUp()
			return
		}
		for i := range set[1:] {
			if ready := set[1+i].Revents; ready != 0 {
				p.fire(set[1+i].Fd, uint32(uint16(ready)), armings[i])
			}
		}
	}
}

// take gives what is to be polled, the pipe first, and by which armings the rest
// is; or nil when that is all.
func (p *pollset) take(set []unix.PollFd, armings []uint32) ([]unix.PollFd, []uint32) {
	p.kernel.mu.Lock()
	defer p.kernel.mu.Unlock()
	if p.woken {
		p.woken = false
		_, _ = p.wakeUp.Read(make([]byte, 1))
	}
	if p.stopped || len(p.armed) == 0 {
		p.running = false
		p.closeIfDone()
		return nil, nil
	}
	set = append(set, unix.PollFd{Fd: p.wakeFD, Events: unix.POLLIN})
	for fd, a := range p.armed {
		set = append(set, unix.PollFd{Fd: fd, Events: int16(a.events)})
		armings = append(armings, a.arming)
	}
	return set, armings
}

// giveUp ends run. Each that comes to wait starts it again, in vain.
func (p *pollset) giveUp() {
	p.kernel.lose("poll", unix.EBADF)
	p.kernel.mu.Lock()
	defer p.kernel.mu.Unlock()
	p.running = false
	p.closeIfDone()
}

// fire tells of one descriptor, if it is still armed.
func (p *pollset) fire(fd int32, events, arming uint32) {
	p.kernel.mu.Lock()
	_, armed := p.armed[fd]
	delete(p.armed, fd)
	p.kernel.mu.Unlock()
	if armed {
		p.kernel.told(fd, events, arming)
	}
}

// stop has run end, which does so when it next looks.
func (p *pollset) stop() {
	p.kernel.mu.Lock()
	p.stopped = true
	clear(p.armed)
	p.interrupt()
	p.closeIfDone()
	p.kernel.mu.Unlock()
	<-p.ended
}

// closeIfDone closes the pipe once it is nobody's. Who is trying something is
// not in poll, and will look first.
// REQUIRES: Kernel.mu.
func (p *pollset) closeIfDone() {
	if p.stopped && !p.closed && (!p.running || p.kernel.teller.trying != nil) {
		p.closed = true
		_, _ = p.wakeUp.Close(), p.wake.Close()
		close(p.ended)
	}
}
