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
	e := &epoll{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), kernel: k}
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
	if e.gone(err) {
		e.kernel.lose("epoll_ctl", err)
		return nil // it waits in vain
	}
	return err
}

// gone reports whether an error says that the instance's own descriptor was
// closed by somebody, or is of another file now.
func (e *epoll) gone(err error) bool {
	if err == unix.EBADF {
		_, err := unix.FcntlInt(uintptr(e.fd), unix.F_GETFD, 0)
		return err != nil
	}
	return err == unix.EINVAL
}

// pollable asks for the removal of what is not there: the kernel first looks
// whether the file could be.
func (e *epoll) pollable(fd int32) bool {
	return unix.EpollCtl(e.fd, unix.EPOLL_CTL_DEL, int(fd), nil) != unix.EPERM
}

// disarm may find nothing: the open file is gone.
func (e *epoll) disarm(fd int32) { _ = unix.EpollCtl(e.fd, unix.EPOLL_CTL_DEL, int(fd), nil) }

// run is the only goroutine of an idle kernel. The netpoller is edge-triggered:
// who waits for it looks first.
func (e *epoll) run() {
	defer e.kernel.presence.leave()
	events := make([]unix.EpollEvent, epollBatch)
	var n int
	var err error
	wait := func(uintptr) bool {
		n, err = repeatN(func() (int, error) { return unix.EpollWait(e.fd, events, 0) })
		return n != 0
	}
	for e.kernel.tryDue() {
		if failed := e.conn.Read(wait); failed != nil {
			err = failed
		}
		if err != nil { // it is closed, by us or by somebody
			e.kernel.lose("epoll_wait", err)
			return
		}
		for i := range n {
			e.kernel.told(events[i].Fd, events[i].Events, uint32(events[i].Pad))
		}
	}
}

// stop has whoever is in run leave. Nobody is arming a descriptor: he would have
// found the kernel open.
func (e *epoll) stop() { _ = e.file.Close() }
