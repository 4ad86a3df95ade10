//go:build linux

package test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
)

// TestPathOperations performs each operation on names, with absolute paths and
// below a directory.
func TestPathOperations(t *testing.T) {
	runEffects(t, []effect{
		{"stat", effectStat},
		{"stat-kinds", effectStatKinds},
		{"mkdir", effectMkdir},
		{"unlink", effectUnlink},
		{"rename", effectRename},
		{"link", effectLink},
		{"symlink", effectSymlink},
		{"times", effectTimes},
		{"readdir", effectReadDir},
		{"readdir-kinds", effectReadDirKinds},
		{"path-lengths", effectPathLengths},
	})
}

// below has f use a handle to a directory.
func (r *rig) below(dir string, f func(messages.Handle)) {
	r.t.Helper()
	directory := do(r, &messages.Open{Path: dir, Flags: unix.O_DIRECTORY})
	f(directory)
	do(r, &messages.Close{Handle: directory})
}

func effectStat(r *rig, dir string) {
	path := filepath.Join(dir, "file")
	r.with(path, strings.Repeat("x", 10_000), func(file messages.Handle) {
		require.NoError(r.t, os.Chmod(path, 0o4751))
		require.NoError(r.t, os.Link(path, path+"2"))
		got := do(r, &messages.Stat{Path: path})
		require.Equal(r.t, got, do(r, &messages.Stat{Dir: file}))
		requireAttributes(r, path, got)
		require.False(r.t, got.Born.IsZero())
		require.WithinDuration(r.t, time.Now(), got.Born, time.Minute)
		require.Zero(r.t, got.RDevice)
	})
	require.ErrorIs(r.t, fails(r, &messages.Stat{Path: path + "/x"}), unix.ENOTDIR)
}

// requireAttributes compares with what the operating system says.
func requireAttributes(r *rig, path string, got *messages.Attributes) {
	r.t.Helper()
	info, err := os.Lstat(path)
	require.NoError(r.t, err)
	st := r.statOf(path)
	require.Equal(r.t, info.Mode(), got.Mode)
	require.Equal(r.t, st.Size, got.Size)
	require.Equal(r.t, st.Blocks, got.Blocks)
	require.Equal(r.t, st.Blksize, got.BlockSize)
	require.EqualValues(r.t, st.Nlink, got.Links)
	require.Equal(r.t, [2]uint32{st.Uid, st.Gid}, [2]uint32{got.UID, got.GID})
	require.Equal(r.t, st.Ino, got.Inode)
	require.Equal(r.t, st.Dev, got.Device)
	require.Equal(r.t, st.Rdev, got.RDevice)
	require.True(r.t, time.Unix(st.Atim.Sec, st.Atim.Nsec).Equal(got.Accessed))
	require.True(r.t, time.Unix(st.Mtim.Sec, st.Mtim.Nsec).Equal(got.Modified))
	require.True(r.t, time.Unix(st.Ctim.Sec, st.Ctim.Nsec).Equal(got.Changed))
}

func effectStatKinds(r *rig, dir string) {
	link := filepath.Join(dir, "link")
	require.NoError(r.t, os.Symlink("/dev/null", link))
	named := filepath.Join(dir, "fifo")
	require.NoError(r.t, unix.Mkfifo(named, 0o600))
	for _, path := range []string{dir, "/dev/null", named, link, "/tmp", "/proc/self/status"} {
		requireAttributes(r, path, do(r, &messages.Stat{Path: path, NoFollow: true}))
	}
	require.Equal(r.t, fs.ModeDevice|fs.ModeCharDevice, do(r, &messages.Stat{Path: link}).Mode.Type())
	reader, _ := r.pipe()
	pipe := r.adopt(reader)
	require.Equal(r.t, fs.ModeNamedPipe, do(r, &messages.Stat{Dir: pipe}).Mode.Type())
	do(r, &messages.Close{Handle: pipe})
}

func effectMkdir(r *rig, dir string) {
	r.below(dir, func(d messages.Handle) {
		do(r, &messages.Mkdir{Dir: d, Path: "sub", Mode: 0o750})
		do(r, &messages.Mkdir{Path: filepath.Join(dir, "sub", "sub"), Mode: 0o700})
		require.Equal(r.t, fs.ModeDir|0o750, do(r, &messages.Stat{Dir: d, Path: "sub"}).Mode)
		require.ErrorIs(r.t, fails(r, &messages.Mkdir{Dir: d, Path: "sub"}), fs.ErrExist)
	})
	require.Equal(r.t, []string{"sub"}, names(r.t, filepath.Join(dir, "sub")))
}

func effectUnlink(r *rig, dir string) {
	require.NoError(r.t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	require.NoError(r.t, os.MkdirAll(filepath.Join(dir, "sub", "sub"), 0o700))
	r.below(dir, func(d messages.Handle) {
		require.ErrorIs(r.t, fails(r, &messages.Unlink{Dir: d, Path: "sub"}), unix.EISDIR)
		require.ErrorIs(r.t, fails(r, &messages.Unlink{Dir: d, Path: "sub", Directory: true}), unix.ENOTEMPTY)
		require.ErrorIs(r.t, fails(r, &messages.Unlink{Dir: d, Path: "file", Directory: true}), unix.ENOTDIR)
		do(r, &messages.Unlink{Dir: d, Path: "file"})
		do(r, &messages.Unlink{Dir: d, Path: "sub/sub", Directory: true})
		do(r, &messages.Unlink{Path: filepath.Join(dir, "sub"), Directory: true})
	})
	require.Empty(r.t, names(r.t, dir))
}

func effectRename(r *rig, dir string) {
	file := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(r.t, os.WriteFile(file("a"), []byte("a"), 0o600))
	require.NoError(r.t, os.WriteFile(file("b"), []byte("b"), 0o600))
	r.below(dir, func(d messages.Handle) {
		err := fails(r, &messages.Rename{OldDir: d, OldPath: "a", NewDir: d, NewPath: "b", Flags: unix.RENAME_NOREPLACE})
		require.ErrorIs(r.t, err, fs.ErrExist)
		do(r, &messages.Rename{OldDir: d, OldPath: "a", NewDir: d, NewPath: "b", Flags: unix.RENAME_EXCHANGE})
		require.Equal(r.t, "ba", r.contentOf(file("a"))+r.contentOf(file("b")))
		do(r, &messages.Rename{OldDir: d, OldPath: "a", NewPath: file("b")})
		require.Equal(r.t, "b", r.contentOf(file("b")))
	})
	require.Equal(r.t, []string{"b"}, names(r.t, dir))
}

func effectLink(r *rig, dir string) {
	file := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(r.t, os.WriteFile(file("a"), []byte("a"), 0o600))
	require.NoError(r.t, os.Symlink("a", file("s")))
	r.below(dir, func(d messages.Handle) {
		do(r, &messages.Link{OldDir: d, OldPath: "a", NewDir: d, NewPath: "b"})
		do(r, &messages.Link{OldDir: d, OldPath: "s", NewPath: file("c"), Follow: true})
		do(r, &messages.Link{OldDir: d, OldPath: "s", NewDir: d, NewPath: "s2"})
	})
	require.EqualValues(r.t, 3, r.statOf(file("a")).Nlink)
	require.Equal(r.t, r.statOf(file("a")).Ino, r.statOf(file("c")).Ino)
	require.Equal(r.t, r.statOf(file("s")).Ino, r.statOf(file("s2")).Ino)
}

func effectSymlink(r *rig, dir string) {
	long := strings.Repeat("long/", 700)
	r.below(dir, func(d messages.Handle) {
		for k, target := range []string{"anything at all", "/nowhere", "..", long} {
			name := fmt.Sprint(k)
			do(r, &messages.Symlink{Target: target, Dir: d, Path: name})
			got, err := os.Readlink(filepath.Join(dir, name))
			require.NoError(r.t, err)
			require.Equal(r.t, target, got)
			require.Equal(r.t, target, do(r, &messages.ReadLink{Dir: d, Path: name}))
			require.Equal(r.t, target, do(r, &messages.ReadLink{Path: filepath.Join(dir, name)}))
		}
	})
	require.ErrorIs(r.t, fails(r, &messages.ReadLink{Path: dir}), unix.EINVAL)
}

func effectTimes(r *rig, dir string) {
	path, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	require.NoError(r.t, os.Symlink("file", link))
	accessed, modified := time.Unix(1_000_000_000, 123_456_789), time.Unix(1_500_000_000, 987_654_321)
	requireTimes := func(path string, accessed, modified time.Time) {
		r.t.Helper()
		st := r.statOf(path)
		require.True(r.t, time.Unix(st.Atim.Sec, st.Atim.Nsec).Equal(accessed), st.Atim)
		require.True(r.t, time.Unix(st.Mtim.Sec, st.Mtim.Nsec).Equal(modified), st.Mtim)
	}
	r.with(path, "content", func(file messages.Handle) {
		do(r, &messages.SetTimes{Path: path, Accessed: accessed, Modified: modified})
		requireTimes(path, accessed, modified)
		do(r, &messages.SetTimes{Dir: file, Modified: accessed})
		requireTimes(path, accessed, accessed)
		do(r, &messages.SetTimes{Path: link, NoFollow: true, Accessed: modified, Modified: modified})
		requireTimes(link, modified, modified)
		requireTimes(path, accessed, accessed)
		do(r, &messages.SetTimes{Path: link, Accessed: modified})
		requireTimes(path, modified, accessed)
	})
}

// effectReadDir reads a directory that does not fit one system call, at once
// and in parts.
func effectReadDir(r *rig, dir string) {
	const count = 3000
	want := make([]string, count)
	for k := range want {
		want[k] = fmt.Sprintf("a name of some length %04d", k)
		require.NoError(r.t, os.WriteFile(filepath.Join(dir, want[k]), nil, 0o600))
	}
	r.below(dir, func(d messages.Handle) {
		var got []string
		for _, entry := range do(r, &messages.ReadDir{Handle: d}) {
			got = append(got, entry.Name)
		}
		slices.Sort(got)
		require.Equal(r.t, want, got)
		require.Empty(r.t, do(r, &messages.ReadDir{Handle: d}))
	})
	for _, limit := range []int{1000, 17} {
		r.below(dir, func(d messages.Handle) {
			var got []string
			for {
				part := do(r, &messages.ReadDir{Handle: d, Limit: limit})
				if len(part) == 0 {
					break
				}
				for _, entry := range part {
					got = append(got, entry.Name)
				}
			}
			slices.Sort(got)
			require.Equal(r.t, want, got, "limit %d", limit)
		})
	}
}

func effectReadDirKinds(r *rig, dir string) {
	require.NoError(r.t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	require.NoError(r.t, os.Mkdir(filepath.Join(dir, "directory"), 0o700))
	require.NoError(r.t, os.Symlink("x", filepath.Join(dir, "link")))
	require.NoError(r.t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	r.below(dir, func(d messages.Handle) {
		entries := do(r, &messages.ReadDir{Handle: d})
		require.Len(r.t, entries, 4)
		for _, entry := range entries {
			info, err := os.Lstat(filepath.Join(dir, entry.Name))
			require.NoError(r.t, err)
			require.Equal(r.t, info.Mode().Type(), entry.Type, entry.Name)
			require.Equal(r.t, r.statOf(filepath.Join(dir, entry.Name)).Ino, entry.Inode)
		}
	})
	r.with(filepath.Join(dir, "file"), "", func(file messages.Handle) {
		require.ErrorIs(r.t, fails(r, &messages.ReadDir{Handle: file}), unix.ENOTDIR)
	})
}

// effectPathLengths uses the longest name and the longest path there can be.
func effectPathLengths(r *rig, dir string) {
	name := strings.Repeat("n", 255)
	require.ErrorIs(r.t, fails(r, &messages.Mkdir{Path: filepath.Join(dir, name+"n")}), unix.ENAMETOOLONG)
	do(r, &messages.Mkdir{Path: filepath.Join(dir, name), Mode: 0o700})
	longest := dir + strings.Repeat("/", 4095-len(dir)-1-len(name)) + "/" + name
	require.Len(r.t, longest, 4095)
	require.True(r.t, do(r, &messages.Stat{Path: longest}).Mode.IsDir())
	do(r, &messages.Unlink{Path: longest, Directory: true})
	require.Empty(r.t, names(r.t, dir))
}
