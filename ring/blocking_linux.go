package ring

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"

	"golang.org/x/sys/unix"
)

const utimeOmit = unix.UTIME_OMIT

// setTimesFD sets the times of what FD refers to. AT_EMPTY_PATH does it for
// every descriptor, those opened with O_PATH and those of symbolic links
// included (tried on 6.18). Kernels before 5.8, and gVisor, refuse the flag
// with EINVAL; there the name in /proc does it.
func (j *Job) setTimesFD() error {
	if j.FD < 0 {
		return unix.EBADF // AT_FDCWD would be the working directory
	}
	err := repeat(func() error {
		return unix.UtimesNanoAt(int(j.FD), "", j.Times[:], unix.AT_EMPTY_PATH)
	})
	if err != unix.EINVAL {
		return err
	}
	// ENOENT would only say that there is no /proc, or no such descriptor.
	if again := j.setTimesProc(); again != unix.ENOENT {
		return again
	}
	return err
}

func (j *Job) setTimesProc() error {
	path := "/proc/self/fd/" + strconv.Itoa(int(j.FD))
	return repeat(func() error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, j.Times[:], 0)
	})
}

const (
	// readDirMax bounds a read without a Limit: Res counts the entries.
	readDirMax = math.MaxInt32

	readDirBuffer = 32 << 10
	// readDirBufferMin holds an entry with the longest name there is (255
	// bytes), and some more.
	readDirBufferMin = 1 << 10
	// readDirEntrySize is what an entry with a name of usual length takes in
	// the buffer: reading far past Limit is work thrown away.
	readDirEntrySize = 40
)

// readDir reads from the descriptor's position until the end or the limit, and
// leaves the position behind the last entry it took.
func (j *Job) readDir(s *scratch) error {
	limit := j.Limit
	if limit <= 0 || limit > readDirMax {
		limit = readDirMax
	}
	for len(j.Entries) < limit {
		want := max(readDirBufferMin, min(readDirBuffer, (limit-len(j.Entries))*readDirEntrySize))
		buf := s.bytes(want)
		n, err := repeatN(func() (int, error) { return unix.Getdents(int(j.FD), buf) })
		if err != nil || n == 0 {
			return err
		}
		if err := j.takeDirents(buf[:n], limit); err != nil {
			return err
		}
	}
	return nil
}

// takeDirents appends the entries in buf up to the limit, and has the kernel
// start with the next one if it has handed out more. A file system that cannot
// go back there gets its rest taken beyond the limit: an entry too many is
// allowed, a lost one is not.
func (j *Job) takeDirents(buf []byte, limit int) error {
	for len(buf) > 0 {
		d, size, ok := parseDirent(buf)
		if !ok {
			return unix.EIO
		}
		buf = buf[size:]
		if string(d.name) == "." || string(d.name) == ".." {
			continue
		}
		j.Entries = append(j.Entries, DirEntry{Name: string(d.name), Type: d.kind, Inode: d.inode})
		if len(j.Entries) == limit && len(buf) > 0 && j.seekDir(d.offset) == nil {
			return nil
		}
	}
	return nil
}

func (j *Job) seekDir(offset int64) error {
	return repeat(func() error {
		_, err := unix.Seek(int(j.FD), offset, unix.SEEK_SET)
		return err
	})
}

// dirent is a struct linux_dirent64: inode (8 bytes), offset of the next entry
// (8), length of this one (2), type (1), name, NUL, padding.
type dirent struct {
	inode  uint64
	offset int64
	kind   uint8
	name   []byte // points into the buffer
}

const (
	direntOffsetAt = 8
	direntLengthAt = 16
	direntTypeAt   = 18
	direntNameAt   = 19
)

// parseDirent takes the first entry off buf and says how long it is. It
// reports false for what no kernel writes: a length that leaves the buffer or
// no room for a name, a name that is empty or without its NUL. An inode of 0
// is not a hole: FUSE file systems give it to files that exist.
func parseDirent(buf []byte) (dirent, int, bool) {
	if len(buf) <= direntNameAt {
		return dirent{}, 0, false
	}
	size := int(binary.NativeEndian.Uint16(buf[direntLengthAt:]))
	if size <= direntNameAt || size > len(buf) {
		return dirent{}, 0, false
	}
	end := bytes.IndexByte(buf[direntNameAt:size], 0)
	if end <= 0 {
		return dirent{}, 0, false
	}
	return dirent{
		inode:  binary.NativeEndian.Uint64(buf),
		offset: int64(binary.NativeEndian.Uint64(buf[direntOffsetAt:])),
		kind:   buf[direntTypeAt],
		name:   buf[direntNameAt : direntNameAt+end],
	}, size, true
}
