package main

import (
	"io"
	"math"

	"github.com/ringmaster-io/ringmaster/messages"
)

// lanesMax is how many chunks of one file are in flight.
const lanesMax = 4

// lane is one operation in flight: while a file is filled, one chunk of it that
// is read and then written.
type lane struct {
	request
	transfer *transfer
	buf      []byte // the copier's, while the lane moves data
	read     messages.Read
	write    messages.Write
	at, end  int64 // what is left of the chunk
	got      int   // bytes of the chunk that are read and not written
}

// fill writes what has been read, and starts as many lanes as there are chunks.
// A file without a size, as those of /proc, or that has grown meanwhile is read
// to its end by one lane.
func (t *transfer) fill() {
	first := &t.lanes[0]
	if int64(first.got) > t.size {
		t.size, t.next = math.MaxInt64, math.MaxInt64
	}
	first.end = min(t.next, t.size)
	if first.got > 0 {
		t.ask(first, stepWrite, first.writing())
	}
	for i := 1; i < lanesMax && t.next < t.size && t.copier.buffers.chunks < chunksMax; i++ {
		t.nextChunk(&t.lanes[i])
	}
}

// nextChunk gives a lane the next chunk that no lane has taken, if there is one.
func (t *transfer) nextChunk(l *lane) {
	if t.next >= t.size {
		return
	}
	l.at = t.next
	l.end = min(l.at+chunk, t.size)
	t.next = l.end
	t.ask(l, stepRead, l.reading())
}

func (t *transfer) hasRead(l *lane) {
	l.got = l.answer.N
	if l.got > 0 && t.err == nil { // 0: the file ends before its size, or has none
		t.ask(l, stepWrite, l.writing())
	}
}

func (t *transfer) hasWritten(l *lane) {
	n := l.answer.N
	if n == 0 {
		t.fail(io.ErrShortWrite)
		return
	}
	t.copier.job.tally.bytes.Add(int64(n))
	l.at += int64(n)
	l.got -= n
	switch {
	case t.err != nil || t.copier.stopping:
	case l.got > 0:
		l.write.Buf, l.write.Offset = l.write.Buf[n:], l.at
		t.ask(l, stepWrite, &l.write)
	case l.at < l.end:
		t.ask(l, stepRead, l.reading())
	default:
		t.nextChunk(l)
	}
}

// reading is the operation that reads what is left of the chunk.
func (l *lane) reading() messages.Op {
	n := min(int64(chunk), l.end-l.at)
	if int64(len(l.buf)) < n {
		l.transfer.copier.buffers.giveBack(&l.buf)
		l.buf = l.transfer.copier.buffers.take(int(n))
	}
	l.read = messages.Read{Handle: l.transfer.source, Buf: l.buf[:n], Offset: l.at}
	return &l.read
}

// writing is the operation that writes what was read.
func (l *lane) writing() messages.Op {
	l.write = messages.Write{Handle: l.transfer.target, Buf: l.buf[:l.got], Offset: l.at}
	return &l.write
}

// giveBack gives the buffers back: nothing is in flight that uses them.
func (t *transfer) giveBack() {
	for i := range t.lanes {
		t.copier.buffers.giveBack(&t.lanes[i].buf)
	}
}
