package sys

import "syscall"

// Opcodes (IORING_OP_*).
const (
	OpNop         = 0
	OpReadV       = 1
	OpWriteV      = 2
	OpFsync       = 3
	OpPollAdd     = 6
	OpTimeout     = 11
	OpAsyncCancel = 14
	OpLinkTimeout = 15
	OpFallocate   = 17
	OpClose       = 19
	OpStatx       = 21
	OpRead        = 22
	OpWrite       = 23
	OpFadvise     = 24
	OpOpenAt2     = 28
	OpRenameAt    = 35
	OpUnlinkAt    = 36
	OpMkdirAt     = 37
	OpSymlinkAt   = 38
	OpLinkAt      = 39
	OpFtruncate   = 55
)

// Flags of io_uring_setup (IORING_SETUP_*).
const (
	SetupCQSize      = 1 << 3
	SetupClamp       = 1 << 4
	SetupSubmitAll   = 1 << 7
	SetupCoopTaskrun = 1 << 8
	SetupTaskrunFlag = 1 << 9
	SetupNoSQArray   = 1 << 16
)

// Features that io_uring_setup reports (IORING_FEAT_*).
const (
	FeatureSingleMmap   = 1 << 0
	FeatureNoDrop       = 1 << 1
	FeatureSubmitStable = 1 << 2
	FeatureExtArg       = 1 << 8
)

// Flags of an SQE (IOSQE_*).
const (
	SQEIOLink = 1 << 2
	SQEAsync  = 1 << 4
)

// Flags in the submission queue, written by the kernel (IORING_SQ_*).
const (
	SQNeedWakeup = 1 << 0
	SQCQOverflow = 1 << 1
	SQTaskrun    = 1 << 2
)

// CQEventfdDisabled is a flag in the completion queue, written by us
// (IORING_CQ_EVENTFD_DISABLED).
const CQEventfdDisabled = 1 << 0

// CQEMore is the flag of a CQE that says that more of the same request follow
// (IORING_CQE_F_MORE).
const CQEMore = 1 << 1

// EnterGetEvents is the flag of io_uring_enter that has the kernel run its
// task work and flush its overflow list (IORING_ENTER_GETEVENTS).
const EnterGetEvents = 1 << 0

// Opcodes of io_uring_register (IORING_REGISTER_*).
const (
	RegisterFiles          = 2
	RegisterEventfd        = 4
	RegisterProbe          = 8
	RegisterIOWQMaxWorkers = 19
)

// ProbeOpSupported marks an operation that the kernel has
// (IO_URING_OP_SUPPORTED).
const ProbeOpSupported = 1 << 0

// Offsets for mmap of a ring (IORING_OFF_*). The first holds both queues.
const (
	OffsetRings int64 = 0
	OffsetSQEs  int64 = 0x10000000
)

// Flags of single operations.
const (
	FsyncDataSync      = 1 << 0 // IORING_FSYNC_DATASYNC
	TimeoutETimeOK     = 1 << 5 // IORING_TIMEOUT_ETIME_SUCCESS
	ReadWriteNoWait    = 8      // RWF_NOWAIT
	AtCWD              = -100   // AT_FDCWD
	AtRemoveDir        = 0x200  // AT_REMOVEDIR
	StatxBasicStats    = 0x7ff
	StatxBirthTime     = 0x800
	StatxMountID       = 0x1000
	StatxDirectIOAlign = 0x2000
)

// Bits of open(2) that have the same value on amd64 and arm64, whatever system
// this is compiled for.
const (
	OpenTmpfile = 0x400000 // __O_TMPFILE, without O_DIRECTORY
	ModeMask    = 0o7777   // S_IALLUGO
)

// Limits of the kernel.
const (
	TransferMax = 0x7ffff000 // MAX_RW_COUNT with pages of 4 KiB
	IovecsMax   = 1024       // UIO_MAXIOV
	PathMax     = 4096       // PATH_MAX, with the terminating NUL
)

// EBADR is what io_uring_enter answers once when it has lost a completion.
const EBADR = syscall.Errno(53)

// EINTR is what the kernel's own codes for an interrupted call, which no user
// is meant to see, become for one: ERESTARTSYS to ERESTART_RESTARTBLOCK.
const (
	EINTR        = syscall.Errno(4)
	RestartFirst = 512
	RestartLast  = 516
)
