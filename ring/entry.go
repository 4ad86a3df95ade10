package ring

import (
	"time"

	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
)

// entryMemory is what an entry of the submission queue refers to and the
// kernel reads only until it has consumed the entry (SUBMIT_STABLE, without
// which no ring is opened). The queue owns one for each of its places, so that
// timeouts, and with them deadlines, allocate nothing.
type entryMemory struct {
	time sys.Timespec
	how  sys.OpenHow
}

// statxMask is what a Stat asks for.
const statxMask = sys.StatxBasicStats | sys.StatxBirthTime | sys.StatxMountID | sys.StatxDirectIOAlign

// opcodes are the kernel's numbers of our codes.
var opcodes = [codeCount]uint8{
	CodeNop:         sys.OpNop,
	CodeOpen:        sys.OpOpenAt2,
	CodeClose:       sys.OpClose,
	CodeRead:        sys.OpRead,
	CodeWrite:       sys.OpWrite,
	CodeReadV:       sys.OpReadV,
	CodeWriteV:      sys.OpWriteV,
	CodeFsync:       sys.OpFsync,
	CodeStat:        sys.OpStatx,
	CodeTruncate:    sys.OpFtruncate,
	CodeAllocate:    sys.OpFallocate,
	CodeAdvise:      sys.OpFadvise,
	CodeRename:      sys.OpRenameAt,
	CodeUnlink:      sys.OpUnlinkAt,
	CodeMkdir:       sys.OpMkdirAt,
	CodeLink:        sys.OpLinkAt,
	CodeSymlink:     sys.OpSymlinkAt,
	CodeTimeout:     sys.OpTimeout,
	CodeCancel:      sys.OpAsyncCancel,
	CodePoll:        sys.OpPollAdd,
	CodeLinkTimeout: sys.OpLinkTimeout,
}

// encode writes a request into an entry. All of the entry is written: the
// kernel refuses fields that an operation does not use and that are not zero.
//
// SAFETY: what the entry refers to is on the heap: the buffer and what is
// behind Mem, since pushing lets them escape, and the entryMemory, which is the
// queue's.
func encode(sqe *sys.SQE, memory *entryMemory, name UserData, r *Request) {
	if r.Code >= codeCount {
		panic(&InvariantError{What: "request of no known code"})
	}
	*sqe = sys.SQE{Opcode: opcodes[r.Code], FD: r.FD, UserData: uint64(name)}
	if r.Async {
		sqe.Flags |= sys.SQEAsync
	}
	if r.Linked {
		sqe.Flags |= sys.SQEIOLink
	}
	switch r.Code {
	case CodeRead, CodeWrite, CodeReadV, CodeWriteV:
		encodeTransfer(sqe, r)
	case CodeTimeout, CodeLinkTimeout:
		encodeTime(sqe, memory, r)
	case CodeOpen:
		encodeOpen(sqe, memory, r)
	case CodeStat, CodeUnlink, CodeMkdir:
		encodePath(sqe, r)
	case CodeRename, CodeLink, CodeSymlink:
		encodePaths(sqe, r)
	default:
		encodePlain(sqe, r)
	}
}

func encodeTransfer(sqe *sys.SQE, r *Request) {
	sqe.Off = r.Off
	if r.NoWait {
		sqe.OpFlags = sys.ReadWriteNoWait
	}
	if r.Code == CodeRead || r.Code == CodeWrite {
		sqe.SetBuffer(r.Buf)
	} else {
		sqe.SetIovecs(r.Mem.iovecs)
	}
}

// encodeTime sets ETIME_SUCCESS on a timeout (Linux 5.16): its expiry then does
// not break a chain. The result is -ETIME all the same.
func encodeTime(sqe *sys.SQE, memory *entryMemory, r *Request) {
	memory.time.Sec = int64(r.Off / uint64(time.Second))
	memory.time.Nsec = int64(r.Off % uint64(time.Second))
	sqe.SetTime(&memory.time)
	if r.Code == CodeTimeout {
		sqe.OpFlags = sys.TimeoutETimeOK
	}
}

func encodeOpen(sqe *sys.SQE, memory *entryMemory, r *Request) {
	memory.how.Flags = uint64(r.Flags)
	memory.how.Mode = uint64(r.Mode)
	memory.how.Resolve = r.Off
	sqe.SetPath(r.Mem.path)
	sqe.SetHow(&memory.how)
}

func encodePath(sqe *sys.SQE, r *Request) {
	sqe.SetPath(r.Mem.path)
	sqe.OpFlags = r.Flags
	switch r.Code {
	case CodeStat:
		sqe.SetStatx(r.Mem.statx)
		sqe.Len = statxMask
	case CodeMkdir:
		sqe.Len = r.Mode
	}
}

func encodePaths(sqe *sys.SQE, r *Request) {
	sqe.SetPath(r.Mem.path)
	sqe.SetPath2(r.Mem.path2)
	sqe.OpFlags = r.Flags
	if r.Code != CodeSymlink {
		sqe.Len = uint32(r.FD2)
	}
}

func encodePlain(sqe *sys.SQE, r *Request) {
	switch r.Code {
	case CodeTruncate:
		sqe.Off = r.Off
	case CodeAllocate:
		sqe.Off = r.Off
		sqe.Addr = r.Length
		sqe.Len = r.Mode
	case CodeAdvise:
		sqe.Off = r.Off
		sqe.OpFlags = r.Flags
		encodeAdviseLength(sqe, r.Length)
	case CodeCancel:
		sqe.Addr = r.Off
	case CodeFsync, CodePoll:
		// INVARIANT: little-endian, as amd64 and arm64 are; the kernel wants
		// the halves of poll32_events swapped on others.
		sqe.OpFlags = r.Flags
	}
}

// encodeAdviseLength uses the 64-bit length, which older kernels refuse, only
// where the 32-bit one does not do.
func encodeAdviseLength(sqe *sys.SQE, length uint64) {
	if length <= 1<<32-1 {
		sqe.Len = uint32(length)
	} else {
		sqe.Addr = length
	}
}
