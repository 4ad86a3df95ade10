//go:build linux

package faults

import (
	"context"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// TestSubmitBlocks has each kind of operation hang on a device that does not
// answer (T4), some of which the kernel would perform in the submission itself,
// which does not return then. Others' operations go on.
func TestSubmitBlocks(t *testing.T) {
	for _, h := range hangingOps {
		t.Run(h.name, func(t *testing.T) {
			m := mountFUSE(t)
			o := start(t, supervisor.WithStuckAfter(patience)) // who is held up is not to be helped
			p := newPulse(o)
			e, _ := hangOne(m, o.requester(), h)
			p.regular(m)
			require.True(t, e.whileOpen(func() {}), "answered by nobody")
			m.serve()
			require.NoError(t, e.err())
			require.Zero(t, o.inspect().Failures)
		})
	}
}

// TestCancelNeverWins cancels a read that hangs in a device (T3). The kernel says
// that it is at it, and so the read stays open, others are
// served, and there is no CancelResult. When the ring is lost and the deadline
// of the drain comes, it is answered as unknown, once; its buffer is in
// quarantine until the device has answered.
func TestCancelNeverWins(t *testing.T) {
	m := mountFUSE(t)
	s := &striker{}
	o := start(t, supervisor.WithFailpoint(s.hook), hurried)
	o.unknownMax = 1
	p, r := newPulse(o), o.requester()
	file := m.open(o, "file", os.O_RDONLY)
	m.hang("read")
	buf := pageOf()
	e := r.submit(&messages.Read{Handle: file, Buf: buf})
	m.hung("read", 1)
	c := r.cancel(e)
	p.regular(m)
	require.True(t, e.whileOpen(func() { require.Negative(t, firstClean(buf), "nobody has written to it") }))
	require.Equal(t, 1, o.inspect().InFlight)

	s.strike(o)
	require.ErrorIs(t, e.err(), messages.ErrOutcomeUnknown)
	require.Nil(t, e.completion.Op, "the buffer is forfeited")
	require.Equal(t, messages.Cancelled, c.wait(r).Outcome)
	p.regular(m)
	in := o.inspect()
	require.Equal(t, 1, in.Quarantined)
	require.Equal(t, 1, in.Draining)
	require.EqualValues(t, 2, in.Epoch)
	require.Negative(t, firstClean(buf), "O7: the buffer is nobody's but the kernel's")

	m.serve()
	eventually(t, "the quarantine is lifted", func() bool {
		in := o.inspect()
		return in.Quarantined == 0 && in.Draining == 0
	})
	require.EqualValues(t, 1, o.inspect().Unknown)
	do(o, &messages.Close{Handle: file})
	m.closed()
}

// TestQuarantineKeepsMemory forfeits a buffer that nobody has any more but the
// subsystem: the garbage collector does not get it while the device may have it
// written to, and gets it afterwards.
func TestQuarantineKeepsMemory(t *testing.T) {
	m := mountFUSE(t)
	s := &striker{}
	o := start(t, supervisor.WithFailpoint(s.hook), hurried)
	o.unknownMax, o.others = 1, true // the ledger and the guards would have the buffer as well
	file := m.open(o, "file", os.O_RDONLY)
	m.hang("read")
	var collected atomic.Bool
	ended := make(chan error, 1)
	go func() {
		buf := new([32 << 10]byte)
		runtime.AddCleanup(buf, func(*atomic.Bool) { collected.Store(true) }, &collected)
		_, err := actors.Await(context.Background(), o.c, &messages.Read{Handle: file, Buf: buf[:]})
		ended <- err
	}()
	m.hung("read", 1)
	s.strike(o)
	require.ErrorIs(t, <-ended, messages.ErrOutcomeUnknown)
	for range 3 { // two would do for whatever is not referred to
		runtime.GC()
		do(o, &messages.Timeout{After: 10 * time.Millisecond}) // cleanups have a goroutine of their own
	}
	require.False(t, collected.Load(), "O7: memory that the kernel has was given back")
	require.Equal(t, 1, o.inspect().Quarantined)
	m.serve()
	eventually(t, "the memory is given back", func() bool { runtime.GC(); return collected.Load() })
	require.Zero(t, o.inspect().Quarantined)
}

// TestLateLookupAfterCancel has an open hang in a device, in either of its two
// requests, be given up, and then succeed (T5). The descriptor that it brings is
// closed: the device is told of it.
func TestLateLookupAfterCancel(t *testing.T) {
	for how, giveUp := range map[string]func(*requester, []*entry){
		"cancelled": func(r *requester, all []*entry) {
			for _, e := range all {
				r.cancel(e)
			}
		},
		"abandoned": func(r *requester, all []*entry) {
			for _, e := range all {
				r.abandon(e)
			}
		},
		"requester stopped": func(r *requester, _ []*entry) { r.stop() },
	} {
		for _, kind := range []string{"lookup", "open"} {
			t.Run(how+" in "+kind, func(t *testing.T) { giveUpOpens(t, kind, how, giveUp) })
		}
	}
}

func giveUpOpens(t *testing.T, kind, how string, giveUp func(*requester, []*entry)) {
	m := mountFUSE(t)
	o := start(t)
	p, r := newPulse(o), o.requester()
	const opens = 10
	m.hang(kind)
	var all []*entry
	for k := range opens {
		all = append(all, r.submit(&messages.Open{Path: m.path(string('a' + rune(k))), Flags: os.O_RDONLY}))
	}
	m.hung(kind, opens)
	giveUp(r, all)
	p.regular(m)
	require.Equal(t, opens, o.inspect().InFlight, "the kernel has them still")
	m.serve()
	o.inFlight(0)
	kept := 0
	if how == "cancelled" {
		r.settled()
		kept = keptOpens(o, all)
	}
	opened := m.closed()
	in := o.inspect()
	require.EqualValues(t, opened, int(in.LateClosed)+kept)
	if kind == "open" {
		require.Equal(t, opens, opened, "they succeed, since the device has promised")
	}
	t.Logf("of %d opens, %d succeeded late, and %d of their handles were delivered", opens, opened, kept)
}

// keptOpens closes what cancelled opens have brought all the same, and were told
// to their requester.
func keptOpens(o *oracle, all []*entry) (kept int) {
	o.t.Helper()
	for _, e := range all {
		if err := e.err(); err != nil {
			require.ErrorIs(o.t, err, context.Canceled)
			continue
		}
		kept++
		do(o, &messages.Close{Handle: e.completion.Handle})
	}
	return kept
}

// TestDescribeAsksNoDevice has a device hang when it is asked for what a file is.
// An Adopt and an Open have to know it, and are not to ask there.
func TestDescribeAsksNoDevice(t *testing.T) {
	m := mountFUSE(t)
	o := start(t)
	f, err := os.Open(m.path("file"))
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	m.hang("getattr")
	require.Equal(t, 10, len(do(o, &messages.Read{Handle: o.adopt(f), Buf: make([]byte, 10)})))
	require.Equal(t, 10, len(do(o, &messages.Read{Handle: m.open(o, "file", os.O_RDONLY), Buf: make([]byte, 10)})))
	p := newPulse(o)
	e := o.requester().submit(&messages.Stat{Dir: o.adopt(f)})
	m.hung("getattr", 1) // which shows that it would be asked
	p.regular(m)
	m.serve()
	require.NoError(t, e.err())
}
