//go:build linux

package faults

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/messages"
)

// work is a workload of which each operation leaves a trace, so that one which
// was lost, repeated or mixed up shows: records appended to a file, records at
// their places in another, words read from a pipe, names that change, and
// timers, polls and cancellations among them. An operation that the failing
// ring owner refuses has not happened, and is asked for again.
type work struct {
	o      *oracle
	r      *requester
	dir    string
	append messages.Handle
	places messages.Handle
	pipe   messages.Handle
	feed   *os.File

	asked   []*task
	reads   []*entry // of the pipe, those that were accepted
	refused int
}

// task is one operation that must succeed, as often as it is refused.
type task struct {
	make func() messages.Op
	e    *entry
}

const (
	recordSize = 64
	wordSize   = 8
	// atOnce is how many rounds are asked for before their answers are awaited.
	atOnce = 16
)

// workFor performs so many rounds, and judges what they have left.
func workFor(o *oracle, rounds int) (refused int) {
	w := newWork(o)
	for k := range rounds {
		w.round(k)
		if k%atOnce == atOnce-1 {
			w.await()
		}
	}
	w.await()
	w.judge(o.t, rounds)
	for _, h := range []messages.Handle{w.append, w.places, w.pipe} {
		w.ask(func() messages.Op { return &messages.Close{Handle: h} })
	}
	w.await()
	return w.refused
}

func newWork(o *oracle) *work {
	w := &work{o: o, r: o.requester(), dir: o.t.TempDir()}
	reader, writer := o.pipe()
	w.feed = writer
	open := func(name string, flags int) *task {
		return w.ask(func() messages.Op {
			return &messages.Open{Path: filepath.Join(w.dir, name), Flags: flags | os.O_RDWR | os.O_CREATE, Mode: 0o600}
		})
	}
	logFile, places := open("log", os.O_APPEND), open("places", 0)
	pipe := w.ask(func() messages.Op { return &messages.Adopt{File: reader} })
	w.await()
	w.append, w.places, w.pipe = logFile.e.completion.Handle, places.e.completion.Handle, pipe.e.completion.Handle
	return w
}

// ask asks for an operation.
func (w *work) ask(make func() messages.Op) *task {
	k := &task{make: make, e: w.r.submit(make())}
	w.asked = append(w.asked, k)
	return k
}

// await waits until all that was asked for is done.
func (w *work) await() {
	w.o.t.Helper()
	for len(w.asked) > 0 {
		asked := w.asked
		w.asked = nil
		for _, k := range asked {
			err := k.e.err()
			if errors.Is(err, messages.ErrRestarted) {
				w.refused++
				k.e = w.r.submit(k.make())
				w.asked = append(w.asked, k)
				continue
			}
			require.NoError(w.o.t, err)
			if _, read := k.e.op.(*messages.Read); read {
				w.reads = append(w.reads, k.e)
			}
		}
	}
}

// record is what round k writes.
func record(k int) []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("%07d\n", k)), recordSize/wordSize)
}

func word(k int) string { return fmt.Sprintf("%07d ", k) }

func (w *work) round(k int) {
	name := filepath.Join(w.dir, fmt.Sprintf("name-%d", k))
	w.ask(func() messages.Op { return &messages.Write{Handle: w.append, Buf: record(k)} })
	w.ask(func() messages.Op {
		return &messages.WriteV{Handle: w.places, Bufs: [][]byte{record(k)[:10], record(k)[10:]}, Offset: int64(k * recordSize)}
	})
	w.ask(func() messages.Op { return &messages.Mkdir{Path: name, Mode: 0o700} })
	w.ask(func() messages.Op { return &messages.Read{Handle: w.pipe, Buf: make([]byte, wordSize)} })
	w.ask(func() messages.Op { return &messages.Timeout{After: time.Millisecond} })
	if _, err := w.feed.WriteString(word(k)); err != nil {
		w.o.t.Error(err)
	}
	if e := w.r.submit(&messages.Timeout{After: time.Hour}); k%2 == 0 {
		w.r.cancel(e)
	} else {
		w.r.abandon(e)
	}
}

// judge looks at what the rounds have left.
func (w *work) judge(t testing.TB, rounds int) {
	t.Helper()
	w.r.settled()
	logged, err := os.ReadFile(filepath.Join(w.dir, "log"))
	require.NoError(t, err)
	places, err := os.ReadFile(filepath.Join(w.dir, "places"))
	require.NoError(t, err)
	require.Len(t, logged, rounds*recordSize, "records were lost or repeated")
	require.Len(t, places, rounds*recordSize)
	names, err := filepath.Glob(filepath.Join(w.dir, "name-*"))
	require.NoError(t, err)
	require.Len(t, names, rounds)
	var words, expected strings.Builder
	require.Len(t, w.reads, rounds)
	for k := range rounds {
		require.Equal(t, 1, bytes.Count(logged, record(k)), "record %d", k)
		require.Equal(t, record(k), places[k*recordSize:(k+1)*recordSize])
		expected.WriteString(word(k))
	}
	slices.SortFunc(w.reads, func(a, b *entry) int { return cmp.Compare(a.id.Seq, b.id.Seq) }) // as they were accepted
	for _, e := range w.reads {
		words.Write(e.data)
	}
	require.Equal(t, expected.String(), words.String())
}
