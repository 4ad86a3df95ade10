//go:build linux

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func hashOf(data []byte) [sha256.Size]byte { return sha256.Sum256(data) }

func TestCopyTree(t *testing.T) {
	for _, mask := range []int{0o022, 0o077, 0} {
		t.Run(fmt.Sprintf("umask %03o", mask), func(t *testing.T) {
			source, target := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "copy")
			makeTree(t, source)
			defer syscall.Umask(syscall.Umask(mask))
			example("copy", source, target).wantSuccess(t)
			diff(t, snapshot(t, source), snapshot(t, target))
		})
	}
}

func TestCopyRelativePaths(t *testing.T) {
	t.Chdir(t.TempDir())
	makeTree(t, "source")
	check(t, os.Mkdir("else", 0o755))
	check(t, os.Symlink("../source", "else/way"))
	for _, args := range [][2]string{{"source", "copy"}, {"./source/", "copy/"}, {"else/way", "else/way/../copy"}} {
		check(t, os.RemoveAll("copy"))
		example("copy", "--verify", args[0], args[1]).wantSuccess(t)
	}
	// "else/way/.." is the parent of source, not else.
	diff(t, snapshot(t, "source"), snapshot(t, "copy"))
}

func TestCopyFile(t *testing.T) {
	dir := t.TempDir()
	makeTree(t, filepath.Join(dir, "source"))
	check(t, os.Symlink("source/plain", filepath.Join(dir, "link")))
	for _, name := range []string{"source/plain", "source/none", "source/many chunks", "source/a/b/c/setuid", "link"} {
		source, target := filepath.Join(dir, name), filepath.Join(t.TempDir(), "copy")
		got := example("copy", "--verify", source, target)
		got.wantSuccess(t)
		source, err := filepath.EvalSymlinks(source)
		check(t, err)
		want, err := describe(source)
		check(t, err)
		if is, err := describe(target); err != nil || is != want {
			t.Errorf("the copy of %s is %q (%v), want %q", name, is, err, want)
		}
	}
}

// TestCopyFileWithoutSize copies a file that does not say how long it is.
func TestCopyFileWithoutSize(t *testing.T) {
	const source = "/proc/filesystems"
	want, err := os.ReadFile(source)
	if err != nil || len(want) == 0 {
		t.Skip("no /proc/filesystems")
	}
	target := filepath.Join(t.TempDir(), "copy")
	example("copy", source, target).wantSuccess(t)
	if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}

func TestCopyInheritedMode(t *testing.T) {
	dir := t.TempDir()
	source, target := filepath.Join(dir, "source"), filepath.Join(dir, "inherits", "copy")
	makeTree(t, source)
	check(t, os.Mkdir(filepath.Dir(target), 0o755))
	check(t, os.Chmod(filepath.Dir(target), 0o755|fs.ModeSetgid))
	example("copy", source, target).wantSuccess(t)
	diff(t, snapshot(t, source), snapshot(t, target))
}

func TestCopyOverwrites(t *testing.T) {
	dir := t.TempDir()
	source, target := filepath.Join(dir, "source"), filepath.Join(dir, "copy")
	makeTree(t, source)
	innocent := filepath.Join(dir, "innocent")
	write(t, innocent, "not to be touched", 0o644)

	check(t, os.MkdirAll(filepath.Join(target, "a"), 0o700))
	write(t, filepath.Join(target, "extra"), "stays", 0o644)
	write(t, filepath.Join(target, "none"), "was longer", 0o400)
	write(t, filepath.Join(target, "link"), "was a file", 0o400)
	check(t, os.Symlink(innocent, filepath.Join(target, "plain")))
	check(t, os.Link(innocent, filepath.Join(target, "a/readonly")))

	for range 2 {
		example("copy", "--overwrite", "--verify", source, target).wantSuccess(t)
		got := snapshot(t, target)
		if !strings.Contains(got["extra"], "5 bytes") {
			t.Errorf("what is not in the source became %q", got["extra"])
		}
		delete(got, "extra")
		diff(t, snapshot(t, source), got)
		if data, err := os.ReadFile(innocent); err != nil || string(data) != "not to be touched" {
			t.Errorf("a file outside the target has become %q (%v)", data, err)
		}
	}
}

func TestCopyOverwriteNeedsTheSameKind(t *testing.T) {
	dir := t.TempDir()
	source, target := filepath.Join(dir, "source"), filepath.Join(dir, "copy")
	makeTree(t, source)
	check(t, os.MkdirAll(filepath.Join(target, "plain"), 0o755))
	example("copy", "--overwrite", source, target).wantOneLine(t, "incomplete copy is left at "+target)
	if info, err := os.Lstat(filepath.Join(target, "plain")); err != nil || !info.IsDir() {
		t.Error("a directory was replaced by a file")
	}
}

func TestCopySkipsSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	source, target := filepath.Join(dir, "source"), filepath.Join(dir, "copy")
	makeTree(t, source)
	want := snapshot(t, source)
	check(t, syscall.Mkfifo(filepath.Join(source, "fifo\n1"), 0o644))
	age(t, source)
	got := example("copy", "--verify", source, target)
	if got.status != 0 || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, `fifo\n1`) {
		t.Errorf("status %d, standard error:\n%s", got.status, got.stderr)
	}
	if !strings.Contains(got.stdout, "1 special file") {
		t.Errorf("the report does not say so:\n%s", got.stdout)
	}
	if copied := snapshot(t, target); len(copied) != len(want) {
		t.Errorf("%d entries, want %d", len(copied), len(want))
	}
}

func TestCopyWithCrashes(t *testing.T) {
	source, target := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "copy")
	makeTree(t, source)
	for i := range 500 {
		write(t, filepath.Join(source, "a/b/c", fmt.Sprint(i)), pattern(i*10), 0o640)
	}
	got := example("copy", "--crash-every", "10ms", "--verify", "--json", source, target)
	got.wantSuccess(t)
	diff(t, snapshot(t, source), snapshot(t, target))
	f := figuresOf(t, got.stdout)
	if f.Restarts == 0 {
		t.Error("the ring owner was never restarted")
	}
	if f.Submitted != f.Completed+f.Refused || f.Unknown != 0 || f.InFlight != 0 {
		t.Errorf("the books do not balance: %+v", f)
	}
}

func TestCopyReport(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	makeTree(t, source)
	got := example("copy", "--json", source, filepath.Join(dir, "1"))
	got.wantSuccess(t)
	f := figuresOf(t, got.stdout)
	if f.Files != 22 || f.Dirs != 8 || f.Symlinks != 4 || f.Bytes == 0 || f.ElapsedNS <= 0 || f.Restarts != 0 || f.Refused != 0 {
		t.Errorf("figures: %+v", f)
	}
	got = example("copy", "--crash-every", "1h", "--seed", "7", "--verify", source, filepath.Join(dir, "2"))
	got.wantSuccess(t)
	for _, want := range []string{"22 files", "8 directories", "4 symbolic links", "MB/s", "submitted", "with seed 7", "stopping 1, stopped 1", "verified"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("the report lacks %q:\n%s", want, got.stdout)
		}
	}
}

// figuresOf reads the JSON report, which is one line with these keys in this
// order.
func figuresOf(t *testing.T, stdout string) (f figures) {
	t.Helper()
	if strings.Count(stdout, "\n") != 1 {
		t.Fatalf("the report is not one line: %q", stdout)
	}
	check(t, json.Unmarshal([]byte(stdout), &f))
	rest := stdout
	for _, key := range []string{"files", "dirs", "symlinks", "bytes", "submitted", "completed", "refused", "cancelled", "restarts", "unknown", "in_flight", "elapsed_ns"} {
		_, after, found := strings.Cut(rest, `"`+key+`":`)
		if !found {
			t.Fatalf("no %q, or not in its place: %s", key, stdout)
		}
		rest = after
	}
	if strings.Contains(rest, ":") {
		t.Errorf("more keys than were agreed on: %s", stdout)
	}
	return f
}

func TestVerifyFindsDifferences(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, copy string)
		want   string
	}{
		{"content", func(t *testing.T, c string) {
			check(t, os.WriteFile(c+"/plain", []byte(pattern(9)+"!"), 0o644))
			check(t, os.Chtimes(c+"/plain", oldTime, oldTime))
		}, "plain has another content"},
		{"length", func(t *testing.T, c string) { check(t, os.Truncate(c+"/plain", 9)) }, "plain has another content"},
		{"mode", func(t *testing.T, c string) { check(t, os.Chmod(c+"/a/b", 0o700)) }, "a/b has mode drwx------"},
		{"time", func(t *testing.T, c string) { check(t, os.Chtimes(c+"/plain", oldTime, oldTime)) }, "plain was modified at"},
		{"missing", func(t *testing.T, c string) { check(t, os.Remove(c+"/a/readonly")) }, "a/readonly is missing"},
		{"too many", func(t *testing.T, c string) { write(t, c+"/extra", "", 0o644) }, "extra is not in the source"},
		{"link", func(t *testing.T, c string) {
			check(t, os.Remove(c+"/link"))
			check(t, os.Symlink("elsewhere", c+"/link"))
		}, `link points to "elsewhere"`},
		{"type", func(t *testing.T, c string) {
			check(t, os.Remove(c+"/empty"))
			write(t, c+"/empty", "", 0o644)
		}, "empty is of another type"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			source, target := filepath.Join(dir, "source"), filepath.Join(dir, "copy")
			makeTree(t, source)
			example("copy", source, target).wantSuccess(t)
			test.change(t, target)
			text := compareTrees(t, source, target)
			if !strings.Contains(text, "example: "+test.want) {
				t.Errorf("no line says %q:\n%s", test.want, text)
			}
		})
	}
}

// compareTrees runs the comparison of --verify alone.
func compareTrees(t *testing.T, source, target string) string {
	t.Helper()
	var stderr bytes.Buffer
	s, err := start(&globals{stderr: &stderr})
	check(t, err)
	plan, err := survey{t.Context(), s.client}.plan(source, target, true)
	check(t, err)
	plan.overwrite = false
	differences, err := newVerifier(t.Context(), s.client, plan).compare()
	check(t, err)
	if differences.say(&stderr) == nil {
		t.Error("no difference is found")
	}
	_, err = s.stop(t.Context())
	check(t, err)
	return stderr.String()
}

// TestCopyInterrupted tells the director to stop before it has opened anything.
func TestCopyInterrupted(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	makeTree(t, source)
	var stderr bytes.Buffer
	c := &copying{globals: &globals{stderr: &stderr}}
	stage, err := start(c.globals)
	check(t, err)
	c.stage = stage
	plan, err := survey{t.Context(), c.client}.plan(source, filepath.Join(dir, "copy"), false)
	check(t, err)
	if err := c.copy(cancelled(t), plan); !errors.Is(err, errInterrupted) {
		t.Errorf("got %v, want %v", err, errInterrupted)
	}
	_, err = c.stop()
	check(t, err)
}

// TestCopyWithoutPermission runs as a user who may not write to the target's
// directory, and then as one who may not read a file.
func TestCopyWithoutPermission(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become nobody")
	}
	dir := openDir(t)
	source := filepath.Join(dir, "source")
	check(t, os.Mkdir(source, 0o755))
	write(t, filepath.Join(source, "readable"), "data", 0o644)

	asNobody(t, "copy", source, filepath.Join(dir, "copy")).wantOneLine(t, "permission denied")

	writable := filepath.Join(dir, "writable")
	check(t, os.Mkdir(writable, 0o755))
	check(t, os.Chmod(writable, 0o777))
	target := filepath.Join(writable, "copy")
	write(t, filepath.Join(source, "unreadable"), "data", 0o600)
	asNobody(t, "copy", source, target).wantOneLine(t, "unreadable: open unreadable: permission denied; an incomplete copy is left at "+target)
	for path := range snapshot(t, target) {
		if path == "unreadable" {
			t.Error("an empty file is left of what could not be read")
		}
	}
	asNobody(t, "copy", filepath.Join(source, "unreadable"), filepath.Join(writable, "file")).wantOneLine(t, "permission denied")
}

// openDir is a temporary directory that everybody may enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "example-test-")
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	check(t, os.Chmod(dir, 0o755))
	return dir
}

func asNobody(t *testing.T, args ...string) outcome {
	t.Helper()
	cmd := command(t, args...)
	cmd.Env = append(cmd.Env, asUser+"=1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}
