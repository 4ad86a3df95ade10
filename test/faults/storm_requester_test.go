//go:build linux

package faults

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// stormed is an actor that keeps a number of operations in flight, each in a lane
// of its own, and measures what it sees of a crash.
type stormed struct {
	s *storm
	r *requester
	// failed is when the ring owner failed, in nanoseconds; 0 when an operation
	// that was submitted after that, which only the next ring can have performed,
	// is answered.
	failed atomic.Int64
	silent time.Duration // the longest time without an answer since then
	last   time.Time     // of the latest answer
	seen   pauses
}

// pauses are what requesters saw of crashes.
type pauses struct {
	silent  []time.Duration // the pause: see stormed.see
	renewed []time.Duration // from the failure to the first answer of the next ring
}

// add adds those of another requester.
func (p *pauses) add(other pauses) {
	p.silent, p.renewed = append(p.silent, other.silent...), append(p.renewed, other.renewed...)
}

// log prints them.
func (p *pauses) log(t testing.TB, when string) {
	t.Logf("%s: pause of a requester: median %v, 99th percentile %v, longest %v; first answer of the next ring: median %v, 99th percentile %v",
		when, at(p.silent, 0.5), at(p.silent, 0.99), at(p.silent, 1), at(p.renewed, 0.5), at(p.renewed, 0.99))
}

// at is the duration below which a part of all are. It sorts them.
func at(all []time.Duration, part float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[int(part*float64(len(all)-1))]
}

func (s *storm) stormed() *stormed {
	a := &stormed{s: s, r: s.o.requester()}
	a.r.then = a.answered
	return a
}

// crashed is called by whoever fails.
func (a *stormed) crashed(now time.Time) { a.failed.CompareAndSwap(0, now.UnixNano()) }

// see takes the time of an answer to what was submitted at a certain time. The
// pause that the requester sees is the longest silence between the failure and
// the first answer of the next ring; what the old ring still answers does not
// end it.
func (a *stormed) see(now, asked time.Time, performed bool) {
	defer func() { a.last = now }()
	nanos := a.failed.Load()
	if nanos == 0 {
		return
	}
	failed := time.Unix(0, nanos)
	since := failed
	if a.last.After(failed) {
		since = a.last
	}
	a.silent = max(a.silent, now.Sub(since))
	if performed && asked.After(failed) {
		a.seen.add(pauses{[]time.Duration{a.silent}, []time.Duration{now.Sub(failed)}})
		a.silent = 0
		a.failed.Store(0)
	}
}

// take gives what it has seen so far, and forgets it.
func (a *stormed) take() (seen pauses) {
	a.r.run(func(actor.Context) {
		seen, a.seen = a.seen, pauses{}
		a.silent = 0
		a.failed.Store(0)
	})
	return seen
}

// lane is one operation at a time.
type lane struct {
	kind  int
	buf   []byte
	chunk int
	asked time.Time
}

// stormKinds is what the lanes of a requester do.
var stormKinds = [stormLanes]func(*stormed, *lane) messages.Op{
	0: (*stormed).write, 1: (*stormed).stat, 2: (*stormed).timeout, 3: (*stormed).timeout, 4: (*stormed).nop, 5: (*stormed).nop,
	6: (*stormed).read, 7: (*stormed).read, 8: (*stormed).read, 9: (*stormed).read, 10: (*stormed).read,
	11: (*stormed).read, 12: (*stormed).read, 13: (*stormed).read, 14: (*stormed).read, 15: (*stormed).read,
}

func (a *stormed) read(l *lane) messages.Op {
	return &messages.Read{Handle: a.s.file, Buf: l.buf, Offset: int64(l.chunk) * stormChunk}
}

func (a *stormed) write(l *lane) messages.Op {
	return &messages.Write{Handle: a.s.file, Buf: stormContent(l.chunk), Offset: int64(l.chunk) * stormChunk}
}

func (a *stormed) stat(*lane) messages.Op { return &messages.Stat{Path: a.s.path} }

func (*stormed) timeout(*lane) messages.Op { return &messages.Timeout{After: time.Millisecond} }

func (*stormed) nop(*lane) messages.Op { return &messages.Nop{} }

// begin has each lane submit its first operation.
func (a *stormed) begin() {
	a.r.run(func(actor.Context) {
		for kind := range stormLanes {
			a.next(&lane{kind: kind, buf: make([]byte, stormChunk)})
		}
	})
}

// next submits a lane's next operation. It is called by the actor itself.
func (a *stormed) next(l *lane) {
	l.chunk = (l.chunk*31 + l.kind + 7) % stormChunks
	l.asked = time.Now()
	a.r.submit(stormKinds[l.kind](a, l)).tag = l
}

// answered is one operation's end.
func (a *stormed) answered(e *entry) {
	l := e.tag.(*lane)
	err := e.answerErr()
	a.see(e.at, l.asked, err == nil)
	if err == nil {
		l.judge(a.s.o.t, e)
	} else if !errors.Is(err, messages.ErrRestarted) {
		a.s.o.t.Errorf("%s: %v", e, err)
	}
	if !a.s.over.Load() {
		a.next(l)
	}
}

// judge looks at what a lane's operation has brought.
func (l *lane) judge(t testing.TB, e *entry) {
	switch op := e.op.(type) {
	case *messages.Read:
		if !bytes.Equal(e.data, stormContent(l.chunk)) {
			t.Errorf("chunk %d was read wrong", l.chunk)
		}
	case *messages.Write:
		if e.completion.N != len(op.Buf) {
			t.Errorf("%d bytes written of %d", e.completion.N, len(op.Buf))
		}
	case *messages.Stat:
		if size := op.Result(e.completion).Size; size != stormChunks*stormChunk {
			t.Errorf("the file has %d bytes", size)
		}
	}
}

// stormContent is what is in a chunk of the file, and stays there.
func stormContent(chunk int) []byte {
	return bytes.Repeat([]byte{byte(chunk), byte(chunk >> 8), 'o', 'k'}, stormChunk/4)
}

// makeStormFile makes the file.
func makeStormFile(path string) error {
	var content []byte
	for chunk := range stormChunks {
		content = append(content, stormContent(chunk)...)
	}
	return os.WriteFile(path, content, 0o600)
}
