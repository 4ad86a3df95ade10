package portable

import (
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// A transfer on a stream is tried without waiting; if nothing can be moved it
// waits for readiness, and is tried again. The descriptor's own O_NONBLOCK is
// not touched: it belongs to everybody who shares the open file.
//
// To ask a file whether it is ready is a call to its driver or its server, and
// may hang. So only what is known not to hang is asked on a thread that others
// need, or given to the readiness, which all share and which Go's own netpoller
// looks into. Everything else is asked by a worker, and waited for by it.

// route is how a transfer can be tried.
type route uint8

const (
	// routeNone: not at all. It is a call like others.
	routeNone route = iota
	// routeUnknown: what it is about has to be looked at first.
	routeUnknown
	// routeNoWait: the call itself can be told not to wait.
	routeNoWait
	// routeSocket: it is a socket, which has calls of its own for that.
	routeSocket
	// routeReady: by asking for readiness and then making a plain call. If
	// somebody else is faster, that call waits: so it is for a worker.
	routeReady
	// routeFile: there is nothing to wait for; a worker makes a plain call.
	routeFile
)

// verdict is what an attempt came to.
type verdict uint8

const (
	ended  verdict = iota // there is a result
	waits                 // it is to be tried again when events are there
	blocks                // only a worker can go on
	goes                  // it is ready
)

const (
	eventsAlways = unix.POLLERR | unix.POLLHUP | unix.POLLNVAL
	modeType     = unix.S_IFMT
)

// run performs an operation on a worker.
func (k *Kernel) run(o *operation) (int32, verdict) {
	if o.route != routeNone {
		return k.runStream(o)
	}
	res := k.calls.perform(&o.request)
	if res == -int32(unix.ESPIPE) && streams(&o.request) {
		o.request.Off, o.route = ring.StreamOffset, k.calls.first
		return k.runStream(o)
	}
	return res, ended
}

// streams reports whether a transfer that was refused for its offset is one on
// a stream, which has no use for an offset. A socket minds all but zero.
func streams(r *ring.Request) bool {
	if !transfers(r.Code) || r.Off == ring.StreamOffset {
		return false
	}
	mode, err := fileMode(r.FD)
	return err == nil && (r.Off == 0 || mode&modeType != unix.S_IFSOCK)
}

func transfers(code ring.Code) bool {
	switch code {
	case ring.CodeRead, ring.CodeWrite, ring.CodeReadV, ring.CodeWriteV:
		return true
	default:
		return false
	}
}

func writes(code ring.Code) bool { return code == ring.CodeWrite || code == ring.CodeWriteV }

// attempt tries a transfer, or a poll. If it may not block it never waits.
func (o *operation) attempt(mayBlock bool) (int32, verdict) {
	r := &o.request
	if r.Code == ring.CodePoll {
		return o.attemptPoll(mayBlock)
	}
	o.events = unix.POLLIN
	if writes(r.Code) {
		o.events = unix.POLLOUT
	}
	for {
		switch o.route {
		case routeUnknown:
			if err := o.classify(); err != nil {
				return result(0, err), ended
			}
		case routeNoWait:
			switch res := transferNoWait(r); res {
			case -int32(unix.EAGAIN):
				if o.manner != mannerUnknown {
					return 0, waits
				}
				if err := o.classifyWait(); err != nil {
					return result(0, err), ended
				}
			case -int32(unix.EOPNOTSUPP):
				o.route = routeUnknown
			default:
				return res, ended
			}
		case routeSocket:
			if sendsWait && writes(r.Code) {
				if res, v := o.askFirst(mayBlock); v != goes {
					return res, v
				}
			}
			res := transferSocket(r)
			if res == -int32(unix.EAGAIN) {
				return 0, waits
			}
			return res, ended
		case routeReady:
			return o.attemptReady(mayBlock)
		default:
			if !mayBlock {
				return 0, blocks
			}
			return transfer(r), ended
		}
	}
}

// classify decides how a transfer can be tried, and how it waits, by what it is
// about.
func (o *operation) classify() error {
	mode, err := fileMode(o.request.FD)
	if err != nil {
		return err
	}
	o.fifo = false
	switch mode & modeType {
	case unix.S_IFSOCK:
		o.route = routeSocket
	case unix.S_IFREG, unix.S_IFDIR, unix.S_IFBLK:
		o.route = routeFile
	case unix.S_IFIFO:
		o.route, o.fifo = routeReady, true
	default: // terminals and other devices, and what has no name
		o.route = routeReady
	}
	o.manner = mannerOf(o.request.FD, mode)
	return nil
}

// classifyWait is the same for a transfer that can be told not to wait, and has
// to. That goes on being tried so where it waits with the others.
func (o *operation) classifyWait() error {
	err := o.classify()
	if o.manner == mannerWatch {
		o.route = routeNoWait
	}
	return err
}

// asksFirst reports whether a transfer has to ask whether it would wait. What is
// non-blocking says so by itself, and better: a FIFO that nobody writes to is not
// ready before there was a writer, and a read of it finds its end all the same.
func (o *operation) asksFirst() (bool, error) {
	flags, err := unix.FcntlInt(uintptr(o.request.FD), unix.F_GETFL, 0)
	return flags&unix.O_NONBLOCK == 0, err
}

// attemptReady makes the plain call once the descriptor is ready for it. What
// cannot be asked whether it is, is taken at its word.
func (o *operation) attemptReady(mayBlock bool) (int32, verdict) {
	r := &o.request
	switch asks, err := o.asksFirst(); {
	case err != nil:
		return result(0, err), ended
	case !mayBlock && (o.manner != mannerWatch || !asks):
		return 0, blocks // also if it would not wait now: somebody may clear the flag
	case asks:
		if res, v := o.askFirst(mayBlock); v != goes {
			return res, v
		}
	}
	res := int32(0)
	if o.fifo && writes(r.Code) {
		res = writeFIFO(r)
	} else {
		res = transfer(r)
	}
	if res == -int32(unix.EAGAIN) { // it is non-blocking, and somebody was faster
		return 0, waits
	}
	return res, ended
}

// askFirst asks whether a call that may wait would not, and has it made by a
// worker then.
func (o *operation) askFirst(mayBlock bool) (int32, verdict) {
	ready, err := pollNow(o.request.FD, o.events)
	switch {
	case err != nil:
		return result(0, err), ended
	case ready == 0:
		return 0, waits
	case !mayBlock:
		return 0, blocks
	}
	return 0, goes
}

// writeFIFO writes in portions for which there is room for sure, as long as
// there is: as much as a write that does not wait would, or somewhat less. What
// fits into one portion, whatever buffers it is in, is written at once: nothing
// of other writers comes in between.
func writeFIFO(r *ring.Request) int32 {
	bufs := buffers(r)
	total := int32(0)
	for {
		part := gather(bufs, pipeBuf)
		res := result(repeatN(func() (int, error) { return writeV(int(r.FD), part, int64(r.Off)) }))
		switch {
		case res < 0 && total == 0:
			return res
		case res <= 0:
			return total
		}
		total += res
		if bufs = skip(bufs, int(res)); len(bufs) == 0 {
			return total
		}
		if ready, err := pollNow(r.FD, unix.POLLOUT); err != nil || ready != unix.POLLOUT {
			return total
		}
	}
}

// buffers are those of a transfer, whether it has one or several.
func buffers(r *ring.Request) [][]byte {
	if r.Code == ring.CodeRead || r.Code == ring.CodeWrite {
		return [][]byte{limited(r.Buf)}
	}
	return r.Bufs()
}

// empty reports whether there is nothing to transfer.
func empty(r *ring.Request) bool {
	if r.Code == ring.CodeRead || r.Code == ring.CodeWrite {
		return len(r.Buf) == 0
	}
	return portion(r.Bufs(), 1) == nil
}

// limited is as much of a buffer as one transfer may have.
func limited(buf []byte) []byte { return buf[:min(len(buf), transferMax)] }

// transferMax is the most that one call moves: 2 GiB less a page of Linux.
const transferMax = 0x7ffff000

// portion is up to n bytes from the start of the first buffer that has any.
func portion(bufs [][]byte, n int) []byte {
	for _, buf := range bufs {
		if len(buf) > 0 {
			return buf[:min(len(buf), n)]
		}
	}
	return nil
}

// gather is up to n bytes from the start of all buffers, without those that are
// empty.
func gather(bufs [][]byte, n int) (part [][]byte) {
	for _, buf := range bufs {
		if buf = buf[:min(len(buf), n)]; len(buf) > 0 {
			part = append(part, buf)
			n -= len(buf)
		}
	}
	return part
}

// skip drops n bytes from the start, and buffers that are empty then.
func skip(bufs [][]byte, n int) [][]byte {
	rest := append([][]byte(nil), bufs...)
	for len(rest) > 0 && n >= len(rest[0]) {
		n -= len(rest[0])
		rest = rest[1:]
	}
	if len(rest) > 0 {
		rest[0] = rest[0][n:]
	}
	return rest
}

// attemptPoll asks whether the events are there. A poll is told of the other
// side's end without asking, as io_uring tells it.
func (o *operation) attemptPoll(mayBlock bool) (int32, verdict) {
	r := &o.request
	// poll knows sixteen bits, and the others mean something else to epoll.
	o.events = r.Flags&0xffff | eventPeerClosed
	if o.manner == mannerUnknown {
		mode, err := fileMode(r.FD)
		if err != nil {
			return result(0, err), ended
		}
		o.manner = mannerOf(r.FD, mode)
	}
	if !mayBlock && o.manner != mannerWatch {
		return 0, blocks
	}
	ready, err := pollNow(r.FD, o.events)
	switch {
	case err != nil:
		return result(0, err), ended
	case ready == unix.POLLNVAL: // open, but not to be polled
		return -int32(unix.EINVAL), ended
	case ready == 0:
		return 0, waits
	}
	return int32(ready), ended
}

// pollNow asks which events are there, without waiting. EBADF is for a
// descriptor that is not open; one that cannot be polled gives POLLNVAL.
func pollNow(fd int32, events uint32) (uint32, error) {
	if fd < 0 {
		return 0, unix.EBADF // poll would skip it
	}
	fds := [1]unix.PollFd{{Fd: fd, Events: int16(events)}}
	for {
		_, err := unix.Poll(fds[:], 0)
		if err == unix.EINTR {
			continue
		}
		if err == nil && fds[0].Revents&unix.POLLNVAL != 0 {
			err = pollRefused(fd)
		}
		return uint32(uint16(fds[0].Revents)), err
	}
}
