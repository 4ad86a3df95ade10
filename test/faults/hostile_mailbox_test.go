//go:build linux

package faults

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
)

// TestHostileMailbox sends operations of random nonsense, under numbers that
// are in use and owners that there are not, while another actor has work in
// flight (T30). Each is answered once, with an error of the package's kind unless
// it made sense; the ring owner does not fail; and the other actor's work, file
// and handle are what they were.
func TestHostileMailbox(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	o := start(t)
	v := newVictim(o)
	h := newHostile(o, seed, v.file)
	r := o.requester()
	for range hostileSubmits / 100 {
		var entries []*entry
		for range 100 {
			entries = append(entries, r.submitAs(&messages.Submit{Op: h.op(), ID: h.id(r), Deadline: h.deadline()}))
		}
		r.ask(&cancellation{}, func(c *cancellation) any {
			return &messages.Cancel{ID: messages.OpID{Owner: r.pid, Seq: v.read.id.Seq}, ReplyTo: r.pid, Token: c}
		})
		r.ask(&cancellation{}, func(c *cancellation) any {
			return &messages.CancelHandle{Handle: messages.NewHandle(v.pipe.ID(), h.Uint64()), ReplyTo: r.pid, Token: c}
		})
		r.settled()
		for _, e := range entries {
			h.judge(t, e)
		}
	}
	in := o.inspect()
	require.Zero(t, in.Restarts)
	t.Logf("%d of %d refused, %d failed", in.Refused, in.Submitted, in.Failed)
	v.judge()
}

// judge checks one answer's kind, and gives up what it brought.
func (h *hostile) judge(t testing.TB, e *entry) {
	err := e.err()
	if err == nil {
		if handle := e.completion.Handle; !handle.IsZero() {
			do(e.r.o, &messages.Close{Handle: handle})
		}
		return
	}
	var typed *messages.OpError
	if !errors.As(err, &typed) {
		t.Errorf("%#v: %v is no OpError", e.op, err)
	}
	if e.completion != nil && typed.Errno() == 0 && !typed.Timeout() {
		t.Errorf("%#v: %v has no errno", e.op, err)
	}
}

// victim is an actor with work in flight.
type victim struct {
	o       *oracle
	r       *requester
	path    string
	file    messages.Handle
	pipe    messages.Handle
	feed    *os.File
	read    *entry
	timeout *entry
}

func newVictim(o *oracle) *victim {
	v := &victim{o: o, r: o.requester(), path: filepath.Join(o.t.TempDir(), "precious")}
	require.NoError(o.t, os.WriteFile(v.path, []byte("precious"), 0o600))
	reader, writer := o.pipe()
	v.feed = writer
	v.file = v.r.submit(&messages.Open{Path: v.path, Flags: os.O_RDWR}).completed().Handle
	v.pipe = v.r.submit(&messages.Adopt{File: reader}).completed().Handle
	v.read = v.r.submit(&messages.Read{Handle: v.pipe, Buf: make([]byte, 10)})
	v.timeout = v.r.submit(&messages.Timeout{After: time.Hour})
	o.inFlight(2)
	return v
}

// judge checks that nothing has happened to the victim.
func (v *victim) judge() {
	t := v.o.t
	require.False(t, v.read.isDone() || v.timeout.isDone(), "its operations were ended")
	_, err := v.feed.WriteString("data")
	require.NoError(t, err)
	require.NoError(t, v.read.err())
	require.Equal(t, "data", string(v.read.data))
	read := v.r.submit(&messages.Read{Handle: v.file, Buf: make([]byte, 100)})
	require.NoError(t, read.err())
	require.Equal(t, "precious", string(read.data))
	v.r.cancel(v.timeout)
	v.r.settled()
	for _, h := range []messages.Handle{v.file, v.pipe} {
		v.r.submit(&messages.Close{Handle: h}).completed()
	}
	requireContent(t, v.path, []byte("precious"))
}

// impostor is an operation that is not one of the package's, however much it
// looks it, and does harm when its methods are called.
type impostor struct{ *messages.Nop }

// Name implements messages.Op.
func (impostor) Name() string { panic("an impostor's code was run") }

// TestImpostor: such an operation is refused, and its code is not run on the
// ring owner's stack.
func TestImpostor(t *testing.T) {
	o := start(t)
	r := o.requester()
	e := r.submitAs(&messages.Submit{Op: impostor{&messages.Nop{}}})
	r.settled()
	require.ErrorIs(t, e.answerErr(), messages.ErrUnknownOp)
	require.Zero(t, o.inspect().Failures)
}

// TestSymlinkSwapRace opens a path below a directory, and told to stay below it,
// while somebody swaps a part of the path for a link that leads out: what is
// opened is never what is outside (T30).
func TestSymlinkSwapRace(t *testing.T) {
	o := start(t)
	dir, outside := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "name"), []byte("outside"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "part"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "part", "name"), []byte("inside"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "link")))
	below := do(o, &messages.Open{Path: dir, Flags: unix.O_DIRECTORY})
	var over atomic.Bool
	var group sync.WaitGroup
	group.Go(func() {
		for !over.Load() {
			err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, "part"), unix.AT_FDCWD, filepath.Join(dir, "link"), unix.RENAME_EXCHANGE)
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	ended := make(map[string]int)
	for range 5000 {
		h, err := await(o, &messages.Open{Dir: below, Path: "part/name", Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS})
		switch {
		case err == nil:
			require.Equal(t, "inside", string(do(o, &messages.Read{Handle: h, Buf: make([]byte, 10)})))
			do(o, &messages.Close{Handle: h})
			ended["inside"]++
		case errors.Is(err, unix.EXDEV), errors.Is(err, unix.EAGAIN):
			ended["refused"]++
		default:
			t.Fatal(err)
		}
	}
	over.Store(true)
	group.Wait()
	do(o, &messages.Close{Handle: below})
	require.Positive(t, ended["inside"])
	t.Log(ended)
}
