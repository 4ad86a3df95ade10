//go:build linux

package faults

import (
	"bytes"
	"errors"
	"hash/maphash"
	"slices"
	"sync"
	"testing"

	"github.com/ringmaster-io/ringmaster/messages"
)

// guards watch the buffers that are lent to the subsystem (O2, O7). A read
// buffer is filled with poison when it is lent. When it comes back, what the
// answer does not claim to have filled must be poison still; it is poisoned
// again, and must stay so until it is lent again or the test ends: whoever
// writes to it in between has no right to. A write buffer must come back as it
// was lent.
//
// A buffer that is forfeited, or whose operation nobody waits for any more, is
// the subsystem's for ever: it is kept, and not looked at.
type guards struct {
	mu      sync.Mutex
	buffers map[*byte]*guard
	sums    maphash.Hash
}

// guard is for one buffer.
type guard struct {
	buf  []byte
	lent bool
	lost bool   // forfeited or orphaned
	sum  uint64 // of a write buffer, while it is lent
}

// guardMax bounds what is guarded: larger buffers are for tests of sizes.
const guardMax = 64 << 20

const poisonByte = 0xEE

var poisonPage = bytes.Repeat([]byte{poisonByte}, 64<<10)

func poison(buf []byte) {
	for len(buf) > 0 {
		buf = buf[copy(buf, poisonPage):]
	}
}

// firstClean is where a buffer is no poison, or -1.
func firstClean(buf []byte) int {
	for at := 0; at < len(buf); at += len(poisonPage) {
		part := buf[at:min(at+len(poisonPage), len(buf))]
		if bytes.Equal(part, poisonPage[:len(part)]) {
			continue
		}
		return at + slices.IndexFunc(part, func(b byte) bool { return b != poisonByte })
	}
	return -1
}

// loan is the buffers of one operation.
type loan struct {
	t      testing.TB
	guards *guards
	op     messages.Op
	read   []*guard
	write  []*guard
}

// lend guards the buffers of an operation.
func (g *guards) lend(t testing.TB, op messages.Op) loan {
	l := loan{t: t, guards: g, op: op}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch op := op.(type) {
	case *messages.Read:
		l.read = g.lendAll(t, [][]byte{op.Buf}, true)
	case *messages.ReadV:
		l.read = g.lendAll(t, op.Bufs, true)
	case *messages.Write:
		l.write = g.lendAll(t, [][]byte{op.Buf}, false)
	case *messages.WriteV:
		l.write = g.lendAll(t, op.Bufs, false)
	}
	return l
}

func (g *guards) lendAll(t testing.TB, bufs [][]byte, read bool) (all []*guard) {
	for _, buf := range bufs {
		if len(buf) == 0 || len(buf) > guardMax {
			continue
		}
		all = append(all, g.lendOne(t, buf, read))
	}
	return all
}

func (g *guards) lendOne(t testing.TB, buf []byte, read bool) *guard {
	if g.buffers == nil {
		g.buffers = make(map[*byte]*guard)
	}
	known := g.buffers[&buf[0]]
	if known == nil {
		known = &guard{}
		g.buffers[&buf[0]] = known
	} else {
		if known.lent || known.lost {
			t.Errorf("the test lends a buffer that is not its own")
		}
		known.check(t)
	}
	known.buf, known.lent = buf, true
	if read {
		poison(buf)
	} else {
		known.sum = g.sumOf(buf)
	}
	return known
}

func (g *guards) sumOf(buf []byte) uint64 {
	g.sums.Reset()
	_, _ = g.sums.Write(buf)
	return g.sums.Sum64()
}

// check looks at a buffer that nobody may write to.
func (b *guard) check(t testing.TB) {
	t.Helper()
	if at := firstClean(b.buf); at >= 0 {
		t.Errorf("O2: a buffer was written to after its terminal answer, near byte %d of %d", at, len(b.buf))
	}
}

// back takes the buffers back that an operation has filled up to n bytes, and
// gives a copy of these.
func (l *loan) back(n int, err error) (data []byte) {
	if l.guards == nil || len(l.read)+len(l.write) == 0 {
		return nil
	}
	if errors.Is(err, messages.ErrOutcomeUnknown) {
		l.orphan()
		return nil
	}
	if err != nil {
		n = 0
	}
	l.guards.mu.Lock()
	defer l.guards.mu.Unlock()
	for _, b := range l.read {
		k := min(n, len(b.buf))
		n -= k
		data = append(data, b.buf[:k]...)
		if at := firstClean(b.buf[k:]); at >= 0 {
			l.t.Errorf("O2: %s filled %d bytes of a buffer, and wrote near byte %d as well (%v)", l.op.Name(), k, k+at, err)
		}
		poison(b.buf[:k])
		b.lent = false
	}
	for _, b := range l.write {
		if l.guards.sumOf(b.buf) != b.sum {
			l.t.Errorf("O2: %s changed its buffer", l.op.Name())
		}
		delete(l.guards.buffers, &b.buf[0]) // its owner may fill it again
	}
	return data
}

// orphan gives the buffers up.
func (l *loan) orphan() {
	if l.guards == nil {
		return
	}
	l.guards.mu.Lock()
	defer l.guards.mu.Unlock()
	for _, b := range append(l.read, l.write...) {
		b.lost = true
	}
}

// judge looks at all buffers that are back.
func (g *guards) judge(t testing.TB) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range g.buffers {
		if !b.lent && !b.lost {
			b.check(t)
		}
	}
}
