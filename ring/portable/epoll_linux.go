package portable

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// epoll is readiness by an epoll instance of the kernel's own, which itself
// waits on Go's netpoller: one parked goroutine, and no thread, for any number
// of descriptors.
//
// A descriptor that was told of stays in the instance (EPOLLONESHOT), to be armed
// again with one call, if something waits for it still. Otherwise it is taken
// out: it would stay as long as the open file, which may have other descriptors,
// and their number is limited for each user.
type epoll struct {
	fd     int
	file   *os.File
	conn   syscall.RawConn
	kernel *Kernel
	ended  chan struct{} // closed when run has closed the file
}

// epollBatch is how many descriptors are told of in one go.
const epollBatch = 64

func openReadiness(k *Kernel) (readiness, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making an epoll instance: %w", err)
	}
	// The flag says to the os package that the netpoller may have it.
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("making an epoll instance non-blocking: %w", err)
	}
	e := &epoll{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), kernel: k, ended: make(chan struct{})}
	// A file that the netpoller does not have accepts no deadline.
	err = e.file.SetReadDeadline(time.Time{})
	if err == nil {
		e.conn, err = e.file.SyscallConn()
	}
	if err != nil {
		_ = e.file.Close()
		return nil, fmt.Errorf("waiting for an epoll instance: %w", err)
	}
	k.presence.enter()
	go e.run()
	return e, nil
}

func (e *epoll) arm(fd int32, events, arming uint32) error {
	event := unix.EpollEvent{Events: events | unix.EPOLLONESHOT, Fd: fd, Pad: int32(arming)}
	err := unix.EpollCtl(e.fd, unix.EPOLL_CTL_MOD, int(fd), &event)
	if err == unix.ENOENT {
		err = unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, int(fd), &event)
	}
	return err
}

// pollable asks for the removal of what is not there: the kernel first looks
// whether the file could be.
func (e *epoll) pollable(fd int32) bool {
	return unix.EpollCtl(e.fd, unix.EPOLL_CTL_DEL, int(fd), nil) != unix.EPERM
}

// disarm may find nothing: the open file is gone.
func (e *epoll) disarm(fd int32) { _ = unix.EpollCtl(e.fd, unix.EPOLL_CTL_DEL, int(fd), nil) }

// run tells of descriptors until stop. It is the only goroutine of an idle
// kernel, and presence counts it.
func (e *epoll) run() {
	defer e.kernel.presence.leave()
	events := make([]unix.EpollEvent, epollBatch)
	// The error says that it is time to end.
	_ = e.conn.Read(func(uintptr) bool { return e.tell(events) })
	// Whoever is arming a descriptor found the kernel open: he is to end first.
	e.kernel.mu.Lock()
	defer e.kernel.mu.Unlock()
	_ = e.file.Close()
	close(e.ended)
}

// tell tells of all descriptors that are ready. The netpoller is edge-triggered:
// it calls again for what comes after the last look.
func (e *epoll) tell(events []unix.EpollEvent) (done bool) {
	for !e.kernel.presence.closed() {
		n, err := unix.EpollWait(e.fd, events, 0)
		if err != nil && err != unix.EINTR {
			panic(&os.SyscallError{Syscall: "epoll_wait", Err: err}) // whose descriptor it is was closed by somebody
		}
		if n <= 0 && err == nil {
			return false
		}
		for i := range max(n, 0) {
			e.kernel.told(events[i].Fd, events[i].Events, uint32(events[i].Pad))
		}
	}
	return true
}

// stop has run end, which does so when it next looks.
func (e *epoll) stop() {
	_ = e.file.SetReadDeadline(time.Unix(1, 0))
	<-e.ended
}
