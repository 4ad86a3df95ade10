//go:build linux

package ring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// openFD opens for the test's life.
func openFD(t *testing.T, path string, flags int) int32 {
	t.Helper()
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(&fs.PathError{Op: "open", Path: path, Err: err})
	}
	t.Cleanup(func() { unix.Close(fd) })
	return int32(fd)
}

func openDir(t *testing.T, path string) int32 {
	t.Helper()
	return openFD(t, path, unix.O_RDONLY|unix.O_DIRECTORY)
}

func writeFile(t *testing.T, path string) string {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// runJob runs the job here and wants the result.
func runJob(t *testing.T, j *Job, want int32) *Job {
	t.Helper()
	j.run(new(scratch))
	if j.Res != want {
		t.Fatalf("%v: result %d (%v), want %d", j.Call, j.Res, unix.Errno(max(0, -j.Res)), want)
	}
	return j
}

func stat(t *testing.T, path string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st
}

func TestReadDirEachOnce(t *testing.T) {
	const files = 5000
	dir := t.TempDir()
	inodes := map[string]uint64{}
	for n := range files {
		// Short names and long ones, so that entries end anywhere in a buffer.
		name := fmt.Sprint("f", n, strings.Repeat("x", n%200))
		inodes[name] = stat(t, writeFile(t, filepath.Join(dir, name))).Ino
	}
	for _, limit := range []int{0, 1, 2, 3, 7, 100, 511, 4999, 5000, 5001, 1 << 40} {
		if limit == 1 && testing.Short() {
			continue
		}
		t.Run(fmt.Sprint("limit ", limit), func(t *testing.T) {
			fd := openDir(t, dir)
			seen := map[string]bool{}
			s := new(scratch)
			for {
				j := &Job{Call: CallReadDir, FD: fd, Limit: limit}
				j.run(s)
				if j.Res < 0 || int(j.Res) != len(j.Entries) {
					t.Fatalf("result %d with %d entries", j.Res, len(j.Entries))
				}
				if len(j.Entries) == 0 {
					break
				}
				if left := files - len(seen); limit > 0 && len(j.Entries) != min(limit, left) {
					t.Fatalf("%d entries with limit %d and %d left", len(j.Entries), limit, left)
				}
				for _, e := range j.Entries {
					if seen[e.Name] || inodes[e.Name] != e.Inode || e.Type != unix.DT_REG {
						t.Fatalf("entry %+v, seen before: %v", e, seen[e.Name])
					}
					seen[e.Name] = true
				}
			}
			if len(seen) != files {
				t.Fatalf("%d entries, want %d", len(seen), files)
			}
		})
	}
}

// On several file systems: each has positions of its own kind.
func TestReadDirFileSystems(t *testing.T) {
	dirs := []string{t.TempDir(), "/proc/self", "/sys/kernel"}
	if dir, err := os.MkdirTemp("/dev/shm", "readdir"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		dirs = append(dirs, dir)
	}
	for n := range 50 {
		writeFile(t, filepath.Join(dirs[0], fmt.Sprint(n)))
		if len(dirs) > 3 {
			writeFile(t, filepath.Join(dirs[3], fmt.Sprint(n)))
		}
	}
	for _, dir := range dirs {
		t.Run(dir, func(t *testing.T) {
			all, err := os.ReadDir(dir)
			if err != nil {
				t.Skip("no such directory here: ", err)
			}
			var want, got []string
			for _, e := range all {
				want = append(want, e.Name())
			}
			j := &Job{Call: CallReadDir, FD: openDir(t, dir), Limit: 3}
			s := new(scratch)
			for j.run(s); j.Res > 0; j.run(s) {
				for _, e := range j.Entries {
					got = append(got, e.Name)
				}
			}
			slices.Sort(got)
			if j.Res != 0 || !slices.Equal(got, want) {
				t.Fatalf("result %d, entries\n%q, want\n%q", j.Res, got, want)
			}
		})
	}
}

func TestReadDirTypes(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	writeFile(t, at("file"))
	writeFile(t, at(strings.Repeat("n", 255)))
	writeFile(t, at("...")) // neither of the two that are left out
	writeFile(t, at(".hidden"))
	for _, err := range []error{os.Mkdir(at("dir"), 0o700), os.Symlink("x", at("link")), unix.Mkfifo(at("fifo"), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	j := runJob(t, &Job{Call: CallReadDir, FD: openDir(t, dir)}, 7)
	got := map[string]uint8{}
	for _, e := range j.Entries {
		got[e.Name] = e.Type
	}
	for name, want := range map[string]uint8{"file": unix.DT_REG, "dir": unix.DT_DIR, "link": unix.DT_LNK,
		"fifo": unix.DT_FIFO, strings.Repeat("n", 255): unix.DT_REG, "...": unix.DT_REG, ".hidden": unix.DT_REG} {
		if got[name] != want {
			t.Errorf("%.20s has type %d, want %d", name, got[name], want)
		}
	}
}

func TestReadDirEmptyAndErrors(t *testing.T) {
	dir := t.TempDir()
	fd := openDir(t, dir)
	for range 2 {
		if j := runJob(t, &Job{Call: CallReadDir, FD: fd}, 0); len(j.Entries) != 0 {
			t.Fatalf("entries %v", j.Entries)
		}
	}
	file := writeFile(t, filepath.Join(dir, "f"))
	runJob(t, &Job{Call: CallReadDir, FD: openFD(t, file, unix.O_RDONLY)}, -int32(unix.ENOTDIR))
	runJob(t, &Job{Call: CallReadDir, FD: openFD(t, dir, unix.O_PATH)}, -int32(unix.EBADF))
	runJob(t, &Job{Call: CallReadDir, FD: -1}, -int32(unix.EBADF))

	gone := filepath.Join(dir, "gone")
	if err := os.Mkdir(gone, 0o700); err != nil {
		t.Fatal(err)
	}
	fd = openDir(t, gone)
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	runJob(t, &Job{Call: CallReadDir, FD: fd}, -int32(unix.ENOENT))

	// Results of an earlier use of the Job do not survive into a later one.
	j := runJob(t, &Job{Call: CallReadDir, FD: openDir(t, dir)}, 1)
	j.Target, j.FD = "stale", -1
	if runJob(t, j, -int32(unix.EBADF)); j.Entries != nil || j.Target != "" {
		t.Fatalf("stale results: %v, %q", j.Entries, j.Target)
	}
}

// What the kernel must not write, and might: nothing is read outside the
// buffer, and no entry is made up.
func TestParseDirent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		buf := rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "buf")
		if len(buf) >= direntNameAt && rapid.Bool().Draw(t, "plausible length") {
			binary.NativeEndian.PutUint16(buf[direntLengthAt:], rapid.Uint16Range(0, 70).Draw(t, "length"))
		}
		d, size, ok := parseDirent(buf)
		if !ok {
			return
		}
		if size < 1 || size > len(buf) || len(d.name) == 0 || direntNameAt+len(d.name) >= size || slices.Contains(d.name, 0) {
			t.Fatalf("name %q in an entry of %d bytes of %d", d.name, size, len(buf))
		}
	})
}

func TestTakeDirentsRefusesGarbage(t *testing.T) {
	good := make([]byte, 24)
	binary.NativeEndian.PutUint64(good, 42)
	binary.NativeEndian.PutUint16(good[direntLengthAt:], 24)
	good[direntTypeAt], good[direntNameAt] = unix.DT_DIR, 'a'
	j := &Job{FD: -1}
	if err := j.takeDirents(append(slices.Clone(good), 1, 2, 3), 10); err != unix.EIO {
		t.Fatalf("error %v", err)
	}
	if !slices.Equal(j.Entries, []DirEntry{{Name: "a", Type: unix.DT_DIR, Inode: 42}}) {
		t.Fatalf("entries %+v", j.Entries)
	}

	// Where the position cannot be set (FD is none), too many beats too few.
	j.Entries = nil
	three := slices.Concat(good, good, good)
	if err := j.takeDirents(three, 1); err != nil || len(j.Entries) != 3 {
		t.Fatalf("error %v, %d entries", err, len(j.Entries))
	}
}

func TestReadLink(t *testing.T) {
	dir := t.TempDir()
	fd := openDir(t, dir)
	// Around each size of the buffer, and the longest the kernel allows.
	for _, size := range []int{1, 255, 256, 257, 511, 512, 2047, 2048, 4095} {
		target := strings.Repeat("t", size)
		name := fmt.Sprint("link", size)
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		j := runJob(t, &Job{Call: CallReadLink, FD: fd, Path: name}, int32(size))
		if j.Target != target {
			t.Fatalf("target of %d bytes, want %d", len(j.Target), size)
		}
	}
	link := filepath.Join(dir, "link257")
	runJob(t, &Job{Call: CallReadLink, FD: unix.AT_FDCWD, Path: link}, 257)
	runJob(t, &Job{Call: CallReadLink, FD: openFD(t, link, unix.O_PATH|unix.O_NOFOLLOW)}, 257)

	writeFile(t, filepath.Join(dir, "file"))
	runJob(t, &Job{Call: CallReadLink, FD: fd, Path: "file"}, -int32(unix.EINVAL))
	runJob(t, &Job{Call: CallReadLink, FD: fd, Path: "none"}, -int32(unix.ENOENT))
	runJob(t, &Job{Call: CallReadLink, FD: fd, Path: "nul\x00"}, -int32(unix.EINVAL))
	runJob(t, &Job{Call: CallReadLink, FD: -1, Path: "file"}, -int32(unix.EBADF))
}

func TestReadTargetBounds(t *testing.T) {
	s, calls := new(scratch), 0
	endless := func(buf []byte) (int, error) { calls++; return len(buf), nil }
	if _, err := readTarget(s, endless); err != unix.ENAMETOOLONG || calls != 9 {
		t.Errorf("endless target: %v after %d calls", err, calls)
	}
	fits := func(buf []byte) (int, error) { return min(readLinkMax-1, len(buf)), nil }
	if target, err := readTarget(s, fits); err != nil || len(target) != readLinkMax-1 {
		t.Errorf("longest target: %d bytes, %v", len(target), err)
	}
	interrupted := 0
	signals := func(buf []byte) (int, error) {
		if interrupted++; interrupted < 4 {
			return -1, unix.EINTR
		}
		return copy(buf, "ab"), nil
	}
	if target, err := readTarget(s, signals); err != nil || target != "ab" {
		t.Errorf("after signals: %q, %v", target, err)
	}
}

func TestRepeat(t *testing.T) {
	calls := 0
	err := repeat(func() error {
		if calls++; calls < 3 {
			return unix.EINTR
		}
		return unix.EPERM
	})
	if err != unix.EPERM || calls != 3 {
		t.Fatalf("%v after %d calls", err, calls)
	}
}

func TestChmod(t *testing.T) {
	dir := t.TempDir()
	file := writeFile(t, filepath.Join(dir, "f"))
	fd := openFD(t, file, unix.O_RDONLY)
	for _, mode := range []uint32{0o600, 0o4755, 0o2755, 0o1777, 0o7777, 0} {
		runJob(t, &Job{Call: CallChmod, FD: fd, Mode: mode}, 0)
		if got := stat(t, file).Mode & 0o7777; got != mode {
			t.Errorf("mode %o, want %o", got, mode)
		}
	}
	runJob(t, &Job{Call: CallChmod, FD: openDir(t, dir), Mode: 0o1700}, 0)
	if got := stat(t, dir).Mode & 0o7777; got != 0o1700 {
		t.Errorf("mode of the directory %o", got)
	}
	runJob(t, &Job{Call: CallChmod, FD: openFD(t, file, unix.O_PATH)}, -int32(unix.EBADF))
}

func TestChown(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "f"))
	fd := openFD(t, file, unix.O_RDONLY)
	runJob(t, &Job{Call: CallChown, FD: fd, UID: -1, GID: -1}, 0)
	runJob(t, &Job{Call: CallChown, FD: openFD(t, file, unix.O_PATH)}, -int32(unix.EBADF))
	// Nothing that the kernel would see cut off.
	for _, id := range []int{-2, 1<<32 - 1, 1 << 32, 1<<32 + 5} {
		runJob(t, &Job{Call: CallChown, FD: fd, UID: id, GID: -1}, -int32(unix.EINVAL))
		runJob(t, &Job{Call: CallChown, FD: fd, UID: -1, GID: id}, -int32(unix.EINVAL))
	}
	if os.Geteuid() != 0 {
		t.Skip("changing owners needs CAP_CHOWN")
	}
	for _, c := range []struct{ uid, gid, wantUID, wantGID int }{
		{1001, 1002, 1001, 1002},
		{-1, 1003, 1001, 1003},
		{1004, -1, 1004, 1003},
		{-1, -1, 1004, 1003},
		{1<<32 - 2, 0, 1<<32 - 2, 0},
	} {
		runJob(t, &Job{Call: CallChown, FD: fd, UID: c.uid, GID: c.gid}, 0)
		if st := stat(t, file); int(st.Uid) != c.wantUID || int(st.Gid) != c.wantGID {
			t.Errorf("chown %d:%d gave %d:%d", c.uid, c.gid, st.Uid, st.Gid)
		}
	}
}

var omit = FileTime(time.Time{})

func wantTimes(t *testing.T, path string, accessed, modified unix.Timespec) {
	t.Helper()
	if st := stat(t, path); st.Atim != accessed || st.Mtim != modified {
		t.Fatalf("%s: times %v and %v, want %v and %v", path, st.Atim, st.Mtim, accessed, modified)
	}
}

func TestSetTimes(t *testing.T) {
	dir := t.TempDir()
	fd := openDir(t, dir)
	file := writeFile(t, filepath.Join(dir, "f"))
	link := filepath.Join(dir, "l")
	if err := os.Symlink("f", link); err != nil {
		t.Fatal(err)
	}
	a := FileTime(time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC))
	b := FileTime(time.Date(1962, 2, 3, 4, 5, 6, 987, time.UTC)) // before the epoch
	c, d := unix.Timespec{Sec: 1000, Nsec: 1}, unix.Timespec{Sec: 2000, Nsec: 2}
	set := func(j Job, x, y unix.Timespec) {
		t.Helper()
		j.Call, j.Times = CallSetTimes, [2]unix.Timespec{x, y}
		runJob(t, &j, 0)
	}

	set(Job{FD: fd, Path: "f"}, a, b)
	wantTimes(t, file, a, b)
	set(Job{FD: fd, Path: "l"}, c, d)
	wantTimes(t, file, c, d)
	set(Job{FD: fd, Path: "l", Flags: unix.AT_SYMLINK_NOFOLLOW}, a, b)
	wantTimes(t, link, a, b)
	wantTimes(t, file, c, d)
	set(Job{FD: fd, Path: "f"}, omit, a)
	wantTimes(t, file, c, a)
	set(Job{FD: fd, Path: "f"}, b, omit)
	wantTimes(t, file, b, a)
	set(Job{FD: fd, Path: "f"}, omit, omit)
	wantTimes(t, file, b, a)
	set(Job{FD: unix.AT_FDCWD, Path: file}, c, d)
	wantTimes(t, file, c, d)
	set(Job{FD: fd}, a, c)
	wantTimes(t, dir, a, c)

	bad := [2]unix.Timespec{{Nsec: 1e9}, {}}
	runJob(t, &Job{Call: CallSetTimes, FD: fd, Path: "f", Times: bad}, -int32(unix.EINVAL))
	runJob(t, &Job{Call: CallSetTimes, FD: fd, Times: bad}, -int32(unix.EINVAL))
	runJob(t, &Job{Call: CallSetTimes, FD: fd, Path: "none"}, -int32(unix.ENOENT))
	runJob(t, &Job{Call: CallSetTimes, FD: unix.AT_FDCWD}, -int32(unix.EBADF))
}

// An empty path speaks of any descriptor, and both ways to do it agree.
func TestSetTimesOfDescriptor(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	writeFile(t, at("f"))
	if err := errors.Join(os.Symlink("f", at("l")), unix.Mkfifo(at("p"), 0o600), os.Mkdir(at("d"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, name string
		flags      int
	}{
		{"read-only", "f", unix.O_RDONLY},
		{"write-only", "f", unix.O_WRONLY},
		{"path", "f", unix.O_PATH},
		{"link", "l", unix.O_PATH | unix.O_NOFOLLOW},
		{"directory", "d", unix.O_RDONLY | unix.O_DIRECTORY},
		{"directory path", "d", unix.O_PATH | unix.O_DIRECTORY},
		{"pipe", "p", unix.O_RDWR},
	} {
		t.Run(c.what, func(t *testing.T) {
			j := &Job{Call: CallSetTimes, FD: openFD(t, at(c.name), c.flags)}
			j.Times = [2]unix.Timespec{{Sec: 11, Nsec: 12}, {Sec: 13, Nsec: 14}}
			runJob(t, j, 0)
			wantTimes(t, at(c.name), j.Times[0], j.Times[1])
			j.Times = [2]unix.Timespec{{Sec: 21, Nsec: 22}, {Sec: 23, Nsec: 24}}
			if err := j.setTimesProc(); err != nil {
				t.Fatal(err)
			}
			wantTimes(t, at(c.name), j.Times[0], j.Times[1])
		})
	}
}

func TestCloseFD(t *testing.T) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	runJob(t, &Job{Call: CallCloseFD, FD: int32(pipe[1])}, 0)
	// The effect, not the number, which may be in use again: the pipe ends.
	if n, err := unix.Read(pipe[0], make([]byte, 1)); n != 0 || err != nil {
		t.Fatalf("read %d, %v from a pipe whose other end is closed", n, err)
	}
	runJob(t, &Job{Call: CallCloseFD, FD: -1}, -int32(unix.EBADF))
}

func TestCallUnknown(t *testing.T) {
	runJob(t, &Job{Call: callCount}, -int32(unix.ENOSYS))
	if CallReadDir.String() != "readdir" || callCount.String() != "call 6" {
		t.Errorf("names %v, %v", CallReadDir, callCount)
	}
	if got := jobResult(1, errors.New("no errno")); got != -int32(unix.EIO) {
		t.Errorf("result %d for an error that is none", got)
	}
}

// The whole way: real calls on a lane, their effects, and all descriptors back.
func TestLaneCalls(t *testing.T) {
	dir := t.TempDir()
	const files = 500
	type file struct {
		path string
		jobs [3]Job
	}
	all := make([]file, files)
	done := make(chan *Job, files*3)
	l := NewLane(2, files*3, func(j *Job) { done <- j })
	for n := range all {
		f := &all[n]
		f.path = writeFile(t, filepath.Join(dir, fmt.Sprint(n)))
		fd, err := unix.Open(f.path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.jobs = [3]Job{
			{Call: CallChmod, FD: int32(fd), Mode: 0o640, Context: f},
			{Call: CallSetTimes, FD: int32(fd), Times: [2]unix.Timespec{{Sec: 1}, {Sec: int64(n)}}, Context: f},
			{Call: CallCloseFD, FD: int32(fd), Context: f},
		}
		submitAll(t, l, &f.jobs[0])
	}
	// Each step of a file follows the one before it.
	for range files * 3 {
		j := <-done
		f := j.Context.(*file)
		if j.Res != 0 {
			t.Fatalf("%s: %v: %v", f.path, j.Call, unix.Errno(-j.Res))
		}
		if j.Call != CallCloseFD {
			submitAll(t, l, &f.jobs[slices.IndexFunc(f.jobs[:], func(k Job) bool { return k.Call == j.Call })+1])
		}
	}
	join(t, l)
	for n := range all {
		wantTimes(t, all[n].path, unix.Timespec{Sec: 1}, unix.Timespec{Sec: int64(n)})
		if got := stat(t, all[n].path).Mode & 0o7777; got != 0o640 {
			t.Fatalf("mode %o", got)
		}
	}
}

func BenchmarkReadDir(b *testing.B) {
	dir := b.TempDir()
	for n := range 5000 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("file-", n)), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for _, limit := range []int{0, 100} {
		b.Run(fmt.Sprint("limit ", limit), func(b *testing.B) {
			f, err := os.Open(dir)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			s := new(scratch)
			j := &Job{Call: CallReadDir, FD: int32(f.Fd()), Limit: limit}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Seek(0, 0); err != nil {
					b.Fatal(err)
				}
				total := 0
				for j.run(s); j.Res > 0; j.run(s) {
					total += len(j.Entries)
				}
				if total != 5000 {
					b.Fatal(total, j.Res)
				}
			}
		})
	}
}
