//go:build linux

package faults

import (
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
)

// hostileSubmits is how many operations of random nonsense are asked for.
const hostileSubmits = 20_000

// hostile makes operations out of bad parts, with a good one here and there, so
// that each check is met behind others that let it pass.
type hostile struct {
	*rand.Rand
	dir     string
	handles []messages.Handle
	paths   []string
	bufs    [][]byte
	numbers []int64
	huge    []byte // more than the kernel moves at once; nothing may touch it
}

// newHostile collects the parts. The victim's handle is known by its place alone.
func newHostile(o *oracle, seed uint64, victims messages.Handle) *hostile {
	t := o.t
	h := &hostile{Rand: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir()}
	loop := filepath.Join(h.dir, "loop")
	require.NoError(t, os.Symlink("loop", loop))
	path := filepath.Join(h.dir, "file")
	file := do(o, &messages.Open{Path: path, Flags: os.O_RDWR | os.O_CREATE, Mode: 0o600})
	dir := do(o, &messages.Open{Path: h.dir, Flags: unix.O_DIRECTORY})
	closed := do(o, &messages.Open{Path: path})
	do(o, &messages.Close{Handle: closed})
	h.handles = []messages.Handle{
		file, dir, {}, closed, messages.NewHandle(victims.ID(), victims.Key()^1), messages.NewHandle(victims.ID(), file.Key()),
		messages.NewHandle(math.MaxUint64, math.MaxUint64), messages.NewHandle(0, 1), messages.NewHandle(2, 0),
	}
	h.paths = []string{
		path, "file", "nothing", "", ".", "\x00", "file\x00", "/nowhere/at/all", loop, "loop/file", "file/file",
		strings.Repeat("x", 256), strings.Repeat("x/", 2047), strings.Repeat("x", 4096), strings.Repeat("../", 30_000),
		"\xff\xfe", strings.Repeat("./", 2000) + "file",
	}
	h.numbers = []int64{0, 1, -1, 511, 4096, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32 + 1, math.MaxInt64, math.MinInt64, 1 << 62}
	huge, err := unix.Mmap(-1, 0, 1<<32+1, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	require.NoError(t, err)
	o.after(func() { require.NoError(t, unix.Munmap(huge)) })
	h.huge = huge
	h.bufs = [][]byte{nil, {}, huge, huge[:1<<31], huge[:math.MaxInt32]}
	return h
}

func pick[T any](h *hostile, from []T) T { return from[h.IntN(len(from))] }

func (h *hostile) handle() messages.Handle { return pick(h, h.handles) }
func (h *hostile) path() string            { return pick(h, h.paths) }
func (h *hostile) number() int64           { return pick(h, h.numbers) }

// buf is a bad buffer, or a good one that nobody else has.
func (h *hostile) buf() []byte {
	if h.IntN(2) == 0 {
		return make([]byte, 1+h.IntN(100))
	}
	return pick(h, h.bufs)
}

func (h *hostile) vector() [][]byte {
	bufs := make([][]byte, pick(h, []int{0, 1, 3, 1024, 1025, 5000}))
	for k := range bufs {
		bufs[k] = h.buf()
	}
	return bufs
}

// op is one of these.
func (h *hostile) op() messages.Op {
	switch h.IntN(24) {
	case 0:
		return &messages.Read{Handle: h.handle(), Buf: h.buf(), Offset: h.number()}
	case 1:
		return &messages.Write{Handle: h.handle(), Buf: h.buf()[:0], Offset: h.number()}
	case 2:
		return &messages.ReadV{Handle: h.handle(), Bufs: h.vector(), Offset: h.number()}
	case 3:
		return &messages.Open{Dir: h.handle(), Path: h.path(), Flags: int(h.number()) &^ (os.O_CREATE | os.O_TRUNC | unix.O_TMPFILE), Mode: fs.FileMode(h.number()), Resolve: uint64(h.number())}
	case 4:
		return &messages.Stat{Dir: h.handle(), Path: h.path()}
	case 5:
		return &messages.Rename{OldDir: h.handle(), OldPath: "nothing", NewDir: h.handle(), NewPath: h.path(), Flags: uint32(h.number())}
	case 6:
		return &messages.Link{OldDir: h.handle(), OldPath: "nothing", NewDir: h.handle(), NewPath: h.path(), Follow: true}
	case 7:
		return &messages.Symlink{Target: h.path(), Dir: h.handle(), Path: "file"}
	case 8:
		return &messages.ReadLink{Dir: h.handle(), Path: h.path()}
	case 9:
		return &messages.Truncate{Handle: h.handle(), Size: -1 - h.Int64N(1<<40)}
	case 10:
		return &messages.Allocate{Handle: h.handle(), Mode: uint32(h.number()), Offset: math.MaxInt64, Length: h.number()}
	case 11:
		return &messages.Advise{Handle: h.handle(), Offset: h.number(), Length: h.number(), Advice: int(h.number())}
	case 12:
		return &messages.Poll{Handle: h.handle(), Events: messages.Events(h.number())}
	case 13:
		return &messages.Timeout{After: time.Duration(min(h.number(), 4096))}
	case 14:
		return &messages.Close{Handle: h.handles[2+h.IntN(len(h.handles)-2)]} // not its own
	case 15:
		return &messages.Give{Handle: h.handles[2+h.IntN(len(h.handles)-2)], To: h.pid()}
	case 16:
		return &messages.Adopt{File: pick(h, []*os.File{nil, new(os.File)})}
	case 17:
		return &messages.ReadDir{Handle: h.handle(), Limit: int(h.number())}
	case 18:
		return &messages.Chown{Handle: h.handles[2], UID: int(h.number()), GID: int(h.number())}
	case 19:
		return &messages.SetTimes{Dir: h.handle(), Path: h.path(), Modified: time.Unix(h.number(), h.number())}
	case 20:
		return &messages.Unlink{Dir: h.handle(), Path: pick(h, []string{"nothing", "", "file\x00", "file/", ".", ".."})}
	case 21:
		return &messages.Mkdir{Dir: h.handle(), Path: pick(h, []string{"file", "", ".", "/", "\x00"}), Mode: fs.FileMode(h.number())}
	case 22:
		return pick(h, []messages.Op{nil, (*messages.Read)(nil), (*messages.Open)(nil), (*messages.Close)(nil)})
	default:
		return &messages.Fsync{Handle: h.handle()}
	}
}

// id is a number that may be in use, of an owner that may not exist.
func (h *hostile) id(r *requester) messages.OpID {
	id := messages.OpID{Owner: r.pid, Seq: pick(h, []uint64{0, 1, 2, 3, 1 << 63, math.MaxUint64, math.MaxUint64 - 1})}
	if h.IntN(20) == 0 {
		id.Owner = h.pid()
	}
	return id
}

// deadline is none, or over, or beyond all time.
func (h *hostile) deadline() time.Time {
	return pick(h, []time.Time{{}, {}, {}, time.Unix(0, 0), time.Unix(math.MaxInt64, 0), time.Unix(math.MinInt64, 0), time.Now().Add(time.Millisecond)})
}

// pid is a strange owner.
func (h *hostile) pid() *actor.PID {
	return pick(h, []*actor.PID{nil, {}, actor.NewPID("elsewhere:1", "x"), actor.NewPID("nonhost", "nobody"), actor.NewPID("", strings.Repeat("x", 1<<16))})
}
