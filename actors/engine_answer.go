package actors

import (
	"context"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// deliver sends the answers that are due.
func (e *engine) deliver() {
	for e.due.head != nil {
		if e.config.Failpoint != nil {
			e.fail(FailDelivering)
		}
		e.answer(e.due.head)
	}
	e.sendBatches()
}

// post sends an answer, or puts it to those that will be sent together.
func (e *engine) post(to *party, c *messages.Completion, batched bool) {
	if !batched {
		e.sendBatch(to) // what ended earlier comes earlier
		to.send(c)
		return
	}
	if len(to.batch) == 0 {
		to.uses++
		e.batched = append(e.batched, to)
	}
	to.batch = append(to.batch, c)
}

// sendBatches sends what was put together.
func (e *engine) sendBatches() {
	for len(e.batched) > 0 {
		last := len(e.batched) - 1
		to := e.batched[last]
		e.batched[last] = nil
		e.batched = e.batched[:last]
		e.sendBatch(to)
		e.unuse(to)
	}
}

// sendBatch sends a party's batch, if it has one. The receiver keeps the
// slice: each batch has its own.
func (e *engine) sendBatch(to *party) {
	if len(to.batch) == 0 {
		return
	}
	batch := &messages.CompletionBatch{Completions: to.batch}
	to.batch = make([]*messages.Completion, 0, len(to.batch))
	to.send(batch)
}

// answer sends one operation's answer. It is built first and marked as sent
// before it is: a failure in the building leaves it due, and none can send it
// twice.
func (e *engine) answer(p *operation) {
	i := p.slot
	if p.submit == nil { // a failure struck just after the answer was marked as sent
		e.orphan(i)
		return
	}
	c := p.submit.Into
	if c == nil {
		c = new(messages.Completion)
	}
	e.fill(c, i, p)
	e.tally(c.Err)
	p.counted = true
	batched := p.submit.Batched
	p.submit = nil
	e.due.remove(p)
	reply := p.reply
	waiters := p.takeWaiters()
	reply.uses++
	e.unlink(i, p)
	effect := e.table.Apply(i, ring.Answered)
	e.post(reply, c, batched)
	if len(waiters) > 0 {
		e.sendBatch(reply) // whoever they are, the answer comes first
	}
	e.told(waiters)
	e.apply(i, effect)
	e.unuse(reply)
}

// fill builds the Completion.
func (e *engine) fill(c *messages.Completion, i uint32, p *operation) {
	*c = messages.Completion{
		ID:    messages.OpID{Owner: p.ownerPID(), Seq: p.seq},
		Token: p.submit.Token,
	}
	op := p.submit.Op
	if e.table.State(i) == ring.Forfeited {
		c.Err = &messages.OpError{Op: op.Name(), Path: pathOf(op), Err: messages.ErrOutcomeUnknown, Why: p.why.err()}
		return
	}
	c.Op = op
	if p.res < 0 && !p.succeeded() {
		c.Err = &messages.OpError{Op: op.Name(), Path: pathOf(op), Err: unix.Errno(-p.res), Why: p.why.of(p.res)}
		return
	}
	e.fillResult(c, op, p)
}

// succeeded is for a timeout: that it expired is what was asked for.
func (p *operation) succeeded() bool {
	return p.request.Code == ring.CodeTimeout && p.class == classPinned && p.res == ring.Expired
}

func (e *engine) fillResult(c *messages.Completion, op messages.Op, p *operation) {
	switch op := op.(type) {
	case *messages.Read:
		c.N = int(p.res)
	case *messages.Open:
		e.fillHandle(c, p, op.Flags, op.Rights, op.Stat)
	case *messages.Adopt:
		e.fillHandle(c, p, int(p.partial), op.Rights, false)
	case *messages.Stat:
		c.Value = attributesOf(p.request.Statx())
	case *messages.ReadDir:
		c.Value = entriesOf(p.extra.job.Entries)
		c.N = len(p.extra.job.Entries)
	case *messages.ReadLink:
		c.Value = p.extra.job.Target
	default:
		c.N = max(int(p.res), 0)
	}
}

// fillHandle makes the descriptor that an operation brought a handle of its
// owner's.
func (e *engine) fillHandle(c *messages.Completion, p *operation, flags int, rights messages.Rights, stat bool) {
	fd := p.res
	p.res = -1 // it is taken over, or closed: not to be undone a second time
	info, attributes, err := e.describe(fd, flags, stat)
	if err == nil && (p.owner == nil || p.owner.gone) {
		// A client that is closed still gets its answers, and no handles:
		// nobody would close them.
		e.counters.LateClosed++
		err = messages.ErrOwner
	}
	if err != nil {
		e.lane.close(fd, e.deviceFor(p))
		c.Err = &messages.OpError{Op: c.Op.Name(), Path: pathOf(c.Op), Err: err}
		return
	}
	if rights != 0 {
		info.rights &= rights
	}
	if info.device == nil { // it was just created: it is where its path leads
		info.device = e.deviceFor(p)
	}
	c.Handle = handleOf(e.adopt(fd, p.owner, info))
	if attributes != nil {
		c.Value = attributes
	}
}

func (p *operation) ownerPID() *actor.PID {
	if p.owner == nil {
		return nil
	}
	return p.owner.pid
}

// tally counts a terminal answer.
func (e *engine) tally(err error) {
	e.counters.Completed++
	if err == nil {
		return
	}
	switch opErr := err.(*messages.OpError); {
	case opErr.Err == messages.ErrOutcomeUnknown:
		e.counters.Unknown++
	case opErr.Why != nil:
		e.counters.Cancelled++
	default:
		e.counters.Failed++
	}
}

// of gives the reason of a cancellation for a result, if the cancellation may
// be what caused it.
func (r reason) of(res int32) error {
	if res == -int32(unix.ECANCELED) || res == -int32(unix.EINTR) {
		return r.err()
	}
	return nil
}

func (r reason) err() error {
	switch r {
	case reasonCancel:
		return context.Canceled
	case reasonOwner:
		return messages.ErrOwner
	case reasonDeadline:
		return context.DeadlineExceeded
	case reasonShutdown:
		return messages.ErrStopped
	case reasonRestart:
		return messages.ErrRingLost
	case reasonUnavailable:
		return messages.ErrUnavailable
	default:
		return nil
	}
}

// pathOf is what an operation is about, for its error.
func pathOf(op messages.Op) string {
	switch op := op.(type) {
	case *messages.Open:
		return op.Path
	case *messages.Stat:
		return op.Path
	case *messages.Mkdir:
		return op.Path
	case *messages.Unlink:
		return op.Path
	case *messages.Rename:
		return op.OldPath + " to " + op.NewPath
	case *messages.Link:
		return op.OldPath + " to " + op.NewPath
	case *messages.Symlink:
		return op.Path
	case *messages.ReadLink:
		return op.Path
	case *messages.SetTimes:
		return op.Path
	default:
		return ""
	}
}

// attributesOf turns what statx says into what Stat promises.
func attributesOf(st *ring.Statx) *messages.Attributes {
	return &messages.Attributes{
		Mode:       modeOf(uint32(st.Mode)),
		Size:       int64(st.Size),
		Blocks:     int64(st.Blocks),
		BlockSize:  int64(st.BlockSize),
		Links:      st.Links,
		UID:        st.UID,
		GID:        st.GID,
		Inode:      st.Inode,
		Device:     unix.Mkdev(st.DeviceMajor, st.DeviceMinor),
		RDevice:    unix.Mkdev(st.RDeviceMajor, st.RDeviceMinor),
		Accessed:   time.Unix(st.Accessed.Sec, int64(st.Accessed.Nsec)),
		Modified:   time.Unix(st.Modified.Sec, int64(st.Modified.Nsec)),
		Changed:    time.Unix(st.Changed.Sec, int64(st.Changed.Nsec)),
		Born:       bornOf(st),
		MountID:    st.MountID,
		Attributes: st.Attributes & st.AttributesMask,
	}
}

func bornOf(st *ring.Statx) time.Time {
	if st.Born.Sec == 0 && st.Born.Nsec == 0 {
		return time.Time{}
	}
	return time.Unix(st.Born.Sec, int64(st.Born.Nsec))
}

// modeOf turns the kernel's mode into Go's.
func modeOf(st uint32) fs.FileMode {
	mode := fs.FileMode(st & 0o777)
	mode |= typeOf(uint8(st >> 12 & 0xf))
	if st&unix.S_ISUID != 0 {
		mode |= os.ModeSetuid
	}
	if st&unix.S_ISGID != 0 {
		mode |= os.ModeSetgid
	}
	if st&unix.S_ISVTX != 0 {
		mode |= os.ModeSticky
	}
	return mode
}

// typeOf turns a file type, in the encoding that a mode's upper bits and a
// directory entry share, into Go's.
func typeOf(t uint8) fs.FileMode {
	switch t {
	case syscall.DT_REG:
		return 0
	case syscall.DT_DIR:
		return fs.ModeDir
	case syscall.DT_LNK:
		return fs.ModeSymlink
	case syscall.DT_FIFO:
		return fs.ModeNamedPipe
	case syscall.DT_SOCK:
		return fs.ModeSocket
	case syscall.DT_CHR:
		return fs.ModeDevice | fs.ModeCharDevice
	case syscall.DT_BLK:
		return fs.ModeDevice
	default:
		return fs.ModeIrregular
	}
}

func entriesOf(entries []ring.DirEntry) []messages.DirEntry {
	out := make([]messages.DirEntry, len(entries))
	for k, d := range entries {
		out[k] = messages.DirEntry{Name: d.Name, Type: typeOf(d.Type), Inode: d.Inode}
	}
	return out
}
