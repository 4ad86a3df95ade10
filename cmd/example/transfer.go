package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// specialBits are those that open(2) and mkdir(2) are not trusted with.
const specialBits = fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// errGivenUp ends a transfer that was told to stop; the reason is elsewhere.
var errGivenUp = errors.New("given up")

// A transfer goes through phases. In each it has some operations in flight,
// and the next phase begins when all of them have ended: the answers of one
// phase may come in any order.
type phaseID uint8

const (
	opening   phaseID = iota // the source, which also says what it is
	beginning                // its first chunk is read, and the copy made
	filling                  // the copy
	finishing                // times and mode of the copy; the source is closed
	closing                  // the copy
	ended
	// A failure leads here, wherever it happens; after the two comes ended.
	abandoning // what is open is closed
	removing   // the unfinished copy
)

// What a transfer's requests are for.
const (
	stepOpenSource step = iota
	stepReadFirst
	stepCreate
	stepReplace
	stepRead
	stepWrite
	stepLast // an operation whose success needs nothing more
)

// transfer copies one file after another. Its operations, requests and buffers
// are made once.
type transfer struct {
	copier *copier
	load   *load
	name   string // of the source, within the load's directory
	phase  phaseID
	flying int // operations in flight
	err    error

	source, target messages.Handle
	mode           fs.FileMode
	made           bool  // there is something at the target's name that we made
	size           int64 // as the file said, or without limit
	next           int64 // where the next chunk begins that no lane has taken
	lanes          [lanesMax]lane

	open        messages.Open
	times       messages.SetTimes
	chmod       messages.Chmod
	unlink      messages.Unlink
	closeSource messages.Close
	closeMade   messages.Close
}

func newTransfer(c *copier) *transfer {
	t := &transfer{copier: c, phase: ended}
	for i := range t.lanes {
		t.lanes[i].transfer = t
		t.lanes[i].asker = &t.lanes[i]
	}
	return t
}

// start begins with a file.
func (t *transfer) start(ctx actor.Context, l *load, name string) {
	t.load, t.name, t.err = l, name, nil
	t.made, t.size, t.next = false, 0, 0
	t.enter(ctx, opening)
}

// answered implements asker.
func (l *lane) answered(ctx actor.Context, _ *request) {
	t := l.transfer
	t.flying--
	switch err := l.answer.Err; {
	case err == nil:
		t.succeeded(l)
	case l.step == stepCreate && t.replaces(err):
		t.unlink = messages.Unlink{Dir: t.load.to, Path: t.targetName()}
		t.ask(l, stepReplace, &t.unlink)
	default:
		if errors.Is(err, messages.ErrOutcomeUnknown) {
			l.buf = nil // forfeited: the kernel may still write to it
		}
		t.fail(err)
	}
	if t.flying == 0 {
		t.advance(ctx)
	}
}

// succeeded does what follows an operation within its phase.
func (t *transfer) succeeded(l *lane) {
	switch l.step {
	case stepOpenSource:
		t.source = l.answer.Handle
		t.examined(t.open.Attributes(&l.answer))
	case stepReadFirst:
		l.got = l.answer.N
	case stepReplace:
		t.ask(l, stepCreate, &t.open)
	case stepCreate:
		t.target, t.made = l.answer.Handle, true
	case stepRead:
		t.hasRead(l)
	case stepWrite:
		t.hasWritten(l)
	}
}

// advance goes on to the next phase.
func (t *transfer) advance(ctx actor.Context) {
	if t.copier.stopping && t.phase < finishing {
		t.fail(errGivenUp)
	}
	switch {
	case t.phase == removing:
		t.enter(ctx, ended)
	case t.err != nil && t.phase < ended:
		t.enter(ctx, abandoning)
	default:
		t.enter(ctx, t.phase+1)
	}
}

// enter begins a phase, and goes on at once from one that has nothing to do.
func (t *transfer) enter(ctx actor.Context, phase phaseID) {
	t.phase = phase
	switch phase {
	case opening:
		t.openSource()
	case beginning:
		t.begin()
	case filling:
		t.fill()
	case finishing:
		t.finish()
	case closing:
		t.closeTarget()
	case ended:
		t.end(ctx)
		return // t may have begun with another file
	case abandoning:
		t.abandon()
	case removing:
		t.remove()
	}
	if t.flying == 0 {
		t.advance(ctx)
	}
}

func (t *transfer) ask(l *lane, step step, op messages.Op) {
	t.flying++
	t.copier.ask(&l.request, step, op)
}

func (t *transfer) fail(err error) {
	if t.err != nil {
		return
	}
	if err != errGivenUp {
		err = fmt.Errorf("copying %s: %w", joinPath(t.load.path, t.name), err)
	}
	t.err = err
}

func (t *transfer) openSource() {
	t.open = messages.Open{Dir: t.load.from, Path: t.name, Flags: os.O_RDONLY | syscall.O_NOFOLLOW, Stat: true}
	if t.load.as != "" {
		t.open.Flags = os.O_RDONLY
	}
	t.ask(&t.lanes[0], stepOpenSource, &t.open)
}

// begin reads all of the content, since most files are small, and makes the
// copy in the same breath.
func (t *transfer) begin() {
	first := &t.lanes[0]
	first.at, first.end, first.got = 0, firstRead, 0
	t.next = firstRead
	t.ask(first, stepReadFirst, first.reading())
	t.create()
}

func (t *transfer) examined(attributes *messages.Attributes) {
	if !attributes.Mode.IsRegular() {
		t.fail(errors.New("not a regular file any more"))
		return
	}
	t.mode = attributes.Mode.Perm() | attributes.Mode&specialBits
	t.size = attributes.Size
	t.times = messages.SetTimes{Modified: attributes.Modified}
}

// create makes the copy, with the source's mode from the start, so that at no
// time more people can read it than may.
func (t *transfer) create() {
	t.open = messages.Open{
		Dir:   t.load.to,
		Path:  t.targetName(),
		Flags: os.O_WRONLY | os.O_CREATE | os.O_EXCL | syscall.O_NOFOLLOW,
		Mode:  t.mode.Perm(),
	}
	t.ask(&t.lanes[1], stepCreate, &t.open)
}

// replaces says whether a name that is taken is to be made free. What is there
// is removed and not written to: it may be a link to a file elsewhere.
func (t *transfer) replaces(err error) bool {
	return t.copier.job.overwrite && errors.Is(err, fs.ErrExist)
}

// finish comes after the last write, which would change the times and may
// clear the set-id bits. The three operations are independent of each other.
func (t *transfer) finish() {
	t.giveBack()
	t.times.Dir = t.target
	t.ask(&t.lanes[0], stepLast, &t.times)
	if t.load.chmod || t.copier.job.needsChmod(t.mode) {
		t.chmod = messages.Chmod{Handle: t.target, Mode: t.mode}
		t.ask(&t.lanes[1], stepLast, &t.chmod)
	}
	t.shut(&t.lanes[2], &t.closeSource, &t.source)
}

// closeTarget waits for the answer like everything else: some file systems
// report a failed write only now.
func (t *transfer) closeTarget() {
	t.shut(&t.lanes[0], &t.closeMade, &t.target)
}

func (t *transfer) abandon() {
	t.giveBack()
	t.shut(&t.lanes[0], &t.closeMade, &t.target)
	t.shut(&t.lanes[1], &t.closeSource, &t.source)
}

// shut closes a handle, if there is one.
func (t *transfer) shut(l *lane, op *messages.Close, h *messages.Handle) {
	if h.IsZero() {
		return
	}
	op.Handle, *h = *h, messages.Handle{}
	t.ask(l, stepLast, op)
}

func (t *transfer) remove() {
	if t.made {
		t.unlink = messages.Unlink{Dir: t.load.to, Path: t.targetName()}
		t.ask(&t.lanes[0], stepLast, &t.unlink)
	}
}

func (t *transfer) end(ctx actor.Context) {
	if t.err == nil {
		t.copier.job.tally.files.Add(1)
	}
	t.copier.finished(ctx, t)
}

func (t *transfer) targetName() string {
	if t.load.as != "" {
		return t.load.as
	}
	return t.name
}
