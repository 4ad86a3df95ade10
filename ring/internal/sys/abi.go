package sys

import (
	"structs"
	"unsafe"
)

// SQE is struct io_uring_sqe: one submission.
type SQE struct {
	_           structs.HostLayout
	Opcode      uint8
	Flags       uint8
	IOPrio      uint16
	FD          int32
	Off         uint64 // also addr2
	Addr        uint64
	Len         uint32
	OpFlags     uint32 // rw_flags, open_flags, statx_flags, poll32_events, ...
	UserData    uint64
	BufIndex    uint16
	Personality uint16
	FileIndex   uint32 // also splice_fd_in
	Addr3       uint64
	_           uint64
}

// CQE is struct io_uring_cqe: one completion.
type CQE struct {
	_        structs.HostLayout
	UserData uint64
	Res      int32
	Flags    uint32
}

// SQOffsets is struct io_sqring_offsets: where in the mapping the submission
// queue's words are.
type SQOffsets struct {
	_           structs.HostLayout
	Head        uint32
	Tail        uint32
	RingMask    uint32
	RingEntries uint32
	Flags       uint32
	Dropped     uint32
	Array       uint32
	_           uint32
	_           uint64
}

// CQOffsets is struct io_cqring_offsets.
type CQOffsets struct {
	_           structs.HostLayout
	Head        uint32
	Tail        uint32
	RingMask    uint32
	RingEntries uint32
	Overflow    uint32
	CQEs        uint32
	Flags       uint32
	_           uint32
	_           uint64
}

// Params is struct io_uring_params: what is asked of io_uring_setup, and what
// it answers.
type Params struct {
	_            structs.HostLayout
	SQEntries    uint32
	CQEntries    uint32
	Flags        uint32
	SQThreadCPU  uint32
	SQThreadIdle uint32
	Features     uint32
	WQFD         uint32
	_            [3]uint32
	SQOff        SQOffsets
	CQOff        CQOffsets
}

// ProbeOp is struct io_uring_probe_op.
type ProbeOp struct {
	_     structs.HostLayout
	Op    uint8
	_     uint8
	Flags uint16
	_     uint32
}

// ProbeOps is how many operations a Probe has room for: all that an opcode can
// name.
const ProbeOps = 256

// Probe is struct io_uring_probe with its array.
type Probe struct {
	_      structs.HostLayout
	LastOp uint8
	OpsLen uint8
	_      uint16
	_      [3]uint32
	Ops    [ProbeOps]ProbeOp
}

// OpenHow is struct open_how of openat2(2).
type OpenHow struct {
	_       structs.HostLayout
	Flags   uint64
	Mode    uint64
	Resolve uint64
}

// Timespec is struct __kernel_timespec, which is the same on all platforms.
type Timespec struct {
	_    structs.HostLayout
	Sec  int64
	Nsec int64
}

// Iovec is struct iovec of a 64-bit platform. Its Base keeps the buffer alive.
type Iovec struct {
	_    structs.HostLayout
	Base *byte
	Len  uint64
}

// StatxTime is struct statx_timestamp.
type StatxTime struct {
	_    structs.HostLayout
	Sec  int64
	Nsec uint32
	_    int32
}

// Statx is struct statx, up to what Linux 6.16 fills in. Which fields hold
// something, Mask says.
type Statx struct {
	_                     structs.HostLayout
	Mask                  uint32
	BlockSize             uint32
	Attributes            uint64
	Links                 uint32
	UID                   uint32
	GID                   uint32
	Mode                  uint16
	_                     uint16
	Inode                 uint64
	Size                  uint64
	Blocks                uint64
	AttributesMask        uint64
	Accessed              StatxTime
	Born                  StatxTime
	Changed               StatxTime
	Modified              StatxTime
	RDeviceMajor          uint32
	RDeviceMinor          uint32
	DeviceMajor           uint32
	DeviceMinor           uint32
	MountID               uint64
	DirectMemoryAlign     uint32
	DirectOffsetAlign     uint32
	SubvolumeID           uint64
	AtomicWriteUnitMin    uint32
	AtomicWriteUnitMax    uint32
	AtomicWriteSegments   uint32
	DirectReadOffsetAlign uint32
	AtomicWriteUnitOpt    uint32
	_                     uint32
	_                     [8]uint64
}

// The compiler checks sizes and the offsets of what we fill or read. A test
// compares the same, and the constants, with the kernel's header.
var (
	_ [64]byte   = [unsafe.Sizeof(SQE{})]byte{}
	_ [16]byte   = [unsafe.Sizeof(CQE{})]byte{}
	_ [40]byte   = [unsafe.Sizeof(SQOffsets{})]byte{}
	_ [40]byte   = [unsafe.Sizeof(CQOffsets{})]byte{}
	_ [120]byte  = [unsafe.Sizeof(Params{})]byte{}
	_ [8]byte    = [unsafe.Sizeof(ProbeOp{})]byte{}
	_ [2064]byte = [unsafe.Sizeof(Probe{})]byte{}
	_ [24]byte   = [unsafe.Sizeof(OpenHow{})]byte{}
	_ [16]byte   = [unsafe.Sizeof(Timespec{})]byte{}
	_ [16]byte   = [unsafe.Sizeof(Iovec{})]byte{}
	_ [16]byte   = [unsafe.Sizeof(StatxTime{})]byte{}
	_ [256]byte  = [unsafe.Sizeof(Statx{})]byte{}

	_ [4]byte  = [unsafe.Offsetof(SQE{}.FD)]byte{}
	_ [8]byte  = [unsafe.Offsetof(SQE{}.Off)]byte{}
	_ [16]byte = [unsafe.Offsetof(SQE{}.Addr)]byte{}
	_ [24]byte = [unsafe.Offsetof(SQE{}.Len)]byte{}
	_ [28]byte = [unsafe.Offsetof(SQE{}.OpFlags)]byte{}
	_ [32]byte = [unsafe.Offsetof(SQE{}.UserData)]byte{}
	_ [40]byte = [unsafe.Offsetof(SQE{}.BufIndex)]byte{}
	_ [44]byte = [unsafe.Offsetof(SQE{}.FileIndex)]byte{}
	_ [48]byte = [unsafe.Offsetof(SQE{}.Addr3)]byte{}
	_ [8]byte  = [unsafe.Offsetof(CQE{}.Res)]byte{}
	_ [12]byte = [unsafe.Offsetof(CQE{}.Flags)]byte{}
	_ [40]byte = [unsafe.Offsetof(Params{}.SQOff)]byte{}
	_ [80]byte = [unsafe.Offsetof(Params{}.CQOff)]byte{}
	_ [16]byte = [unsafe.Offsetof(Probe{}.Ops)]byte{}
)

// Sizes of what lies in mappings.
const (
	SQESize  = int(unsafe.Sizeof(SQE{}))
	CQESize  = int(unsafe.Sizeof(CQE{}))
	WordSize = 4
)
