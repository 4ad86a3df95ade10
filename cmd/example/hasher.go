package main

import (
	"crypto/sha256"
	"errors"
	"hash"
	"os"
	"syscall"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

const (
	// hashersPerCore: more than one, so that a core has another hasher to run
	// when the files of one are not there yet.
	hashersPerCore = 2
	// digestsEach is how many files each has in flight.
	digestsEach = 8
	// readAhead is how much is read at a time, while as much is hashed.
	readAhead = 128 << 10
)

var (
	// errIsDir: a path turned out to be a directory.
	errIsDir = errors.New("is a directory")
	// errSkipped: an entry turned out to be nothing that is hashed.
	errSkipped = errors.New("skipped")
)

// sheaf is some files to be hashed.
type sheaf struct {
	dir   messages.Handle // where the paths start, unless they are absolute
	items []item
	// named says that the user named the files: links are followed, and what is
	// there can be anything.
	named bool
}

func (s *sheaf) weight() int { return len(s.items) }

// item is a file to be hashed.
type item struct {
	entry  *entry // the indexer's, which alone looks into it
	path   string
	unsure bool // whether it is a regular file
}

// sheafDone is the answer to a sheaf, with a result for each item.
type sheafDone struct {
	sheaf   *sheaf
	results []result
}

type result struct {
	sum [sha256.Size]byte
	err error
}

// pile is a sheaf in a hasher's hands.
type pile struct {
	*sheaf
	results []result
	next    int // the next one to start
	left    int // how many are not done
}

// hasher hashes files: it takes sheaves, keeps some files in flight as digests,
// and hashes one chunk of one of them at a time while the kernel reads the
// others.
type hasher struct {
	port
	indexer *actor.PID
	piles   []*pile // with items left to start
	idle    []*digest
	filled  []*digest // have a chunk to be hashed
}

func newHasher(job *sumJob, indexer *actor.PID) *hasher {
	h := &hasher{indexer: indexer, port: port{owner: job.owner}}
	for range digestsEach {
		d := &digest{hasher: h, hash: sha256.New()}
		d.asker = d
		h.idle = append(h.idle, d)
	}
	return h
}

// Receive implements actor.Actor.
func (h *hasher) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		h.self = ctx.Self()
	case *sheaf:
		h.piles = append(h.piles, &pile{sheaf: m, results: make([]result, len(m.items)), left: len(m.items)})
		h.startMore()
	default:
		h.receive(ctx)
	}
	h.flush(ctx)
	h.hash()
}

// hash hashes what has been read, now that the next reads are under way.
func (h *hasher) hash() {
	for _, d := range h.filled {
		d.hash.Write(d.bufs[0][:d.got])
	}
	h.filled = h.filled[:0]
}

func (h *hasher) startMore() {
	for len(h.idle) > 0 && len(h.piles) > 0 {
		d := h.idle[len(h.idle)-1]
		h.idle = h.idle[:len(h.idle)-1]
		s := h.piles[0]
		i := s.next
		if s.next++; s.next == len(s.items) {
			h.piles = h.piles[1:]
		}
		d.start(s, i)
	}
}

// What a digest's request is for.
const (
	stepOpenFile step = iota
	stepLook
	stepReadNext
	stepCloseFile
)

// digest hashes one file after another. It has one operation in flight: the
// next read goes on while the chunk before is hashed.
type digest struct {
	request
	hasher *hasher
	pile   *pile
	index  int
	hash   hash.Hash

	file   messages.Handle
	stream bool // it has no offsets
	offset int64
	bufs   [2][]byte // one that is hashed, one that is read into
	got    int       // bytes in the first one

	open  messages.Open
	stat  messages.Stat
	read  messages.Read
	close messages.Close
}

func (d *digest) start(s *pile, index int) {
	d.pile, d.index = s, index
	d.stream, d.offset = false, 0
	d.hash.Reset()
	d.open = messages.Open{Dir: s.dir, Path: s.items[index].path, Flags: os.O_RDONLY | syscall.O_NOFOLLOW}
	if s.named {
		d.open.Flags = os.O_RDONLY
	}
	d.hasher.ask(&d.request, stepOpenFile, &d.open)
}

// answered implements asker.
func (d *digest) answered(ctx actor.Context, _ *request) {
	if err := d.answer.Err; err != nil {
		d.failed(ctx, err)
		return
	}
	switch d.step {
	case stepOpenFile:
		d.opened(d.answer.Handle)
	case stepLook:
		d.looked(d.answer.Value.(*messages.Attributes))
	case stepReadNext:
		d.hasRead(d.answer.N)
	case stepCloseFile:
		d.finished(ctx)
	}
}

func (d *digest) opened(h messages.Handle) {
	d.file = h
	if d.pile.named || d.pile.items[d.index].unsure {
		d.stat = messages.Stat{Dir: h}
		d.hasher.ask(&d.request, stepLook, &d.stat)
		return
	}
	d.readNext()
}

// looked decides what is to be done with a file whose type was not known.
func (d *digest) looked(a *messages.Attributes) {
	switch {
	case a.Mode.IsDir():
		d.end(errIsDir)
	case !a.Mode.IsRegular() && !d.pile.named:
		d.end(errSkipped)
	default:
		d.stream = !a.Mode.IsRegular()
		d.readNext()
	}
}

func (d *digest) readNext() {
	if d.bufs[1] == nil {
		d.bufs[1] = make([]byte, readAhead)
	}
	d.read = messages.Read{Handle: d.file, Buf: d.bufs[1], Offset: d.offset}
	d.hasher.ask(&d.request, stepReadNext, &d.read)
}

// hasRead asks for the next chunk, and has this one hashed while it is read.
func (d *digest) hasRead(n int) {
	if n == 0 {
		d.hash.Sum(d.pile.results[d.index].sum[:0])
		d.end(nil)
		return
	}
	if !d.stream {
		d.offset += int64(n)
	}
	d.bufs[0], d.bufs[1], d.got = d.bufs[1], d.bufs[0], n
	d.readNext()
	d.hasher.filled = append(d.hasher.filled, d)
}

// end notes how it ended and closes the file.
func (d *digest) end(err error) {
	d.pile.results[d.index].err = err
	d.close = messages.Close{Handle: d.file}
	d.hasher.ask(&d.request, stepCloseFile, &d.close)
}

func (d *digest) failed(ctx actor.Context, err error) {
	if errors.Is(err, messages.ErrOutcomeUnknown) {
		d.bufs[1] = nil // forfeited: the kernel may still write to it
	}
	switch {
	case d.step == stepOpenFile && !d.pile.named && errors.Is(err, syscall.ELOOP):
		d.pile.results[d.index].err = errSkipped // a link after all
		d.finished(ctx)
	case d.step == stepOpenFile:
		d.pile.results[d.index].err = err
		d.finished(ctx)
	case d.step == stepCloseFile: // what was read is read
		d.finished(ctx)
	default:
		d.end(err)
	}
}

// finished reports the sheaf after its last file, and goes on.
func (d *digest) finished(ctx actor.Context) {
	h, s := d.hasher, d.pile
	if s.left--; s.left == 0 {
		ctx.Send(h.indexer, &sheafDone{sheaf: s.sheaf, results: s.results})
	}
	h.idle = append(h.idle, d)
	h.startMore()
}
