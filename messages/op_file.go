package messages

import (
	"io/fs"
	"os"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Open opens or creates a file and gives a handle to it. See openat2(2).
type Open struct {
	// Dir is the directory that a relative Path starts from. An absolute Path
	// needs none; a relative one without it is refused, since the process's
	// working directory means nothing to an actor.
	Dir  Handle
	Path string

	// Flags are those of open(2): os.O_* and unix.O_*. O_CLOEXEC is implied.
	Flags int
	// Mode holds the permission bits of a file that is created, before the
	// process's umask.
	Mode fs.FileMode
	// Resolve are the RESOLVE_* bits of openat2(2), for instance
	// unix.RESOLVE_BENEATH.
	Resolve uint64
	// Rights narrows what the handle may be used for; zero keeps all that
	// Flags imply.
	Rights Rights
	// Stat has the completion bring what the file is, as a Stat of the handle
	// would and without its cost; see [Open.Attributes]. On a network file
	// system it is what is cached here.
	Stat bool
}

// Adopt gives a handle to a file that the program opened by other means. The
// descriptor is duplicated: File stays the caller's, to close when it likes.
type Adopt struct {
	File *os.File
	// Rights narrows what the handle may be used for; zero keeps all that the
	// descriptor's access mode implies.
	Rights Rights
}

// Give makes another actor the owner of a handle: its death will close it,
// and the giver's no longer does. Whoever holds the handle may give it away.
type Give struct {
	Handle Handle
	To     *actor.PID
}

// Close gives up a handle. The handle is refused from then on; the descriptor
// is closed, and the Close answered, once no operation is in flight on it. A
// Close cannot be cancelled.
type Close struct {
	Handle Handle
}

// Read reads at Offset into Buf. The result is the part of Buf that was
// filled; it is empty at the end of the file, and may be short. On a stream (a
// pipe, a socket, a terminal) Offset must be 0, and reads are performed one at
// a time in order of arrival. See pread(2).
//
// Buf is the subsystem's until the terminal answer.
type Read struct {
	Handle Handle
	Buf    []byte
	Offset int64
}

// Write writes Buf at Offset. The result is the number of bytes written, which
// may be short. On a stream, or a file opened with O_APPEND, Offset must be 0,
// and writes are performed one at a time in order of arrival. See pwrite(2).
//
// Buf is the subsystem's until the terminal answer.
type Write struct {
	Handle Handle
	Buf    []byte
	Offset int64
}

// ReadV is Read into several buffers, filled one after the other. The result
// is the number of bytes read. See preadv(2).
type ReadV struct {
	Handle Handle
	Bufs   [][]byte
	Offset int64
}

// WriteV is Write from several buffers. See pwritev(2).
type WriteV struct {
	Handle Handle
	Bufs   [][]byte
	Offset int64
}

// Fsync flushes a file's data and metadata to its device. An error means that
// earlier writes may be lost, whatever a later Fsync says. See fsync(2).
type Fsync struct{ Handle Handle }

// Fdatasync is Fsync without the metadata that reading back does not need.
type Fdatasync struct{ Handle Handle }

// Truncate sets a file's size. See ftruncate(2). Linux 6.9.
type Truncate struct {
	Handle Handle
	Size   int64
}

// Allocate reserves, zeroes or removes space in a file. Mode are the
// FALLOC_FL_* bits of fallocate(2).
type Allocate struct {
	Handle Handle
	Mode   uint32
	Offset int64
	Length int64
}

// Advise tells the kernel how a part of a file will be used. Advice is one of
// unix.FADV_*; Length 0 means to the end. See posix_fadvise(2).
type Advise struct {
	Handle Handle
	Offset int64
	Length int64
	Advice int
}

// Chmod sets a file's permission bits, and its setuid, setgid and sticky bits.
// See fchmod(2).
type Chmod struct {
	Handle Handle
	Mode   fs.FileMode
}

// Chown sets a file's owner and group; -1 leaves one as it is. See fchown(2).
type Chown struct {
	Handle   Handle
	UID, GID int
}

// ReadDir reads entries of a directory, without "." and "..", in the file
// system's order. It goes on where the last ReadDir on the handle stopped and
// gives none at the end. Reads of one directory handle are performed one at a
// time in order of arrival. See getdents64(2).
type ReadDir struct {
	Handle Handle
	// Limit stops after about so many entries; 0 reads to the end.
	Limit int
}

// DirEntry is one entry of a directory.
type DirEntry struct {
	Name string
	// Type is the type bits of the entry's mode, and fs.ModeIrregular where
	// the file system does not say.
	Type  fs.FileMode
	Inode uint64
}

// Attributes are what Stat says of a file. See statx(2).
type Attributes struct {
	Mode       fs.FileMode
	Size       int64
	Blocks     int64 // units of 512 bytes
	BlockSize  int64 // preferred size of a transfer, in bytes
	Links      uint32
	UID, GID   uint32
	Inode      uint64
	Device     uint64 // device the file is on, as in unix.Mkdev
	RDevice    uint64 // device the file is, if it is one
	Accessed   time.Time
	Modified   time.Time
	Changed    time.Time
	Born       time.Time // zero where the file system does not say
	MountID    uint64
	Attributes uint64 // STATX_ATTR_* bits
}

// Name implements [Op].
func (*Open) Name() string { return "open" }

// Name implements [Op].
func (*Adopt) Name() string { return "adopt" }

// Name implements [Op].
func (*Give) Name() string { return "give" }

// Name implements [Op].
func (*Close) Name() string { return "close" }

// Name implements [Op].
func (*Read) Name() string { return "read" }

// Name implements [Op].
func (*Write) Name() string { return "write" }

// Name implements [Op].
func (*ReadV) Name() string { return "readv" }

// Name implements [Op].
func (*WriteV) Name() string { return "writev" }

// Name implements [Op].
func (*Fsync) Name() string { return "fsync" }

// Name implements [Op].
func (*Fdatasync) Name() string { return "fdatasync" }

// Name implements [Op].
func (*Truncate) Name() string { return "truncate" }

// Name implements [Op].
func (*Allocate) Name() string { return "allocate" }

// Name implements [Op].
func (*Advise) Name() string { return "advise" }

// Name implements [Op].
func (*Chmod) Name() string { return "chmod" }

// Name implements [Op].
func (*Chown) Name() string { return "chown" }

// Name implements [Op].
func (*ReadDir) Name() string { return "readdir" }

// Result implements [Operation].
func (*Open) Result(c *Completion) Handle { return c.Handle }

// Attributes is what the file is, if Stat asked for it.
func (*Open) Attributes(c *Completion) *Attributes {
	attributes, _ := c.Value.(*Attributes)
	return attributes
}

// Result implements [Operation].
func (*Adopt) Result(c *Completion) Handle { return c.Handle }

// Result implements [Operation].
func (*Give) Result(*Completion) None { return None{} }

// Result implements [Operation].
func (*Close) Result(*Completion) None { return None{} }

// Result implements [Operation].
func (r *Read) Result(c *Completion) []byte { return r.Buf[:c.N] }

// Result implements [Operation].
func (*Write) Result(c *Completion) int { return c.N }

// Result implements [Operation].
func (*ReadV) Result(c *Completion) int { return c.N }

// Result implements [Operation].
func (*WriteV) Result(c *Completion) int { return c.N }

// Result implements [Operation].
func (*Fsync) Result(*Completion) None { return None{} }

// Result implements [Operation].
func (*Fdatasync) Result(*Completion) None { return None{} }

// Result implements [Operation].
func (*Truncate) Result(*Completion) None { return None{} }

// Result implements [Operation].
func (*Allocate) Result(*Completion) None { return None{} }

// Result implements [Operation].
func (*Advise) Result(*Completion) None { return None{} }

// Result implements [Operation].
func (*Chmod) Result(*Completion) None { return None{} }

// Result implements [Operation].
func (*Chown) Result(*Completion) None { return None{} }

// Result implements [Operation].
func (*ReadDir) Result(c *Completion) []DirEntry {
	entries, _ := c.Value.([]DirEntry)
	return entries
}

func (*Open) sealed()      {}
func (*Adopt) sealed()     {}
func (*Give) sealed()      {}
func (*Close) sealed()     {}
func (*Read) sealed()      {}
func (*Write) sealed()     {}
func (*ReadV) sealed()     {}
func (*WriteV) sealed()    {}
func (*Fsync) sealed()     {}
func (*Fdatasync) sealed() {}
func (*Truncate) sealed()  {}
func (*Allocate) sealed()  {}
func (*Advise) sealed()    {}
func (*Chmod) sealed()     {}
func (*Chown) sealed()     {}
func (*ReadDir) sealed()   {}
