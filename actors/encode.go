package actors

import (
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// transferMax is the most that the kernel moves in one operation.
const transferMax = 0x7ffff000

const (
	pathMax   = 4095
	iovecMax  = 1024
	pollKnown = messages.Readable | messages.Urgent | messages.Writable | messages.Errored | messages.HungUp
)

// encode checks an operation and turns it into what the kernel or the lane is
// to do. It holds the files it names only when it succeeds: nothing of a
// refused operation stays behind, and nothing has reached the kernel.
func (e *engine) encode(op messages.Op, i uint32, p *operation) error {
	var err error
	switch op := op.(type) {
	case *messages.Nop:
		p.request = ring.PrepNop()
	case *messages.Read:
		err = e.encodeRead(op, p)
	case *messages.Write:
		err = e.encodeWrite(op, p)
	case *messages.ReadV:
		err = e.encodeReadV(op, p)
	case *messages.WriteV:
		err = e.encodeWriteV(op, p)
	case *messages.Open:
		err = e.encodeOpen(op, p)
	case *messages.Close:
		err = e.encodeClose(op, p)
	case *messages.Adopt:
		err = encodeAdopt(op, p)
	case *messages.Give:
		err = e.encodeGive(op, p)
	case *messages.Fsync:
		err = e.encodeSync(op.Handle, false, p)
	case *messages.Fdatasync:
		err = e.encodeSync(op.Handle, true, p)
	case *messages.Truncate:
		err = e.encodeTruncate(op, p)
	case *messages.Allocate:
		err = e.encodeAllocate(op, p)
	case *messages.Advise:
		err = e.encodeAdvise(op, p)
	case *messages.Stat:
		err = e.encodeStat(op, p)
	case *messages.Mkdir:
		err = e.encodeMkdir(op, p)
	case *messages.Unlink:
		err = e.encodeUnlink(op, p)
	case *messages.Rename:
		err = e.encodeRename(op, i, p)
	case *messages.Link:
		err = e.encodeLink(op, i, p)
	case *messages.Symlink:
		err = e.encodeSymlink(op, p)
	case *messages.Timeout:
		err = encodeTimeout(op, p)
	case *messages.Poll:
		err = e.encodePoll(op, p)
	case *messages.ReadDir, *messages.ReadLink, *messages.Chmod, *messages.Chown, *messages.SetTimes:
		err = e.encodeLane(op, i, p)
	default:
		return messages.ErrUnknownOp
	}
	if err == nil && p.class < classLane && !e.supports(p.request.Code) {
		err = messages.ErrUnsupported
	}
	if err != nil {
		return err
	}
	if p.file != nil && !p.isClose() {
		p.file.Hold()
	}
	if p.extra != nil && p.extra.file2 != nil {
		p.extra.file2.Hold()
	}
	return nil
}

// target finds the file that an operation on a handle is about.
func (e *engine) target(h messages.Handle, want messages.Rights, p *operation) (int32, error) {
	f, err := e.find(h, want)
	if err != nil {
		return 0, err
	}
	p.file = f
	return f.FD, nil
}

// place finds the directory that a path starts from.
func (e *engine) place(dir messages.Handle, path string) (*file, int32, error) {
	if err := checkPath(path); err != nil {
		return nil, 0, err
	}
	if dir.IsZero() {
		if path[0] != '/' {
			return nil, 0, fmt.Errorf("%w: relative path without a directory", messages.ErrPath)
		}
		return nil, ring.NoDir, nil
	}
	f, err := e.find(dir, messages.RightPath)
	if err != nil {
		return nil, 0, err
	}
	return f, f.FD, nil
}

func checkPath(path string) error {
	switch {
	case path == "":
		return fmt.Errorf("%w: it is empty", messages.ErrPath)
	case len(path) > pathMax:
		return fmt.Errorf("%w: longer than %d bytes", messages.ErrPath, pathMax)
	case strings.IndexByte(path, 0) >= 0:
		return fmt.Errorf("%w: it has a NUL in it", messages.ErrPath)
	}
	return nil
}

// checkTransfer checks a transfer, and gives the offset as the kernel is to
// see it.
func checkTransfer(f *file, offset int64, length int, appends bool) (uint64, error) {
	switch {
	case f.Payload.isStream() || appends:
		if offset != 0 {
			return 0, fmt.Errorf("%w: offset %d on a stream", messages.ErrRange, offset)
		}
	case offset < 0 || offset > math.MaxInt64-int64(length):
		return 0, fmt.Errorf("%w: offset %d", messages.ErrRange, offset)
	}
	if length > transferMax {
		return 0, fmt.Errorf("%w: %d bytes in one operation, the most is %d", messages.ErrRange, length, transferMax)
	}
	if f.Payload.isStream() {
		return ring.StreamOffset, nil
	}
	return uint64(offset), nil
}

func (e *engine) encodeRead(op *messages.Read, p *operation) error {
	fd, err := e.target(op.Handle, messages.RightRead, p)
	if err != nil {
		return err
	}
	offset, err := checkTransfer(p.file, op.Offset, len(op.Buf), false)
	if err != nil {
		return err
	}
	p.request, p.bytes = ring.PrepRead(fd, op.Buf, offset), int32(len(op.Buf))
	p.readClass()
	return nil
}

// readClass decides how a read may be issued. A buffered read of a regular
// file is tried without waiting, on any thread; only where that cannot be said
// does it go to a kernel worker. See doc.go.
func (p *operation) readClass() {
	if info := &p.file.Payload; info.kind == kindRegular && !info.direct {
		p.neverWaiting(info)
		return
	}
	p.transferClass()
}

// writeClass is the same for writes, whose buffered form may block on the
// file system's journal: they go to a kernel worker at once.
func (p *operation) writeClass() {
	if info := &p.file.Payload; info.kind == kindRegular && !info.direct {
		p.request.Async = true
		return
	}
	p.transferClass()
}

// transferClass is for what ends by task work of its issuer.
func (p *operation) transferClass() {
	p.class = classPinned
	switch info := &p.file.Payload; info.kind {
	case kindStream: // the kernel itself tries without waiting
	case kindCharacter:
		p.request.Async = true
	default:
		p.neverWaiting(info)
	}
}

// neverWaiting sees to it that issuing a transfer waits for no device: some have
// the submission itself wait, and while a thread hangs in there with the ring's
// lock, each thread whose request on that ring ends hangs as well, until nothing
// of the program runs any more.
func (p *operation) neverWaiting(info *fileInfo) {
	if info.device.noNowait {
		p.request.Async = true
		return
	}
	p.request.NoWait, p.request.Direct = true, info.direct
}

func (e *engine) encodeWrite(op *messages.Write, p *operation) error {
	fd, err := e.target(op.Handle, messages.RightWrite, p)
	if err != nil {
		return err
	}
	offset, err := checkTransfer(p.file, op.Offset, len(op.Buf), p.file.Payload.appends)
	if err != nil {
		return err
	}
	p.request = ring.PrepWrite(fd, op.Buf, offset)
	p.writeClass()
	return nil
}

// vectorLength checks the buffers of a vectored operation.
func vectorLength(bufs [][]byte) (int, error) {
	if len(bufs) > iovecMax {
		return 0, fmt.Errorf("%w: %d buffers, the most is %d", messages.ErrRange, len(bufs), iovecMax)
	}
	total := 0
	for _, b := range bufs {
		if total += len(b); total > transferMax {
			return 0, fmt.Errorf("%w: more than %d bytes in one operation", messages.ErrRange, transferMax)
		}
	}
	return total, nil
}

func (e *engine) encodeReadV(op *messages.ReadV, p *operation) error {
	fd, err := e.target(op.Handle, messages.RightRead, p)
	if err != nil {
		return err
	}
	length, err := vectorLength(op.Bufs)
	if err != nil {
		return err
	}
	offset, err := checkTransfer(p.file, op.Offset, length, false)
	if err != nil {
		return err
	}
	p.request, p.bytes = ring.PrepReadV(fd, op.Bufs, offset), int32(length)
	p.readClass()
	return nil
}

func (e *engine) encodeWriteV(op *messages.WriteV, p *operation) error {
	fd, err := e.target(op.Handle, messages.RightWrite, p)
	if err != nil {
		return err
	}
	length, err := vectorLength(op.Bufs)
	if err != nil {
		return err
	}
	offset, err := checkTransfer(p.file, op.Offset, length, p.file.Payload.appends)
	if err != nil {
		return err
	}
	p.request = ring.PrepWriteV(fd, op.Bufs, offset)
	p.writeClass()
	return nil
}

func (e *engine) encodeOpen(op *messages.Open, p *operation) error {
	if !p.owner.lasting {
		return fmt.Errorf("%w: a handle needs an owner whose end can be known", messages.ErrOwner)
	}
	dir, fd, err := e.place(op.Dir, op.Path)
	if err != nil {
		return err
	}
	if op.Flags < 0 || op.Flags > math.MaxInt32 {
		return fmt.Errorf("%w: open flags %#x", messages.ErrArgument, op.Flags)
	}
	if op.Resolve&^resolveKnown != 0 {
		return fmt.Errorf("%w: resolve bits %#x", messages.ErrArgument, op.Resolve)
	}
	mode := uint32(0)
	if op.Flags&(os.O_CREATE|openTmpfile) != 0 { // openat2 refuses a mode otherwise
		if mode, err = modeBits(op.Mode); err != nil {
			return err
		}
	}
	p.file = dir
	p.request = ring.PrepOpen(fd, op.Path, op.Flags, mode, op.Resolve)
	p.request.Async = true
	return nil
}

func (e *engine) encodeClose(op *messages.Close, p *operation) error {
	fd, err := e.target(op.Handle, 0, p)
	if err != nil {
		return err
	}
	p.request = ring.PrepClose(fd)
	return nil
}

func encodeAdopt(op *messages.Adopt, p *operation) error {
	if !p.owner.lasting {
		return fmt.Errorf("%w: a handle needs an owner whose end can be known", messages.ErrOwner)
	}
	if op.File == nil {
		return fmt.Errorf("%w: no file", messages.ErrArgument)
	}
	p.class = classControl
	return nil
}

func (e *engine) encodeGive(op *messages.Give, p *operation) error {
	if _, err := e.target(op.Handle, 0, p); err != nil {
		return err
	}
	p.class = classControl
	p.partial = noDescriptor
	return nil
}

func (e *engine) encodeSync(h messages.Handle, dataOnly bool, p *operation) error {
	fd, err := e.target(h, messages.RightMeta, p)
	if err != nil {
		return err
	}
	p.request = ring.PrepFsync(fd, dataOnly)
	p.request.Async = true
	return nil
}

func (e *engine) encodeTruncate(op *messages.Truncate, p *operation) error {
	if op.Size < 0 {
		return fmt.Errorf("%w: size %d", messages.ErrRange, op.Size)
	}
	fd, err := e.target(op.Handle, messages.RightWrite, p)
	if err != nil {
		return err
	}
	p.request = ring.PrepTruncate(fd, op.Size)
	p.request.Async = true
	return nil
}

func (e *engine) encodeAllocate(op *messages.Allocate, p *operation) error {
	if op.Offset < 0 || op.Length <= 0 || op.Offset > math.MaxInt64-op.Length {
		return fmt.Errorf("%w: %d bytes at %d", messages.ErrRange, op.Length, op.Offset)
	}
	fd, err := e.target(op.Handle, messages.RightWrite, p)
	if err != nil {
		return err
	}
	p.request = ring.PrepAllocate(fd, op.Mode, op.Offset, op.Length)
	p.request.Async = true
	return nil
}

func (e *engine) encodeAdvise(op *messages.Advise, p *operation) error {
	if op.Offset < 0 || op.Length < 0 || op.Length > math.MaxUint32 || op.Offset > math.MaxInt64-op.Length {
		return fmt.Errorf("%w: %d bytes at %d", messages.ErrRange, op.Length, op.Offset)
	}
	if op.Advice < 0 || op.Advice > adviceMax {
		return fmt.Errorf("%w: advice %d", messages.ErrArgument, op.Advice)
	}
	fd, err := e.target(op.Handle, messages.RightRead, p)
	if err != nil {
		return err
	}
	p.request = ring.PrepAdvise(fd, op.Offset, op.Length, op.Advice)
	p.request.Async = true
	return nil
}

// onPath finishes an operation on one path.
func (p *operation) onPath(dir *file, request ring.Request) {
	p.file = dir
	p.request = request
	p.request.Async = true // path operations run on kernel workers anyway
}

func (e *engine) encodeStat(op *messages.Stat, p *operation) error {
	flags := uint32(0)
	if op.NoFollow {
		flags = unix.AT_SYMLINK_NOFOLLOW
	}
	if op.Path == "" && !op.Dir.IsZero() {
		fd, err := e.target(op.Dir, 0, p)
		if err != nil {
			return err
		}
		p.onPath(p.file, ring.PrepStat(fd, "", atEmptyPath))
		return nil
	}
	dir, fd, err := e.place(op.Dir, op.Path)
	if err != nil {
		return err
	}
	p.onPath(dir, ring.PrepStat(fd, op.Path, flags))
	return nil
}

func (e *engine) encodeMkdir(op *messages.Mkdir, p *operation) error {
	dir, fd, err := e.place(op.Dir, op.Path)
	if err != nil {
		return err
	}
	mode, err := modeBits(op.Mode)
	if err != nil {
		return err
	}
	p.onPath(dir, ring.PrepMkdir(fd, op.Path, mode))
	return nil
}

func (e *engine) encodeUnlink(op *messages.Unlink, p *operation) error {
	dir, fd, err := e.place(op.Dir, op.Path)
	if err != nil {
		return err
	}
	p.onPath(dir, ring.PrepUnlink(fd, op.Path, op.Directory))
	return nil
}

func (e *engine) encodeSymlink(op *messages.Symlink, p *operation) error {
	if err := checkPath(op.Target); err != nil {
		return fmt.Errorf("target: %w", err)
	}
	dir, fd, err := e.place(op.Dir, op.Path)
	if err != nil {
		return err
	}
	p.onPath(dir, ring.PrepSymlink(op.Target, fd, op.Path))
	return nil
}

func (e *engine) encodeRename(op *messages.Rename, i uint32, p *operation) error {
	oldDir, oldFD, err := e.place(op.OldDir, op.OldPath)
	if err != nil {
		return err
	}
	newDir, newFD, err := e.place(op.NewDir, op.NewPath)
	if err != nil {
		return err
	}
	if op.Flags&^renameKnown != 0 {
		return fmt.Errorf("%w: rename flags %#x", messages.ErrArgument, op.Flags)
	}
	p.onPath(oldDir, ring.PrepRename(oldFD, op.OldPath, newFD, op.NewPath, op.Flags))
	p.more(i).file2 = newDir
	return nil
}

func (e *engine) encodeLink(op *messages.Link, i uint32, p *operation) error {
	oldDir, oldFD, err := e.place(op.OldDir, op.OldPath)
	if err != nil {
		return err
	}
	newDir, newFD, err := e.place(op.NewDir, op.NewPath)
	if err != nil {
		return err
	}
	flags := uint32(0)
	if op.Follow {
		flags = unix.AT_SYMLINK_FOLLOW
	}
	p.onPath(oldDir, ring.PrepLink(oldFD, op.OldPath, newFD, op.NewPath, flags))
	p.more(i).file2 = newDir
	return nil
}

func encodeTimeout(op *messages.Timeout, p *operation) error {
	if op.After < 0 {
		return fmt.Errorf("%w: timeout of %v", messages.ErrRange, op.After)
	}
	p.request = ring.PrepTimeout(op.After)
	p.class = classPinned
	return nil
}

func (e *engine) encodePoll(op *messages.Poll, p *operation) error {
	if op.Events == 0 || op.Events&^pollKnown != 0 {
		return fmt.Errorf("%w: poll events %#x", messages.ErrArgument, uint32(op.Events))
	}
	want := messages.Rights(0)
	if op.Events&(messages.Readable|messages.Urgent) != 0 {
		want |= messages.RightRead
	}
	if op.Events&messages.Writable != 0 {
		want |= messages.RightWrite
	}
	fd, err := e.target(op.Handle, want, p)
	if err != nil {
		return err
	}
	p.request = ring.PrepPoll(fd, uint32(op.Events))
	p.class = classPinned
	p.request.Async = p.file.Payload.kind != kindStream // asking a device may wait for it
	return nil
}

func (e *engine) encodeLane(op messages.Op, i uint32, p *operation) error {
	job := &ring.Job{}
	p.class = classLane
	p.more(i).job = job
	var err error
	switch op := op.(type) {
	case *messages.ReadDir:
		if op.Limit < 0 {
			return fmt.Errorf("%w: limit %d", messages.ErrRange, op.Limit)
		}
		job.Call, job.Limit = ring.CallReadDir, op.Limit
		job.FD, err = e.target(op.Handle, messages.RightRead, p)
	case *messages.ReadLink:
		job.Call, job.Path = ring.CallReadLink, op.Path
		p.file, job.FD, err = e.place(op.Dir, op.Path)
	case *messages.Chmod:
		job.Call = ring.CallChmod
		if job.Mode, err = modeBits(op.Mode); err == nil {
			job.FD, err = e.target(op.Handle, messages.RightMeta, p)
		}
	case *messages.Chown:
		job.Call, job.UID, job.GID = ring.CallChown, op.UID, op.GID
		if op.UID < -1 || op.GID < -1 || int64(op.UID) > math.MaxUint32 || int64(op.GID) > math.MaxUint32 {
			return fmt.Errorf("%w: owner %d:%d", messages.ErrRange, op.UID, op.GID)
		}
		job.FD, err = e.target(op.Handle, messages.RightMeta, p)
	case *messages.SetTimes:
		err = e.encodeSetTimes(op, job, p)
	}
	return err
}

func (e *engine) encodeSetTimes(op *messages.SetTimes, job *ring.Job, p *operation) (err error) {
	job.Call, job.Path = ring.CallSetTimes, op.Path
	if op.NoFollow {
		job.Flags = unix.AT_SYMLINK_NOFOLLOW
	}
	for k, t := range [2]time.Time{op.Accessed, op.Modified} {
		job.Times[k] = ring.FileTime(t)
	}
	if op.Path == "" && !op.Dir.IsZero() {
		job.FD, err = e.target(op.Dir, messages.RightMeta, p)
		return err
	}
	p.file, job.FD, err = e.place(op.Dir, op.Path)
	return err
}

// modeBits turns a mode into the kernel's permission bits.
func modeBits(mode os.FileMode) (uint32, error) {
	if mode&^(os.ModePerm|os.ModeSetuid|os.ModeSetgid|os.ModeSticky) != 0 {
		return 0, fmt.Errorf("%w: mode %v", messages.ErrArgument, mode)
	}
	bits := uint32(mode.Perm())
	for _, b := range [...]struct {
		mode os.FileMode
		bit  uint32
	}{{os.ModeSetuid, unix.S_ISUID}, {os.ModeSetgid, unix.S_ISGID}, {os.ModeSticky, unix.S_ISVTX}} {
		if mode&b.mode != 0 {
			bits |= b.bit
		}
	}
	return bits, nil
}
