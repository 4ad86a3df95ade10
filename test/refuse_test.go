//go:build linux

package test

import (
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
)

// foreign is an operation that is not one of ours, however much it looks it.
type foreign struct{ *messages.Nop }

// badInput is one operation that must be refused, and for which reason.
type badInput struct {
	name string
	op   messages.Op
	want error
}

// TestRefusals sends bad input to the real kernel, which must see nothing of
// it: the count of what it took from the submission queue stands still.
func TestRefusals(t *testing.T) {
	r := start(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(path, []byte("content"), 0o600))
	h := handlesFor(r, dir, path)
	p := r.probe()
	cases := badHandles(h)
	cases = append(cases, badRights(h)...)
	cases = append(cases, badPaths(h)...)
	cases = append(cases, badRanges(t, h)...)
	cases = append(cases, badArguments(h)...)
	r.inspect()
	for k, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := r.seen()
			r.send(p, uint64(k+1), c.op)
			refused := next[*messages.Refused](p)
			require.Equal(t, before, r.seen())
			require.ErrorIs(t, refused.Err, messages.ErrRefused)
			require.ErrorIs(t, refused.Err, c.want)
			require.IsType(t, (*messages.OpError)(nil), refused.Err)
			require.Equal(t, uint64(k+1), refused.ID.Seq)
			require.Equal(t, c.op, refused.Op)
		})
	}
	p.silent()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "content", string(content))
	require.Equal(t, []string{"file"}, names(t, dir))
	t.Logf("%d kinds of bad input", len(cases))
}

// names are those in a directory.
func names(t testing.TB, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// badHandleSet are handles to misuse.
type badHandleSet struct {
	file, readOnly, writeOnly, noMeta, dir, stream messages.Handle
	closed, forgedKey, forgedID, future            messages.Handle
}

func handlesFor(r *rig, dir, path string) (h badHandleSet) {
	reader, _ := r.pipe()
	h.file = do(r, &messages.Open{Path: path, Flags: os.O_RDWR})
	h.readOnly = do(r, &messages.Open{Path: path, Flags: os.O_RDONLY})
	h.writeOnly = do(r, &messages.Open{Path: path, Flags: os.O_WRONLY})
	h.noMeta = do(r, &messages.Open{Path: path, Flags: os.O_RDWR, Rights: messages.RightRead})
	h.dir = do(r, &messages.Open{Path: dir, Flags: os.O_RDONLY | unix.O_DIRECTORY})
	h.stream = r.adopt(reader)
	h.closed = do(r, &messages.Open{Path: path})
	do(r, &messages.Close{Handle: h.closed})
	h.forgedKey = messages.NewHandle(h.file.ID(), h.file.Key()^2)
	h.forgedID = messages.NewHandle(h.readOnly.ID(), h.file.Key())
	h.future = messages.NewHandle(h.file.ID()+1<<32, h.file.Key())
	return h
}

// badHandles tries each kind of bad handle with each operation that takes one.
func badHandles(h badHandleSet) (cases []badInput) {
	for _, bad := range []struct {
		name   string
		handle messages.Handle
		want   error
	}{
		{"closed", h.closed, messages.ErrHandleClosed},
		{"forged-key", h.forgedKey, messages.ErrBadHandle},
		{"forged-place", h.forgedID, messages.ErrBadHandle},
		{"of-the-future", h.future, messages.ErrBadHandle},
		{"far-out", messages.NewHandle(math.MaxUint64, 1), messages.ErrBadHandle},
		{"standard-input", messages.NewHandle(0, 0), messages.ErrBadHandle},
	} {
		for _, op := range []messages.Op{
			&messages.Read{Handle: bad.handle, Buf: make([]byte, 1)},
			&messages.Write{Handle: bad.handle, Buf: []byte("x")},
			&messages.ReadV{Handle: bad.handle, Bufs: [][]byte{make([]byte, 1)}},
			&messages.WriteV{Handle: bad.handle, Bufs: [][]byte{[]byte("x")}},
			&messages.Close{Handle: bad.handle},
			&messages.Fsync{Handle: bad.handle},
			&messages.Fdatasync{Handle: bad.handle},
			&messages.Truncate{Handle: bad.handle},
			&messages.Allocate{Handle: bad.handle, Length: 1},
			&messages.Advise{Handle: bad.handle},
			&messages.Chmod{Handle: bad.handle, Mode: 0o777},
			&messages.Chown{Handle: bad.handle},
			&messages.ReadDir{Handle: bad.handle},
			&messages.Poll{Handle: bad.handle, Events: messages.Readable},
			&messages.Give{Handle: bad.handle, To: &actor.PID{}},
		} {
			cases = append(cases, badInput{"handle/" + bad.name + "/" + op.Name(), op, bad.want})
		}
		if bad.handle.IsZero() {
			continue // it stands for no directory: see badPaths
		}
		for _, op := range pathOps(bad.handle, "name") {
			cases = append(cases, badInput{"handle/" + bad.name + "/" + op.Name(), op, bad.want})
		}
	}
	return cases
}

// pathOps are the operations on a path.
func pathOps(dir messages.Handle, path string) []messages.Op {
	return []messages.Op{
		&messages.Open{Dir: dir, Path: path, Flags: os.O_CREATE | os.O_RDWR, Mode: 0o600},
		&messages.Stat{Dir: dir, Path: path},
		&messages.Mkdir{Dir: dir, Path: path, Mode: 0o700},
		&messages.Unlink{Dir: dir, Path: path},
		&messages.Rename{OldDir: dir, OldPath: path, NewPath: "/nowhere"},
		&messages.Rename{OldPath: "/nowhere", NewDir: dir, NewPath: path},
		&messages.Link{OldDir: dir, OldPath: path, NewPath: "/nowhere"},
		&messages.Link{OldPath: "/nowhere", NewDir: dir, NewPath: path},
		&messages.Symlink{Target: "anywhere", Dir: dir, Path: path},
		&messages.ReadLink{Dir: dir, Path: path},
		&messages.SetTimes{Dir: dir, Path: path, Modified: time.Unix(1, 0)},
	}
}

func badRights(h badHandleSet) (cases []badInput) {
	for _, op := range []messages.Op{
		&messages.Write{Handle: h.readOnly, Buf: []byte("x")},
		&messages.WriteV{Handle: h.readOnly, Bufs: [][]byte{[]byte("x")}},
		&messages.Truncate{Handle: h.readOnly},
		&messages.Allocate{Handle: h.readOnly, Length: 1},
		&messages.Read{Handle: h.writeOnly, Buf: make([]byte, 1)},
		&messages.ReadV{Handle: h.writeOnly, Bufs: [][]byte{make([]byte, 1)}},
		&messages.Advise{Handle: h.writeOnly},
		&messages.Write{Handle: h.noMeta, Buf: []byte("x")},
		&messages.Fsync{Handle: h.noMeta},
		&messages.Fdatasync{Handle: h.noMeta},
		&messages.Chmod{Handle: h.noMeta},
		&messages.Chown{Handle: h.noMeta},
		&messages.SetTimes{Dir: h.noMeta, Modified: time.Unix(1, 0)},
		&messages.Poll{Handle: h.stream, Events: messages.Writable},
	} {
		cases = append(cases, badInput{"rights/" + op.Name(), op, messages.ErrRights})
	}
	for _, op := range pathOps(h.file, "name") { // a file is no directory
		cases = append(cases, badInput{"rights/file-as-directory/" + op.Name(), op, messages.ErrRights})
	}
	return cases
}

func badPaths(h badHandleSet) (cases []badInput) {
	for _, bad := range []struct {
		name string
		dir  messages.Handle
		path string
	}{
		{"nul", h.dir, "a\x00b"},
		{"nul-at-the-end", messages.Handle{}, "/etc/passwd\x00.txt"},
		{"too-long", h.dir, strings.Repeat("x", 4096)},
		{"relative-to-nothing", messages.Handle{}, "file"},
		{"empty", messages.Handle{}, ""},
	} {
		for _, op := range pathOps(bad.dir, bad.path) {
			cases = append(cases, badInput{"path/" + bad.name + "/" + op.Name(), op, messages.ErrPath})
		}
	}
	return append(cases,
		badInput{"path/empty-target", &messages.Symlink{Dir: h.dir, Path: "l"}, messages.ErrPath},
		badInput{"path/empty-open", &messages.Open{Dir: h.dir}, messages.ErrPath},
		badInput{"path/empty-unlink", &messages.Unlink{Dir: h.dir}, messages.ErrPath},
	)
}

func badRanges(t *testing.T, h badHandleSet) (cases []badInput) {
	huge, err := unix.Mmap(-1, 0, 2<<30, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Munmap(huge)) })
	byteBuf, vector := make([]byte, 1), make([][]byte, 1025)
	for _, op := range []messages.Op{
		&messages.Read{Handle: h.file, Buf: byteBuf, Offset: -1},
		&messages.Read{Handle: h.file, Buf: byteBuf, Offset: math.MinInt64},
		&messages.Read{Handle: h.file, Buf: byteBuf, Offset: math.MaxInt64},
		&messages.Read{Handle: h.stream, Buf: byteBuf, Offset: 1},
		&messages.Read{Handle: h.file, Buf: huge},
		&messages.Write{Handle: h.file, Buf: byteBuf, Offset: -1},
		&messages.Write{Handle: h.file, Buf: huge},
		&messages.ReadV{Handle: h.file, Bufs: vector},
		&messages.ReadV{Handle: h.file, Bufs: [][]byte{huge[:1<<30], huge[1<<30:]}},
		&messages.WriteV{Handle: h.file, Bufs: vector},
		&messages.WriteV{Handle: h.file, Bufs: [][]byte{byteBuf}, Offset: -1},
		&messages.Truncate{Handle: h.file, Size: -1},
		&messages.Allocate{Handle: h.file},
		&messages.Allocate{Handle: h.file, Length: -1},
		&messages.Allocate{Handle: h.file, Offset: -1, Length: 1},
		&messages.Allocate{Handle: h.file, Offset: 2, Length: math.MaxInt64},
		&messages.Advise{Handle: h.file, Offset: -1},
		&messages.Advise{Handle: h.file, Length: -1},
		&messages.Chown{Handle: h.file, UID: -2, GID: -1},
		&messages.Chown{Handle: h.file, UID: -1, GID: 1 << 32},
		&messages.ReadDir{Handle: h.dir, Limit: -1},
		&messages.Timeout{After: -1},
	} {
		cases = append(cases, badInput{"range/" + op.Name(), op, messages.ErrRange})
	}
	return cases
}

func badArguments(h badHandleSet) (cases []badInput) {
	for _, op := range []messages.Op{
		&messages.Open{Dir: h.dir, Path: "new", Flags: -1},
		&messages.Open{Dir: h.dir, Path: "new", Flags: 1 << 40},
		&messages.Open{Dir: h.dir, Path: "new", Resolve: 1 << 60},
		&messages.Open{Dir: h.dir, Path: "new", Flags: os.O_CREATE, Mode: fs.ModeDir},
		&messages.Mkdir{Dir: h.dir, Path: "new", Mode: fs.ModeSymlink},
		&messages.Rename{OldDir: h.dir, OldPath: "file", NewDir: h.dir, NewPath: "new", Flags: 1 << 20},
		&messages.Chmod{Handle: h.file, Mode: fs.ModeDevice},
		&messages.Advise{Handle: h.file, Advice: 99},
		&messages.Advise{Handle: h.file, Advice: -1},
		&messages.Poll{Handle: h.stream},
		&messages.Poll{Handle: h.stream, Events: 1 << 30},
		&messages.Adopt{},
	} {
		cases = append(cases, badInput{"argument/" + op.Name(), op, messages.ErrArgument})
	}
	return append(cases,
		badInput{"no-operation", nil, messages.ErrNilMessage},
		badInput{"nil-operation", (*messages.Read)(nil), messages.ErrNilMessage},
		badInput{"foreign-operation", foreign{&messages.Nop{}}, messages.ErrUnknownOp},
	)
}
