package ring

import (
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
)

// Code is what a Request does, independent of any kernel's numbers.
type Code uint8

// The operations of a ring.
const (
	CodeNop Code = iota
	CodeOpen
	CodeClose
	CodeRead
	CodeWrite
	CodeReadV
	CodeWriteV
	CodeFsync
	CodeStat
	CodeTruncate
	CodeAllocate
	CodeAdvise
	CodeRename
	CodeUnlink
	CodeMkdir
	CodeLink
	CodeSymlink
	CodeTimeout
	CodeCancel
	CodePoll
	CodeLinkTimeout

	codeCount
)

// NoDir in place of a directory's descriptor stands for the working directory
// (AT_FDCWD). It is for absolute paths, which need no directory.
const NoDir int32 = sys.AtCWD

// StreamOffset as an offset means the file's own position. It is for streams,
// which have none: on a file with a position everybody would share that.
const StreamOffset = ^uint64(0)

// Statx is what the kernel says about a file; see statx(2).
type Statx = sys.Statx

// DescribeFD says what the kernel has cached of an open file. It never waits
// for a file system that hangs; on a network file system what it says may be
// old.
func DescribeFD(fd int32, st *Statx) error { return sys.StatxCached(int(fd), st) }

// Request is one submission in typed form. The functions of this file make
// them; a Kernel reads them. It is a value: the slot that owns the operation
// keeps it, and with it everything the kernel can see.
type Request struct {
	Code Code
	// Async forces the request onto a kernel worker from the start
	// (IOSQE_ASYNC), so that issuing it cannot block the submitter.
	Async bool
	// NoWait makes a read or write answer EAGAIN rather than wait (RWF_NOWAIT).
	NoWait bool
	// Linked makes the next request of the same batch part of this one's chain
	// (IOSQE_IO_LINK); a LinkTimeout follows. A queue that has no room for both
	// takes neither. No other Linked request may follow.
	Linked bool

	FD  int32 // file, or directory of the first path
	FD2 int32 // directory of the second path

	// Direct says that the file was opened with O_DIRECT: a system call waits
	// for the device then, whatever it is told.
	Direct bool

	// Off is the offset; for Truncate the size, for Cancel the target, for a
	// timeout the nanoseconds, for Open the RESOLVE_* bits.
	Off uint64
	// Length is that of Allocate and Advise.
	Length uint64
	// Mode is the mode of Open, Mkdir and Allocate.
	Mode uint32
	// Flags are the operation's own flags, in the kernel's encoding; for Poll
	// the events, for Advise the advice.
	Flags uint32

	Buf []byte
	Mem *Memory
}

// Memory is what the kernel reads or writes for a request besides a plain
// buffer. It lives on the heap, referred to by the Request that its slot
// keeps, until the terminal CQE.
type Memory struct {
	path, path2 []byte // NUL-terminated
	iovecs      []sys.Iovec
	statx       *sys.Statx
}

// PrepNop does nothing, and answers 0.
func PrepNop() Request { return Request{Code: CodeNop} }

// PrepOpen opens or creates a file; the result is its descriptor, which is
// always O_CLOEXEC. mode counts only where flags create something; resolve are
// RESOLVE_* bits. See openat2(2).
func PrepOpen(dirfd int32, path string, flags int, mode uint32, resolve uint64) Request {
	if flags&openCreates == 0 {
		mode = 0 // openat2 refuses a mode that open would ignore
	}
	return Request{
		Code:  CodeOpen,
		FD:    dirfd,
		Off:   resolve,
		Mode:  mode & sys.ModeMask,
		Flags: uint32(flags) | unix.O_CLOEXEC,
		Mem:   &Memory{path: cPath(path)},
	}
}

// PrepClose closes a descriptor. It cancels nothing: requests on the
// descriptor go on, and the kernel may not even have looked it up for them.
func PrepClose(fd int32) Request { return Request{Code: CodeClose, FD: fd} }

// PrepRead reads at off into buf. The result is the number of bytes read; of a
// buffer that is longer than one transfer may be (2 GiB less a page), only the
// beginning is used.
func PrepRead(fd int32, buf []byte, off uint64) Request {
	return Request{Code: CodeRead, FD: fd, Off: off, Buf: buf}
}

// PrepWrite writes buf at off. The result is the number of bytes written, with
// the same bound as that of PrepRead.
func PrepWrite(fd int32, buf []byte, off uint64) Request {
	return Request{Code: CodeWrite, FD: fd, Off: off, Buf: buf}
}

// PrepReadV reads into several buffers, one after the other; only the first
// 1024 are used. The result is the number of bytes read.
func PrepReadV(fd int32, bufs [][]byte, off uint64) Request {
	return Request{Code: CodeReadV, FD: fd, Off: off, Mem: &Memory{iovecs: iovecs(bufs)}}
}

// PrepWriteV writes from several buffers, with the same bound as PrepReadV.
func PrepWriteV(fd int32, bufs [][]byte, off uint64) Request {
	return Request{Code: CodeWriteV, FD: fd, Off: off, Mem: &Memory{iovecs: iovecs(bufs)}}
}

// PrepFsync flushes a file to its device; with dataOnly not the metadata that
// reading back does not need.
func PrepFsync(fd int32, dataOnly bool) Request {
	r := Request{Code: CodeFsync, FD: fd}
	if dataOnly {
		r.Flags = sys.FsyncDataSync
	}
	return r
}

// PrepStat asks what a file is; [Request.Statx] holds the answer after the
// terminal CQE. flags are AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH and the like.
func PrepStat(dirfd int32, path string, flags uint32) Request {
	return Request{
		Code:  CodeStat,
		FD:    dirfd,
		Flags: flags,
		Mem:   &Memory{path: cPath(path), statx: new(sys.Statx)},
	}
}

// PrepTruncate sets a file's size (Linux 6.9).
func PrepTruncate(fd int32, size int64) Request {
	return Request{Code: CodeTruncate, FD: fd, Off: uint64(size)}
}

// PrepAllocate reserves, zeroes or removes space; mode are FALLOC_FL_* bits.
func PrepAllocate(fd int32, mode uint32, off, length int64) Request {
	return Request{Code: CodeAllocate, FD: fd, Off: uint64(off), Length: uint64(length), Mode: mode}
}

// PrepAdvise says how a part of a file will be used. A length of 4 GiB or more
// needs Linux 6.10.
func PrepAdvise(fd int32, off, length int64, advice int) Request {
	return Request{Code: CodeAdvise, FD: fd, Off: uint64(off), Length: uint64(length), Flags: uint32(advice)}
}

// PrepRename moves a file to another name; flags are RENAME_* bits.
func PrepRename(oldDir int32, oldPath string, newDir int32, newPath string, flags uint32) Request {
	return Request{
		Code:  CodeRename,
		FD:    oldDir,
		FD2:   newDir,
		Flags: flags,
		Mem:   &Memory{path: cPath(oldPath), path2: cPath(newPath)},
	}
}

// PrepUnlink removes a name, of an empty directory if directory is set.
func PrepUnlink(dirfd int32, path string, directory bool) Request {
	r := Request{Code: CodeUnlink, FD: dirfd, Mem: &Memory{path: cPath(path)}}
	if directory {
		r.Flags = sys.AtRemoveDir
	}
	return r
}

// PrepMkdir makes a directory.
func PrepMkdir(dirfd int32, path string, mode uint32) Request {
	return Request{Code: CodeMkdir, FD: dirfd, Mode: mode, Mem: &Memory{path: cPath(path)}}
}

// PrepLink gives a file a further name; flags may hold AT_SYMLINK_FOLLOW.
func PrepLink(oldDir int32, oldPath string, newDir int32, newPath string, flags uint32) Request {
	return Request{
		Code:  CodeLink,
		FD:    oldDir,
		FD2:   newDir,
		Flags: flags,
		Mem:   &Memory{path: cPath(oldPath), path2: cPath(newPath)},
	}
}

// PrepSymlink makes a symbolic link at path that says target.
func PrepSymlink(target string, dirfd int32, path string) Request {
	return Request{Code: CodeSymlink, FD: dirfd, Mem: &Memory{path: cPath(target), path2: cPath(path)}}
}

// PrepTimeout completes after d, by the monotonic clock; d below zero is zero.
// Its result on expiry is -ETIME, which here is success: the kernel never
// answers 0. One that was cancelled answers -ECANCELED.
func PrepTimeout(d time.Duration) Request {
	return Request{Code: CodeTimeout, Off: uint64(max(d, 0))}
}

// PrepLinkTimeout cancels the Linked request right before it after d. Its
// result is -ETIME if it did, -ECANCELED if it was not needed, and -ENOENT or
// -EALREADY if it came too late. If the kernel took the two apart, for want of
// memory, it is -EINVAL and the other runs without a limit.
func PrepLinkTimeout(d time.Duration) Request {
	return Request{Code: CodeLinkTimeout, Off: uint64(max(d, 0))}
}

// PrepCancel asks the kernel to cancel a request. Its result says 0 for found,
// -ENOENT or -EALREADY, and none of these says that the target has ended: only
// the target's own terminal CQE does.
func PrepCancel(target UserData) Request {
	return Request{Code: CodeCancel, Off: uint64(target)}
}

// PrepPoll waits until one of the events (POLLIN and the like) is there. The
// result is the events that are.
func PrepPoll(fd int32, events uint32) Request {
	return Request{Code: CodePoll, FD: fd, Flags: events}
}

// Statx is where the answer of a Stat is, after its terminal CQE.
func (r *Request) Statx() *Statx { return r.Mem.statx }

// Paths are the request's paths, as the kernel will read them: the second of
// Rename and Link is the new name, the first of Symlink the target.
func (r *Request) Paths() (first, second string) {
	if r.Mem == nil {
		return "", ""
	}
	return goPath(r.Mem.path), goPath(r.Mem.path2)
}

// Location is the path by which the request's own directory is left, not to be
// changed; it is empty if there is none.
func (r *Request) Location() []byte {
	if r.Mem == nil {
		return nil
	}
	path := r.Mem.path
	if r.Code == CodeSymlink {
		path = r.Mem.path2
	}
	return path[:max(len(path)-1, 0)]
}

// Bufs are the buffers of a ReadV or WriteV.
func (r *Request) Bufs() [][]byte {
	bufs := make([][]byte, len(r.Mem.iovecs))
	for i, v := range r.Mem.iovecs {
		bufs[i] = v.Bytes()
	}
	return bufs
}

// Duration is that of a Timeout or LinkTimeout.
func (r *Request) Duration() time.Duration { return time.Duration(r.Off) }

// ValidPath reports whether a path can be one: the kernel's end at the first
// NUL byte, so that one with a NUL in it would name another file.
func ValidPath(path string) bool { return strings.IndexByte(path, 0) < 0 }

// cPath is a path for the kernel. One that is not valid becomes one that is
// too long, so that the answer is ENAMETOOLONG and no other file is hit.
func cPath(path string) []byte {
	if !ValidPath(path) {
		path = strings.Repeat("\uFFFD", sys.PathMax)
	}
	c := make([]byte, len(path)+1)
	copy(c, path)
	return c
}

func goPath(c []byte) string {
	if len(c) == 0 {
		return ""
	}
	return string(c[:len(c)-1])
}

func iovecs(bufs [][]byte) []sys.Iovec {
	bufs = bufs[:min(len(bufs), sys.IovecsMax)]
	vs := make([]sys.Iovec, len(bufs))
	for i, buf := range bufs {
		vs[i] = sys.MakeIovec(buf)
	}
	return vs
}
