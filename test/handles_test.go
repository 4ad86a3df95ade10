//go:build linux

package test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
)

// TestDescriptorReuse closes a handle right behind reads and writes on it, and
// opens another file at once, which may get the same descriptor number. No
// operation may hit the other file: the kernel looks numbers up late.
func TestDescriptorReuse(t *testing.T) {
	const rounds, transfers, size = 300, 16, 4096
	r := start(t)
	dir := t.TempDir()
	mine, other := filepath.Join(dir, "mine"), filepath.Join(dir, "other")
	require.NoError(t, os.WriteFile(mine, bytes.Repeat([]byte{'m'}, size), 0o600))
	require.NoError(t, os.WriteFile(other, bytes.Repeat([]byte{'o'}, size), 0o600))
	p := r.probe()
	reused := 0
	for range rounds {
		file := do(r, &messages.Open{Path: mine, Flags: os.O_RDWR})
		number := openOn(mine)[0]
		batch := &messages.SubmitBatch{}
		add := func(op messages.Op) {
			id := messages.OpID{Owner: p.pid, Seq: uint64(len(batch.Submits) + 1)}
			batch.Submits = append(batch.Submits, &messages.Submit{Op: op, ID: id})
		}
		for range transfers {
			add(&messages.Read{Handle: file, Buf: make([]byte, size)})
			add(&messages.Write{Handle: file, Buf: bytes.Repeat([]byte{'m'}, size)})
		}
		add(&messages.Close{Handle: file})
		add(&messages.Open{Path: other, Flags: os.O_RDWR})
		add(&messages.Read{Handle: file, Buf: make([]byte, size)}) // behind the Close
		r.system.Root.Send(r.rm.PID(), batch)
		reused += occupy(t, other, number)
		requireTransfers(t, p, len(batch.Submits), 'm')
		content, err := os.ReadFile(other)
		require.NoError(t, err)
		require.Equal(t, bytes.Repeat([]byte{'o'}, size), content)
	}
	t.Logf("the descriptor's number was used again %d times in %d", reused, rounds)
}

// occupy opens a file a few times, so that it gets whatever descriptor numbers
// become free, and says whether it got a certain one.
func occupy(t *testing.T, path, number string) (got int) {
	t.Helper()
	want, _, _ := strings.Cut(number, " ")
	for range 8 {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(t, err)
		defer f.Close()
		if strconv.Itoa(int(f.Fd())) == want {
			got = 1
		}
	}
	return got
}

// requireTransfers takes the answers of a batch; what was read must be of one
// letter. The handle that an Open brought is closed.
func requireTransfers(t *testing.T, p *probe, answers int, letter byte) {
	t.Helper()
	refused := 0
	for range answers {
		switch m := next[any](p).(type) {
		case *messages.Refused:
			require.ErrorIs(t, m.Err, messages.ErrHandleClosed)
			refused++
		case *messages.Completion:
			require.NoError(t, m.Err)
			switch op := m.Op.(type) {
			case *messages.Read:
				require.Equal(t, bytes.Repeat([]byte{letter}, len(op.Buf)), op.Result(m))
			case *messages.Open:
				defer do(p.rig, &messages.Close{Handle: m.Handle})
			}
		}
	}
	require.Equal(t, 1, refused)
}

// TestCloseWaits closes a handle on which a read waits: the handle is refused
// at once, the descriptor stays until the read has ended.
func TestCloseWaits(t *testing.T) {
	r := start(t)
	reader, writer := r.pipe()
	p := r.probe()
	r.send(p, 1, &messages.Adopt{File: reader})
	pipe := p.completed(1).Handle
	require.NoError(t, reader.Close()) // the subsystem has a descriptor of its own
	r.send(p, 2, &messages.Read{Handle: pipe, Buf: make([]byte, 10)})
	r.send(p, 3, &messages.Close{Handle: pipe})
	r.send(p, 4, &messages.Read{Handle: pipe, Buf: make([]byte, 10)})
	require.ErrorIs(t, next[*messages.Refused](p).Err, messages.ErrHandleClosed)
	r.send(p, 5, &messages.Close{Handle: pipe})
	require.ErrorIs(t, next[*messages.Refused](p).Err, os.ErrClosed)
	r.inspect()
	p.silent() // neither the read nor the close
	_, err := writer.WriteString("in time")
	require.NoError(t, err)
	got, err := messages.Result[[]byte](p.completed(2))
	require.NoError(t, err)
	require.Equal(t, "in time", string(got))
	require.NoError(t, p.completed(3).Err)
	_, err = writer.WriteString("too late")
	require.ErrorIs(t, err, unix.EPIPE) // no descriptor is left that could read it
}

// TestHandlesAreCapabilities lets whoever holds a handle use it, and nobody
// else; giving it away changes whose death closes it.
func TestHandlesAreCapabilities(t *testing.T) {
	r := start(t)
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("content"), 0o600))
	giver, taker := r.probe(), r.probe()
	r.send(giver, 1, &messages.Open{Path: path})
	r.send(giver, 2, &messages.Open{Path: path})
	given, kept := next[*messages.Completion](giver).Handle, next[*messages.Completion](giver).Handle
	require.NotEqual(t, given, kept)
	r.send(taker, 1, &messages.Read{Handle: given, Buf: make([]byte, 10)}) // lent
	require.NoError(t, taker.completed(1).Err)
	r.send(giver, 3, &messages.Give{Handle: given, To: taker.pid})
	require.NoError(t, giver.completed(3).Err)
	giver.stop()
	eventually(t, "one handle is closed", func() bool { return r.inspect().Handles == 1 && len(openOn(path)) == 1 })
	require.ErrorIs(t, fails(r, &messages.Read{Handle: kept, Buf: make([]byte, 1)}), messages.ErrRefused)
	require.Equal(t, "content", string(do(r, &messages.Read{Handle: given, Buf: make([]byte, 10)})))
	require.Error(t, fails(r, &messages.Give{Handle: given, To: giver.pid}))
	taker.stop()
	eventually(t, "the other is closed", func() bool { return r.inspect().Handles == 0 && len(openOn(path)) == 0 })
	require.ErrorIs(t, fails(r, &messages.Read{Handle: given, Buf: make([]byte, 1)}), messages.ErrRefused)
	require.NotContains(t, given.String(), "key")
}

// TestStaleHandle refuses a handle whose place another file has by now.
func TestStaleHandle(t *testing.T) {
	r := start(t)
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("content"), 0o600))
	stale := map[messages.Handle]bool{}
	for range 100 {
		file := do(r, &messages.Open{Path: path})
		require.False(t, stale[file])
		for old := range stale {
			require.ErrorIs(t, fails(r, &messages.Read{Handle: old, Buf: make([]byte, 1)}), messages.ErrRefused)
			break
		}
		stale[file] = true
		do(r, &messages.Close{Handle: file})
	}
	for old := range stale {
		require.ErrorIs(t, fails(r, &messages.Read{Handle: old, Buf: make([]byte, 1)}), messages.ErrRefused)
	}
	require.Zero(t, r.inspect().Handles)
}
