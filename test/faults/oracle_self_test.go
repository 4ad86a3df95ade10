//go:build linux

package faults

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/messages"
)

// recorder is a testing.TB that keeps what it is told of failures, so that a
// test can see the oracle fail.
type recorder struct {
	testing.TB
	mu   sync.Mutex
	said []string
}

// Errorf implements testing.TB.
func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

// requireSaid checks that one failure was told, and which.
func (r *recorder) requireSaid(t *testing.T, what string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Len(t, r.said, 1)
	require.Contains(t, r.said[0], what)
	r.said = nil
}

// TestOracleSeesBuffers: the guards notice each way in which a buffer may be
// written to that is not the writer's.
func TestOracleSeesBuffers(t *testing.T) {
	const long = 100_000
	for _, c := range []struct {
		name string
		do   func(tb testing.TB, g *guards, buf []byte)
		says string
	}{
		{"beyond the result", func(tb testing.TB, g *guards, buf []byte) {
			l := g.lend(tb, &messages.Read{Buf: buf})
			buf[70_000] = 0
			l.back(10, nil)
		}, "wrote near byte 70000 as well"},
		{"with an error", func(tb testing.TB, g *guards, buf []byte) {
			l := g.lend(tb, &messages.ReadV{Bufs: [][]byte{buf[:10], buf[10:]}})
			buf[long-1] = 0
			l.back(0, messages.ErrStopped)
		}, "wrote near byte 99989 as well"},
		{"after the answer", func(tb testing.TB, g *guards, buf []byte) {
			l := g.lend(tb, &messages.Read{Buf: buf})
			buf[0] = 'x'
			require.Equal(tb, "x", string(l.back(1, nil)))
			buf[1] = 0
			g.judge(tb)
		}, "after its terminal answer, near byte 1 of"},
		{"before it is lent again", func(tb testing.TB, g *guards, buf []byte) {
			l := g.lend(tb, &messages.Read{Buf: buf})
			l.back(0, nil)
			buf[2] = 0
			g.lend(tb, &messages.Read{Buf: buf})
		}, "after its terminal answer, near byte 2 of"},
		{"of a write", func(tb testing.TB, g *guards, buf []byte) {
			l := g.lend(tb, &messages.Write{Buf: buf})
			buf[3]++
			l.back(long, nil)
		}, "write changed its buffer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tb := &recorder{TB: t}
			c.do(tb, &guards{}, make([]byte, long))
			tb.requireSaid(t, c.says)
		})
	}
}

// TestOracleSeesAnswers: the ledger notices answers that are not owed.
func TestOracleSeesAnswers(t *testing.T) {
	o := start(t)
	tb := &recorder{TB: t}
	o.t = tb
	defer func() { o.t = t }()
	r := o.requester()
	e := r.submit(&messages.Nop{})
	answer := *e.completed()
	tell := func(m any) {
		o.system.Root.Send(r.pid, m)
		r.judge()
	}
	tell(&answer)
	tb.requireSaid(t, "a second answer for "+e.String())
	tell(&messages.Completion{})
	tb.requireSaid(t, "which it did not ask")
	tell(&messages.CancelResult{})
	tb.requireSaid(t, "or one that was not asked")
	tell("hello")
	tb.requireSaid(t, "got a string")

	owed := r.entry(&messages.Nop{})
	r.book(owed)
	r.judge()
	tb.requireSaid(t, "1 answers and 0 cancel results never came: [nop "+owed.id.String()+"]")
	r.answer(owed, messages.OpID{Owner: r.pid, Seq: 77}, owed.op, func() { owed.refused = &messages.Refused{} })
	tb.requireSaid(t, "says "+r.pid.Id+"#77")

	early := &cancellation{of: r.entry(&messages.Nop{})}
	r.book(early.of)
	r.mu.Lock()
	r.asked++
	r.mu.Unlock()
	tell(&messages.CancelResult{Token: early})
	tb.requireSaid(t, early.of.id.String()+" comes before its terminal answer")

	o.submitted.Add(^uint64(1)) // two were never sent
	o.refused.Add(^uint64(0))
	o.unheard.Add(^uint64(0))
}

// TestOracleReadsTheRing: an armed poll is seen in the kernel's own list, and
// is not there any more when it has ended.
func TestOracleReadsTheRing(t *testing.T) {
	o := start(t)
	o.needsRing("what the kernel lists of a ring")
	reader, _ := o.pipe()
	pipe := o.adopt(reader)
	r := o.requester()
	poll := r.submit(&messages.Poll{Handle: pipe, Events: messages.Readable})
	eventually(t, "the kernel lists the poll", func() bool {
		views := rings(t)
		return len(views) == 1 && len(views[0].polls) == 1 && !views[0].settled() &&
			strings.HasPrefix(views[0].polls[0], "op=6")
	})
	r.cancel(poll)
	r.settled()
	do(o, &messages.Close{Handle: pipe})
	eventually(t, "it is gone from the list", func() bool { return theRing(o).settled() })
}
