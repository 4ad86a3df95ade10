package ring

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// Call is a system call that io_uring has no opcode for, or that nobody should
// wait for, and that therefore runs on a worker of a [Lane].
type Call uint8

// The calls of a blocking lane.
const (
	// CallReadDir reads a directory: FD, Limit → Entries. See getdents64(2).
	CallReadDir Call = iota
	// CallReadLink reads a symbolic link: FD, Path → Target. An empty Path
	// speaks of FD itself, a link opened with O_PATH and O_NOFOLLOW. See
	// readlinkat(2).
	CallReadLink
	// CallChmod sets permission bits: FD, Mode. See fchmod(2).
	CallChmod
	// CallChown sets owner and group: FD, UID, GID. See fchown(2).
	CallChown
	// CallSetTimes sets times: FD, Path, Flags, Times. An empty Path speaks of
	// FD itself, whatever it was opened for. See utimensat(2).
	CallSetTimes
	// CallCloseFD closes FD, a descriptor that nobody wants. It is never
	// repeated: after close(2) the descriptor is gone whatever the result.
	CallCloseFD

	callCount
)

// String is the call's name in logs.
func (c Call) String() string {
	names := [callCount]string{"readdir", "readlink", "chmod", "chown", "settimes", "close"}
	if c < callCount {
		return names[c]
	}
	return fmt.Sprintf("call %d", uint8(c))
}

// Job is one call for a [Lane]: what to do, and once it is done, the result.
//
// From a Submit that returns true the Job belongs to the lane, and nobody else
// may read or write it, until the lane gives it back: by calling done, by a
// Withdraw that returns true, or out of Close. It may then be used again.
//
// The call is made with the credentials of the process, on whatever thread the
// worker happens to have, never on the submitter's.
type Job struct {
	// UserData names the job for Withdraw. It ought to be unique among the jobs
	// that wait; nothing but Withdraw cares.
	UserData UserData
	Call     Call

	// FD is the file, or the directory that Path starts from (NoDir when
	// Path is absolute). It stays open until the job is given back: the caller
	// sees to that.
	FD   int32
	Path string
	// Flags are 0 or unix.AT_SYMLINK_NOFOLLOW, for CallSetTimes with a Path.
	Flags int
	// Mode is what chmod(2) takes: permission bits, S_ISUID, S_ISGID, S_ISVTX.
	Mode uint32
	// UID and GID are for CallChown; -1 leaves one as it is.
	UID, GID int
	// Times are those of access and of modification; see [FileTime].
	Times [2]unix.Timespec
	// Limit is after how many entries CallReadDir stops; 0 reads to the end.
	Limit int

	// Res is the result as in a CQE: a negated errno, or the number of
	// Entries, the length of Target, and else 0.
	Res int32
	// Entries were read by CallReadDir, in the file system's order and without
	// "." and "..". They may accompany an error that came after them. They are
	// the caller's to keep.
	Entries []DirEntry
	// Target is what the symbolic link says.
	Target string

	// Group, if not nil, is those that may hang when this one does.
	Group *Group

	// Engine and Context are the submitter's. The lane leaves them alone.
	Engine, Context any

	// The rest is the lane's, under its mutex: the job's place among those that
	// wait. Links in the job itself, rather than in a map and a list beside it,
	// are why Submit never allocates.
	waiting, held      bool
	arrival            uint64
	next, prev         *Job // order of arrival
	hashNext, hashPrev *Job // same bucket
}

// DirEntry is one entry of a directory.
type DirEntry struct {
	Name string
	// Type is one of unix.DT_*; DT_UNKNOWN where the file system does not say.
	Type  uint8
	Inode uint64
}

// FileTime is t as Job.Times wants it. The zero time leaves a file's as it is
// (UTIME_OMIT).
func FileTime(t time.Time) unix.Timespec {
	if t.IsZero() {
		return unix.Timespec{Nsec: utimeOmit}
	}
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		// Only where seconds have 32 bits, and the time does not fit. The call
		// refuses such nanoseconds with EINVAL.
		return unix.Timespec{Nsec: -1}
	}
	return ts
}

// run makes the call and sets the result. A call interrupted by a signal is
// repeated.
func (j *Job) run(s *scratch) {
	j.Res, j.Entries, j.Target = 0, nil, ""
	switch j.Call {
	case CallReadDir:
		err := j.readDir(s)
		j.Res = jobResult(len(j.Entries), err)
	case CallReadLink:
		target, err := readTarget(s, func(buf []byte) (int, error) {
			return unix.Readlinkat(int(j.FD), j.Path, buf)
		})
		j.Target, j.Res = target, jobResult(len(target), err)
	case CallChmod:
		j.Res = jobResult(0, repeat(func() error { return unix.Fchmod(int(j.FD), j.Mode) }))
	case CallChown:
		j.Res = jobResult(0, j.chown())
	case CallSetTimes:
		j.Res = jobResult(0, j.setTimes())
	case CallCloseFD:
		j.Res = jobResult(0, unix.Close(int(j.FD)))
	default:
		j.Res = jobResult(0, unix.ENOSYS)
	}
}

// chown refuses what does not fit the kernel's 32 bits: cut off, 1<<32 would
// be root.
func (j *Job) chown() error {
	for _, id := range [...]int{j.UID, j.GID} {
		// -1 becomes 0 and is allowed; the 32-bit form of -1 is not.
		if uint64(int64(id)+1) > math.MaxUint32 {
			return unix.EINVAL
		}
	}
	return repeat(func() error { return unix.Fchown(int(j.FD), j.UID, j.GID) })
}

func (j *Job) setTimes() error {
	if j.Path == "" {
		return j.setTimesFD()
	}
	return repeat(func() error {
		return unix.UtimesNanoAt(int(j.FD), j.Path, j.Times[:], j.Flags)
	})
}

const (
	readLinkMin = 256
	readLinkMax = 64 << 10
)

// readTarget calls read with ever larger buffers until the target fits:
// readlink(2) cuts off silently, so a full buffer may not hold all of it.
func readTarget(s *scratch, read func([]byte) (int, error)) (string, error) {
	for size := readLinkMin; size <= readLinkMax; size *= 2 {
		buf := s.bytes(size)
		n, err := repeatN(func() (int, error) { return read(buf) })
		if err != nil {
			return "", err
		}
		if n < len(buf) {
			return string(buf[:n]), nil
		}
	}
	return "", unix.ENAMETOOLONG
}

// scratch is memory that one worker uses for one call after another.
type scratch struct{ buf []byte }

// bytes gives n bytes with anything in them, valid until the next call.
func (s *scratch) bytes(n int) []byte {
	if len(s.buf) < n {
		s.buf = make([]byte, n)
	}
	return s.buf[:n]
}

// repeat makes a call until no signal interrupts it. The Go runtime interrupts
// threads as it pleases, and not every file system restarts by itself.
func repeat(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func repeatN(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}

// jobResult is n or the negated errno. The wrappers of x/sys return nothing
// else; EIO stands for what does not belong to any errno.
func jobResult(n int, err error) int32 {
	if err == nil {
		return int32(n)
	}
	if errno, ok := err.(unix.Errno); ok && errno != 0 {
		return -int32(errno)
	}
	return -int32(unix.EIO)
}
