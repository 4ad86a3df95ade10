//go:build linux

package faults

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// A read past the page cache is one request in the block layer, which nothing
// can cancel: at this size and this speed it takes longer than any wait of a
// test, unless the disk is made fast again meanwhile.
const (
	slowRead  = 256 << 10
	slowSpeed = slowRead / int(2*patience/time.Second) // bytes a second
	// soon is for how long the disk is watched being at it.
	soon = 300 * time.Millisecond
)

// slowReading is such a read, which is with the kernel.
type slowReading struct {
	o    *oracle
	r    *requester
	disk *slowDisk
	file messages.Handle
	buf  []byte
	e    *entry
	// content is what the file holds.
	content []byte
}

func readSlowly(o *oracle, d *slowDisk) *slowReading {
	o.t.Helper()
	s := &slowReading{
		o:       o,
		r:       o.requester(),
		disk:    d,
		buf:     make([]byte, slowRead), // so large that Go aligns it to a page
		content: pattern(make([]byte, slowRead), 0),
	}
	s.file = do(o, &messages.Open{Path: d.path("data"), Flags: os.O_RDONLY | unix.O_DIRECT})
	d.slow(slowSpeed, 0)
	s.e = s.r.submit(&messages.Read{Handle: s.file, Buf: s.buf})
	o.inFlight(1)
	return s
}

// quiet watches the read for a while: it is not answered, and of its buffer
// nobody but the kernel has touched a page.
func (s *slowReading) quiet(d time.Duration) {
	t := s.o.t
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		open := s.e.whileOpen(func() { requirePoisonOr(t, s.buf, s.content) })
		require.True(t, open, "answered while the disk has it")
		do(s.o, &messages.Timeout{After: 10 * time.Millisecond}) // others are served
	}
}

// ends has the disk come to an end, waits for the read's, and checks that it is
// the true one.
func (s *slowReading) ends() {
	t := s.o.t
	t.Helper()
	s.fast()
	require.NoError(t, s.e.err())
	s.finished(s.e.data)
}

// fast has the disk come to an end with the read, which it is at until then.
func (s *slowReading) fast() {
	s.o.t.Helper()
	s.unfinished()
	s.disk.slow(0, 0)
}

// whileOpen calls f, unless the entry is answered, and then reports false: the
// answer does not come in between.
func (e *entry) whileOpen(f func()) bool {
	e.r.mu.Lock()
	defer e.r.mu.Unlock()
	if !e.done {
		f()
	}
	return !e.done
}

// requirePoisonOr checks that each page of a buffer that the kernel may be
// writing to is what it was, or what it is to become.
func requirePoisonOr(t testing.TB, buf, content []byte) {
	t.Helper()
	page := os.Getpagesize()
	for at := 0; at < len(buf); at += page {
		part := buf[at:min(at+page, len(buf))]
		if firstClean(part) >= 0 && !bytes.Equal(part, content[at:at+len(part)]) {
			t.Fatalf("O2: somebody else has written to page %d of a buffer that the kernel has", at/page)
		}
	}
}

// TestCancelEnoentBlockIO cancels a read that a disk is at (T2): the kernel says
// that it knows of no such thing, and completes it later in full. It is not answered before, its buffer is not touched, and then
// the answer is the true one.
func TestCancelEnoentBlockIO(t *testing.T) {
	d := newSlowDisk(t)
	d.write("data", pattern(make([]byte, slowRead), 0))
	o := start(t)
	s := readSlowly(o, d)
	c := s.r.cancel(s.e)
	s.quiet(soon)
	require.Equal(t, 1, o.inspect().InFlight)
	s.ends()
	require.Equal(t, messages.Cancelled, c.wait(s.r).Outcome) // it was open, and was asked to end
	do(o, &messages.Close{Handle: s.file})
}

// TestAbandonedBlockIO has the requester die instead: the read is its buffer's
// owner until it ends, and then nothing is left of it.
func TestAbandonedBlockIO(t *testing.T) {
	d := newSlowDisk(t)
	d.write("data", pattern(make([]byte, slowRead), 0))
	o := start(t)
	s := readSlowly(o, d)
	s.r.stop()
	for end := time.Now().Add(soon); time.Now().Before(end); {
		require.Equal(t, 1, o.inspect().InFlight)
		requirePoisonOr(t, s.buf, s.content)
		do(o, &messages.Timeout{After: 10 * time.Millisecond})
	}
	s.fast()
	o.inFlight(0)
	s.finished(s.buf)
	require.EqualValues(t, 1, o.inspect().Orphaned)
	do(o, &messages.Close{Handle: s.file})
}

// TestRingLostWithBlockIO has the ring owner fail while a disk is at a read. The
// old ring is drained beside the new one: the true result comes, and nobody else
// has touched the buffer.
func TestRingLostWithBlockIO(t *testing.T) {
	for _, policy := range []actors.Policy{actors.Drain, actors.CancelInFlight} {
		t.Run(policy.String(), func(t *testing.T) {
			d := newSlowDisk(t)
			d.write("data", pattern(make([]byte, slowRead), 0))
			s := &striker{point: actors.FailTaken}
			o := start(t, supervisor.WithPolicy(policy), supervisor.WithFailpoint(s.hook))
			slow := readSlowly(o, d)
			s.strike(o)
			eventually(t, "there is another ring", func() bool { return o.inspect().Epoch == 2 })
			require.Equal(t, 1, o.inspect().Draining)
			require.Zero(t, o.inspect().Quarantined)
			slow.quiet(soon)
			slow.ends()
			eventually(t, "the old ring is closed", func() bool { return o.inspect().Draining == 0 })
			do(o, &messages.Close{Handle: slow.file})
		})
	}
}

// TestDrainDeadlineWithBlockIO gives the drain less time than the disk takes:
// the read is answered once, as unknown, and its buffer is in quarantine until
// the disk has written to it.
func TestDrainDeadlineWithBlockIO(t *testing.T) {
	d := newSlowDisk(t)
	d.write("data", pattern(make([]byte, slowRead), 0))
	s := &striker{point: actors.FailTaken}
	o := start(t, supervisor.WithFailpoint(s.hook), hurried)
	o.unknownMax = 1
	slow := readSlowly(o, d)
	s.strike(o)
	slow.forfeited()
	require.Equal(t, 1, o.inspect().Draining, "the ring stays, to be reaped")
	slow.released()
}

// forfeited waits until the read is given up, before the disk is done.
func (s *slowReading) forfeited() {
	t := s.o.t
	t.Helper()
	err := s.e.err()
	require.ErrorIs(t, err, messages.ErrOutcomeUnknown)
	require.Nil(t, s.e.completion.Op)
	s.unfinished()
	require.Equal(t, 1, s.o.inspect().Quarantined)
}

// unfinished checks that the disk is still at it, without which a test shows
// nothing.
func (s *slowReading) unfinished() {
	s.o.t.Helper()
	require.False(s.o.t, bytes.Equal(s.content, s.buf), "the disk is not slow: the test shows nothing")
}

// finished checks that the disk has written to the buffer all that it will.
func (s *slowReading) finished(buf []byte) {
	s.o.t.Helper()
	require.True(s.o.t, bytes.Equal(s.content, buf), "O7: the kernel was not done with the buffer")
}

// released has the disk come to an end and waits until the quarantine of the
// buffer ends: the disk has written to it by then.
func (s *slowReading) released() {
	t := s.o.t
	t.Helper()
	s.fast()
	eventually(t, "the quarantine is lifted", func() bool {
		requirePoisonOr(t, s.buf, s.content)
		return s.o.inspect().Quarantined == 0
	})
	s.finished(s.buf)
	do(s.o, &messages.Close{Handle: s.file})
}

// TestClosedRingWithBlockIO loses the ring in such a way that it cannot be
// reaped to its end, and is closed while a disk is at a read. That is no barrier:
// the buffer is written to long after, and stays in quarantine until then.
func TestClosedRingWithBlockIO(t *testing.T) {
	d := newSlowDisk(t)
	d.write("data", pattern(make([]byte, slowRead), 0))
	var l loser
	o := start(t, l.option, hurried)
	o.needsRing("a ring that is closed, which ends nothing")
	o.unknownMax = 1
	slow := readSlowly(o, d)
	l.lose(o)
	slow.forfeited()
	eventually(t, "the old ring is closed", func() bool { return len(rings(t)) == 1 })
	require.Equal(t, 1, o.inspect().Quarantined)
	slow.released()
}
