//go:build linux

package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
	"github.com/ringmaster-io/ringmaster/test/leak"
)

// wrong is what is in the files that take the place of a closed one.
const wrong = "of the wrong file"

// wrongFiles makes so many files, for descriptors that were just given up.
func wrongFiles(t testing.TB, n int) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	for k := range n {
		path := filepath.Join(dir, fmt.Sprint(k))
		require.NoError(t, os.WriteFile(path, []byte(strings.Repeat(wrong, 100)), 0o600))
		paths = append(paths, path)
	}
	return paths
}

// TestFdReuseHazard reads a file that cannot be read without waiting, so that a
// kernel worker looks its descriptor up late; it closes the handle at once and
// opens other files, all in one burst (T17). A bare ring reads one of those then;
// here the read is always of its own file.
func TestFdReuseHazard(t *testing.T) {
	g := newGate(actors.FailTaken)
	o := start(t, supervisor.WithFailpoint(g.hook))
	r := o.requester()
	const path = "/proc/version" // it has no NOWAIT
	right, err := os.ReadFile(path)
	require.NoError(t, err)
	others := wrongFiles(t, 4)
	for range 200 {
		file := do(o, &messages.Open{Path: path})
		open := g.hold(o)
		read := r.submit(&messages.Read{Handle: file, Buf: make([]byte, 4096)})
		closed := r.submit(&messages.Close{Handle: file})
		var opened []*entry
		for _, other := range others {
			opened = append(opened, r.submit(&messages.Open{Path: other}))
		}
		open()
		r.settled()
		require.NoError(t, read.err())
		require.Equal(t, string(right), string(read.data))
		require.NoError(t, closed.err())
		for _, e := range opened {
			do(o, &messages.Close{Handle: e.completed().Handle})
		}
	}
}

// TestFdReuseAcrossRestart does it with reads of a pipe, some in flight and some
// in the queue behind them, while the ring that they are on is lost: the close
// waits for all of them, and none reads what the new ring opens.
func TestFdReuseAcrossRestart(t *testing.T) {
	s := &striker{point: actors.FailTaken}
	o := start(t, supervisor.WithFailpoint(s.hook))
	r := o.requester()
	others := wrongFiles(t, 8)
	for round := range 20 {
		reader, writer := o.pipe()
		pipe := o.adopt(reader)
		var reads []*entry
		for range 3 {
			reads = append(reads, r.submit(&messages.Read{Handle: pipe, Buf: make([]byte, 2)}))
		}
		poll := r.submit(&messages.Poll{Handle: pipe, Events: messages.Readable})
		closed := r.submit(&messages.Close{Handle: pipe})
		o.inspect() // they are taken
		require.NoError(t, reader.Close())
		s.strike(o)
		var opened []*entry
		for _, other := range others {
			opened = append(opened, r.submit(&messages.Open{Path: other}))
		}
		for _, e := range opened {
			e.completed()
		}
		require.False(t, closed.isDone(), "the close waits")
		_, err := writer.WriteString("abcdef")
		require.NoError(t, err)
		r.settled()
		require.NoError(t, poll.err())
		var got strings.Builder
		for _, e := range reads {
			require.NoError(t, e.err())
			got.Write(e.data)
		}
		require.Equal(t, "abcdef", got.String())
		require.NoError(t, closed.err())
		for _, e := range opened {
			do(o, &messages.Close{Handle: e.completed().Handle})
		}
		require.EqualValues(t, round+1, o.inspect().Restarts)
	}
}

// TestStaleHandle uses handles that are closed, whose place is another's by now,
// that were forged or are another subsystem's, and numbers of descriptors there
// are (T18). All are refused, and the kernel sees nothing of it.
func TestStaleHandle(t *testing.T) {
	o := start(t)
	path := wrongFiles(t, 1)[0]
	open := func(o *oracle) messages.Handle { return do(o, &messages.Open{Path: path, Flags: os.O_RDWR}) }
	old := open(o)
	do(o, &messages.Close{Handle: old})
	current := open(o)
	require.Equal(t, uint32(old.ID()), uint32(current.ID()), "the place is used again")
	bad := map[string]messages.Handle{
		"closed":         old,
		"old generation": messages.NewHandle(old.ID(), current.Key()),
		"old key":        messages.NewHandle(current.ID(), old.Key()),
		"zero":           {},
	}
	for _, f := range leak.OpenFiles() { // the standard streams, the ring and its eventfd among them
		var fd uint64
		_, err := fmt.Sscan(f, &fd)
		require.NoError(t, err)
		bad["descriptor "+f] = messages.NewHandle(fd, 0)
		bad["descriptor, first generation "+f] = messages.NewHandle(fd|1<<32, 0)
	}
	for k := range 10_000 {
		bad[fmt.Sprintf("guessed %d", k)] = messages.NewHandle(current.ID(), rand.Uint64())
	}
	r := o.requester()
	o.inspect()
	var before ringView
	if o.onRing() {
		before = theRing(o)
	}
	enters := o.inspect().Enters
	for name, handle := range bad {
		for _, op := range []messages.Op{
			&messages.Read{Handle: handle, Buf: make([]byte, 8)},
			&messages.Write{Handle: handle, Buf: []byte("x")},
			&messages.Close{Handle: handle},
		} {
			err := r.submit(op).err()
			require.ErrorIs(t, err, messages.ErrRefused, name)
			require.True(t, errors.Is(err, messages.ErrBadHandle) || errors.Is(err, messages.ErrHandleClosed), "%s: %v", name, err)
		}
	}
	if o.onRing() {
		require.Equal(t, before, theRing(o))
	}
	require.Equal(t, enters, o.inspect().Enters)
	require.Equal(t, wrong, string(do(o, &messages.Read{Handle: current, Buf: make([]byte, len(wrong))})))
	do(o, &messages.Close{Handle: current})
}

// TestHandleOfAnotherSubsystem is refused by this one, though it lives there and
// has the same place.
func TestHandleOfAnotherSubsystem(t *testing.T) {
	o := start(t)
	other, err := supervisor.Start(actor.NewActorSystem(quiet))
	require.NoError(t, err)
	path := wrongFiles(t, 1)[0]
	theirs, err := actors.Await(t.Context(), other.Client(), &messages.Open{Path: path})
	require.NoError(t, err)
	ours := do(o, &messages.Open{Path: path})
	require.Equal(t, ours.ID(), theirs.ID())
	require.ErrorIs(t, fails(o, &messages.Read{Handle: theirs, Buf: make([]byte, 8)}), messages.ErrBadHandle)
	require.ErrorIs(t, fails(o, &messages.Close{Handle: theirs}), messages.ErrBadHandle)
	do(o, &messages.Close{Handle: ours})
	_, err = actors.Await(t.Context(), other.Client(), &messages.Close{Handle: theirs})
	require.NoError(t, err)
	_, err = other.Shutdown(t.Context())
	require.NoError(t, err)
}
