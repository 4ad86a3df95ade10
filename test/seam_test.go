//go:build linux

package test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/portable"
	"github.com/ringmaster-io/ringmaster/ring/sim"
)

// The tests of this file are the contract of the seam: what a [ring.Kernel]
// answers, whichever it is. The simulated one cannot run the other tests, which
// are of the effects on a system that it does not have; it has names, and what
// follows from them, so that is what these use.

// seam is one kernel, a directory, and who uses them.
type seam struct {
	ring.Kernel
	t     *testing.T
	dir   int32
	last  uint32
	asked map[ring.UserData]*ring.Request
	got   map[ring.UserData]int32
	// inside calls a function that may enter the kernel, and pause returns when
	// the kernel may have gone on.
	inside func(func())
	pause  func()
}

// seamFile is the regular file in the directory, on each of them. The others are
// "stream", "directory" and "loop", a symbolic link that leads nowhere else;
// "nothing" is none.
var seamFile = sim.NodeAt("/root/file")

func seamContent() []byte {
	content := make([]byte, seamFile.Size)
	for i := range content {
		content[i] = seamFile.Byte(int64(i))
	}
	return content
}

func TestSeam(t *testing.T) {
	for name, open := range map[string]func(*testing.T) *seam{"io_uring": seamOnRing, "portable": seamOnPortable, "simulated": seamOnSim} {
		t.Run(name, func(t *testing.T) {
			for _, c := range seamContract {
				t.Run(c.name, func(t *testing.T) {
					s := open(t)
					require.Equal(t, c.want, c.do(s))
					require.Empty(t, s.got, "completions that nobody has asked for")
				})
			}
		})
	}
}

func seamOnRing(t *testing.T) *seam {
	k, err := ring.Open(ring.Options{Entries: seamEntries})
	if errors.Is(err, ring.ErrUnavailable) {
		t.Skip(err)
	}
	require.NoError(t, err)
	return seamOnReal(t, k)
}

func seamOnPortable(t *testing.T) *seam {
	k, err := portable.Open(portable.Options{Entries: seamEntries})
	require.NoError(t, err)
	return seamOnReal(t, k)
}

// seamEntries is how many requests a submission queue holds.
const seamEntries = 8

func seamOnReal(t *testing.T, k ring.Kernel) *seam {
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	require.NoError(t, os.WriteFile(at("file"), seamContent(), 0o644))
	require.NoError(t, os.Mkdir(at("directory"), 0o755))
	require.NoError(t, os.Symlink("loop", at("loop")))
	require.NoError(t, unix.Mkfifo(at("stream"), 0o644))
	ready, ended := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		k.Wait(func() {
			select {
			case ready <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(func() {
		require.NoError(t, k.Close())
		<-ended
	})
	return newSeam(t, k, root, func(f func()) { f() }, func() {
		select {
		case <-ready:
		case <-time.After(patience):
			t.Fatal("no completion comes")
		}
	})
}

func seamOnSim(t *testing.T) *seam {
	w := sim.NewWorld(sim.NewChoices(1, 1), sim.NewChoices(1, 2), sim.Profile{Entries: seamEntries, Completions: 2 * seamEntries})
	t.Cleanup(func() {
		require.Empty(t, w.Violations())
		w.Close()
	})
	k, err := w.Open()
	require.NoError(t, err)
	worker := w.Hire(true)
	run := func(f func()) {
		ended := false
		worker.Do(func() { f(); ended = true })
		for !ended {
			require.True(t, w.Step(), "the simulated kernel hangs")
		}
	}
	s := newSeam(t, k, "/root", run, func() { require.True(t, w.Step(), "no completion comes") })
	w.Profile.Waits = 1000 // as in a pipe that nobody writes to
	return s
}

func newSeam(t *testing.T, k ring.Kernel, root string, inside func(func()), pause func()) *seam {
	s := &seam{
		Kernel: k, t: t, inside: inside, pause: pause,
		asked: map[ring.UserData]*ring.Request{}, got: map[ring.UserData]int32{},
	}
	s.dir = s.open(ring.NoDir, root, unix.O_DIRECTORY)
	return s
}

// push names a request and pushes it.
func (s *seam) push(r ring.Request) (name ring.UserData) {
	s.t.Helper()
	s.last++
	name = ring.MakeUserData(ring.KindOp, s.last, 1)
	s.asked[name] = &r
	require.True(s.t, s.Push(name, &r), "the queue is full")
	return name
}

// enter has all be consumed, and says how many that was.
func (s *seam) enter() (n int) {
	s.t.Helper()
	s.inside(func() {
		var err error
		n, err = s.Enter()
		require.NoError(s.t, err)
	})
	return n
}

func (s *seam) start(r ring.Request) ring.UserData {
	s.t.Helper()
	name := s.push(r)
	require.Equal(s.t, 1, s.enter())
	return name
}

// await waits for the result of a request.
func (s *seam) await(name ring.UserData) int32 {
	s.t.Helper()
	for {
		for cqe, ok := s.Peek(); ok; cqe, ok = s.Peek() {
			require.Contains(s.t, s.asked, cqe.UserData)
			require.False(s.t, cqe.More())
			delete(s.asked, cqe.UserData)
			s.got[cqe.UserData] = cqe.Res
			s.Advance()
		}
		if res, ok := s.got[name]; ok {
			delete(s.got, name)
			return res
		}
		s.pause()
		s.enter()
	}
}

func (s *seam) run(r ring.Request) int32 {
	s.t.Helper()
	return s.await(s.start(r))
}

// open opens a file, which is closed at the end of the test through the kernel.
func (s *seam) open(dir int32, path string, flags int) int32 {
	s.t.Helper()
	fd := s.run(ring.PrepOpen(dir, path, flags, 0o600, 0))
	require.Positive(s.t, fd, "open %s", path)
	s.t.Cleanup(func() { require.Zero(s.t, s.run(ring.PrepClose(fd))) })
	return fd
}

func (s *seam) cancel(name ring.UserData) int32 { return s.run(ring.PrepCancel(name)) }

// seamContract is what each kernel answers.
var seamContract = []struct {
	name string
	do   func(*seam) any
	want any
}{
	{"nop", func(s *seam) any { return s.run(ring.PrepNop()) }, int32(0)},
	{"a queue that is full", func(s *seam) any {
		var names []ring.UserData
		for range seamEntries {
			names = append(names, s.push(ring.PrepNop()))
		}
		nop := ring.PrepNop()
		full := !s.Push(1000, &nop)
		got := []any{full, s.Unsubmitted(), s.enter(), s.Unsubmitted()}
		for _, name := range names {
			got = append(got, s.await(name))
		}
		return got
	}, []any{true, seamEntries, seamEntries, 0, int32(0), int32(0), int32(0), int32(0), int32(0), int32(0), int32(0), int32(0)}},
	{"taken back, in order", func(s *seam) any {
		first, second := s.push(ring.PrepNop()), s.push(ring.PrepNop())
		var back []ring.UserData
		s.TakeBack(func(name ring.UserData) { back = append(back, name) })
		s.asked = map[ring.UserData]*ring.Request{}
		return []any{back[0] == first, back[1] == second, len(back), s.Unsubmitted(), s.enter(), s.Backlog()}
	}, []any{true, true, 2, 0, 0, false}},
	{"a completion is seen until it is given back", func(s *seam) any {
		name := s.start(ring.PrepNop())
		for !s.Backlog() {
			s.pause()
		}
		first, _ := s.Peek()
		second, ok := s.Peek()
		return []any{first == second, ok, first.UserData == name, s.await(name)}
	}, []any{true, true, true, int32(0)}},
	{"read", func(s *seam) any {
		fd := s.open(s.dir, "file", os.O_RDONLY)
		buf, rest := make([]byte, 16), make([]byte, seamFile.Size)
		got := []any{
			s.run(ring.PrepRead(fd, buf, 8)),
			int64(s.run(ring.PrepRead(fd, rest, 16))) == seamFile.Size-16,
			s.run(ring.PrepRead(fd, make([]byte, 1), uint64(seamFile.Size))),
			s.run(ring.PrepRead(fd, nil, 0)),
		}
		return append(got, string(buf) == string(seamContent()[8:24]), string(rest[:seamFile.Size-16]) == string(seamContent()[16:]))
	}, []any{int32(16), true, int32(0), int32(0), true, true}},
	{"read without waiting", func(s *seam) any {
		fd := s.open(s.dir, "file", os.O_RDONLY)
		buf := make([]byte, 16)
		read := ring.PrepRead(fd, buf, 8)
		read.NoWait = true
		return []any{s.run(read), string(buf) == string(seamContent()[8:24])}
	}, []any{int32(16), true}},
	{"vectors", func(s *seam) any {
		fd := s.open(s.dir, "file", os.O_RDWR)
		a, b := make([]byte, 3), make([]byte, 5)
		return []any{
			s.run(ring.PrepReadV(fd, [][]byte{a, nil, b}, 4)), string(a)+string(b) == string(seamContent()[4:12]),
			s.run(ring.PrepWriteV(fd, [][]byte{a, b}, 0)),
		}
	}, []any{int32(8), true, int32(8)}},
	{"write", func(s *seam) any {
		fd := s.open(s.dir, "file", os.O_RDWR)
		return []int32{s.run(ring.PrepWrite(fd, make([]byte, 100), 50)), s.run(ring.PrepFsync(fd, true)), s.run(ring.PrepFsync(fd, false))}
	}, []int32{100, 0, 0}},
	{"open", func(s *seam) any {
		try := func(path string, flags int) int32 { return s.run(ring.PrepOpen(s.dir, path, flags, 0o600, 0)) }
		return []int32{
			try("nothing", os.O_RDONLY), try("file", os.O_RDWR|os.O_CREATE|os.O_EXCL),
			try("file", unix.O_DIRECTORY), try("directory", os.O_WRONLY), try("loop", os.O_RDONLY),
		}
	}, errnos(unix.ENOENT, unix.EEXIST, unix.ENOTDIR, unix.EISDIR, unix.ELOOP)},
	{"create", func(s *seam) any {
		fd := s.open(s.dir, "nothing-yet", os.O_RDWR|os.O_CREATE|os.O_EXCL)
		return s.run(ring.PrepRead(fd, make([]byte, 8), 0))
	}, int32(0)},
	{"stat", func(s *seam) any {
		var got []any
		for _, path := range []string{"file", "directory", "stream", "loop", "nothing"} {
			name := s.start(ring.PrepStat(s.dir, path, unix.AT_SYMLINK_NOFOLLOW))
			r := s.asked[name]
			res := s.await(name)
			got = append(got, res, r.Statx().Mode&unix.S_IFMT)
			if path == "file" {
				got = append(got, r.Statx().Size == uint64(seamFile.Size))
			}
		}
		return got
	}, []any{
		int32(0), uint16(unix.S_IFREG), true, int32(0), uint16(unix.S_IFDIR), int32(0), uint16(unix.S_IFIFO),
		int32(0), uint16(unix.S_IFLNK), -int32(unix.ENOENT), uint16(0),
	}},
	{"names", func(s *seam) any {
		return []int32{
			s.run(ring.PrepMkdir(s.dir, "nothing-new", 0o700)),
			s.run(ring.PrepRename(s.dir, "nothing", s.dir, "file", 0)), s.run(ring.PrepUnlink(s.dir, "nothing", false)),
			s.run(ring.PrepLink(s.dir, "nothing", s.dir, "nothing-else", 0)),
			s.run(ring.PrepLink(s.dir, "file", s.dir, "nothing-else", 0)), s.run(ring.PrepUnlink(s.dir, "file", false)),
		}
	}, append([]int32{0}, append(errnos(unix.ENOENT, unix.ENOENT, unix.ENOENT), 0, 0)...)},
	{"timeout", func(s *seam) any { return s.run(ring.PrepTimeout(time.Millisecond)) }, ring.Expired},
	{"cancelled timeout", func(s *seam) any {
		late := s.start(ring.PrepTimeout(time.Hour))
		return []int32{s.cancel(late), s.await(late), s.cancel(late)}
	}, []int32{0, -int32(unix.ECANCELED), -int32(unix.ENOENT)}},
	{"cancelled read of a stream", func(s *seam) any {
		fd := s.open(s.dir, "stream", os.O_RDWR)
		late := s.start(ring.PrepRead(fd, make([]byte, 8), ring.StreamOffset))
		return []int32{s.cancel(late), s.await(late), s.cancel(late)}
	}, []int32{0, -int32(unix.ECANCELED), -int32(unix.ENOENT)}},
	{"cancelled poll", func(s *seam) any {
		fd := s.open(s.dir, "stream", os.O_RDWR)
		late := s.start(ring.PrepPoll(fd, unix.POLLIN))
		return []int32{s.cancel(late), s.await(late), s.cancel(late)}
	}, []int32{0, -int32(unix.ECANCELED), -int32(unix.ENOENT)}},
	{"cancelled before it came", func(s *seam) any { return s.cancel(ring.MakeUserData(ring.KindOp, 1000, 1)) }, -int32(unix.ENOENT)},
}

func errnos(all ...unix.Errno) (results []int32) {
	for _, errno := range all {
		results = append(results, -int32(errno))
	}
	return results
}
