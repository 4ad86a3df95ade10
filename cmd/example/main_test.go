//go:build linux

package main

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringmaster-io/ringmaster/test/leak"
)

// asProgram makes the test binary behave as the program itself; asUser makes
// it do so with the rights of a user who may do nothing.
const (
	asProgram = "RINGMASTER_EXAMPLE_MAIN"
	asUser    = "RINGMASTER_EXAMPLE_USER"
	nobody    = 65534
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		leak.Main(m)
	}
	if os.Getenv(asUser) != "" {
		if err := syscall.Setuid(nobody); err != nil {
			panic(err)
		}
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr, asRefused()...))
}

// command runs the program in a process of its own.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// outcome is how one run of the program ended.
type outcome struct {
	status         int
	stdout, stderr string
}

// example runs the program within the test.
func example(args ...string) outcome {
	var stdout, stderr bytes.Buffer
	status := run(append([]string{}, args...), &stdout, &stderr) // for nil, cobra takes the test's own
	return outcome{status, stdout.String(), stderr.String()}
}

// wantSuccess fails the test unless the run succeeded and complained of
// nothing.
func (o outcome) wantSuccess(t *testing.T) {
	t.Helper()
	if o.status != 0 || o.stderr != "" {
		t.Fatalf("status %d, standard error:\n%s", o.status, o.stderr)
	}
}

// wantOneLine fails the test unless the run failed with one line that has want
// in it, and printed nothing else.
func (o outcome) wantOneLine(t *testing.T, want string) {
	t.Helper()
	if o.status != 1 {
		t.Errorf("status %d, want 1", o.status)
	}
	if o.stdout != "" {
		t.Errorf("standard output: %q", o.stdout)
	}
	if !strings.HasPrefix(o.stderr, "example: ") || strings.Count(o.stderr, "\n") != 1 || !strings.Contains(o.stderr, want) {
		t.Errorf("standard error is not one line with %q:\n%s", want, o.stderr)
	}
}

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	makeTree(t, source)
	file := filepath.Join(dir, "file")
	write(t, file, "data", 0o644)
	fifo := filepath.Join(dir, "fifo")
	check(t, syscall.Mkfifo(fifo, 0o644))
	link := filepath.Join(dir, "link")
	check(t, os.Symlink(source, link))
	fresh := filepath.Join(dir, "fresh")

	tests := []struct {
		name string
		args []string
		want string
	}{
		{"unknown command", []string{"frobnicate"}, "unknown command"},
		{"command with a typing error", []string{"cpoy", source, fresh}, "unknown command"},
		{"unknown flag", []string{"copy", "--fast", source, fresh}, "unknown flag"},
		{"unknown global flag", []string{"--fast"}, "unknown flag"},
		{"bad level", []string{"--log-level", "loud", "copy", source, fresh}, "loud"},
		{"no arguments", []string{"copy"}, "2 arg"},
		{"one argument", []string{"copy", source}, "2 arg"},
		{"three arguments", []string{"copy", source, fresh, fresh}, "2 arg"},
		{"empty source", []string{"copy", "", fresh}, "empty path"},
		{"empty target", []string{"copy", source, ""}, "empty path"},
		{"no crash period", []string{"copy", "--crash-every", "0s", source, fresh}, "--crash-every"},
		{"negative crash period", []string{"copy", "--crash-every", "-1ms", source, fresh}, "--crash-every"},
		{"missing source", []string{"copy", source + "!", fresh}, "no such file"},
		{"special source", []string{"copy", fifo, fresh}, "neither a file nor a directory"},
		{"missing parent of the target", []string{"copy", source, fresh + "/deep/er"}, "no such file"},
		{"file as parent of the target", []string{"copy", source, file + "/below"}, "not a directory"},
		{"target exists", []string{"copy", file, source}, "exists"},
		{"target is the source", []string{"copy", source, source}, "source itself"},
		{"target is the source, with dots", []string{"copy", source, source + "/empty/.."}, "source itself"},
		{"target is the source, from a link", []string{"copy", link, source}, "source itself"},
		{"target is the source, overwriting", []string{"copy", "--overwrite", file, file}, "source itself"},
		{"target within the source", []string{"copy", source, source + "/copy"}, "within the source"},
		{"target deep within the source", []string{"copy", source, source + "/a/b/copy"}, "within the source"},
		{"target within the source, with dots", []string{"copy", source, source + "/empty/../copy"}, "within the source"},
		{"target within the source, through a link", []string{"copy", source, link + "/copy"}, "within the source"},
		{"target within the source, overwriting", []string{"copy", "--overwrite", source, source + "/empty"}, "within the source"},
		{"tree over a file", []string{"copy", "--overwrite", source, file}, "only one of the two is a directory"},
		{"file over a tree", []string{"copy", "--overwrite", file, source}, "only one of the two is a directory"},
		{"target is the root", []string{"copy", source, "/"}, "exists"},
		{"nothing to sum", []string{"sum"}, "at least 1 arg"},
		{"sum of a missing file", []string{"sum", fresh}, "no such file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := snapshot(t, dir)
			example(test.args...).wantOneLine(t, test.want)
			diff(t, before, snapshot(t, dir))
		})
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"help"}, {"copy", "--help"}, {"sum", "--help"}} {
		got := example(args...)
		got.wantSuccess(t)
		if !strings.Contains(got.stdout, "Usage:") {
			t.Errorf("%q prints:\n%s", args, got.stdout)
		}
	}
}

func TestOneLine(t *testing.T) {
	if got, want := oneLine("a\nb\rc"), `a\nb\rc`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestCancelledBeforeItBegins gives the program a context that has ended.
func TestCancelledBeforeItBegins(t *testing.T) {
	target := filepath.Join(t.TempDir(), "copy")
	var stdout, stderr bytes.Buffer
	if err := runCopy(cancelled(t), &globals{stdout: &stdout, stderr: &stderr}, copyOptions{}, t.TempDir(), target); err == nil {
		t.Error("a cancelled copy succeeds")
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("a cancelled copy has made something")
	}
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, data string, mode fs.FileMode) {
	t.Helper()
	check(t, os.WriteFile(path, []byte(data), 0o600))
	check(t, os.Chmod(path, mode))
}

// oldTime has nanoseconds that a copy could lose.
var oldTime = time.Unix(1234567890, 123456789)

// makeTree makes a tree with everything that is odd and can be copied.
func makeTree(t *testing.T, root string) {
	t.Helper()
	for _, dir := range []string{"", "a", "a/b", "a/b/c", "empty", "sticky", "readonly", "private"} {
		check(t, os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	files := []struct {
		name string
		size int
		mode fs.FileMode
	}{
		{"plain", 10, 0o644},
		{"none", 0, 0o644},
		{"a/readonly", 5, 0o444},
		{"a/b/private", 5, 0o600},
		{"a/b/writable", 5, 0o666},
		{"a/b/c/setuid", 5, 0o755 | fs.ModeSetuid},
		{"a/b/c/setgid", 5, 0o755 | fs.ModeSetgid},
		{"readonly/inside", 5, 0o400},
		{"new\nline", 1, 0o644},
		{"carriage\rreturn", 1, 0o644},
		{`back\slash`, 1, 0o644},
		{" space ", 1, 0o644},
		{"-flag", 1, 0o644},
		{"invalid \xff utf-8", 1, 0o644},
		{strings.Repeat("n", 255), 1, 0o644},
		{"first read", firstRead, 0o644},
		{"first read less one", firstRead - 1, 0o644},
		{"first read and one", firstRead + 1, 0o644},
		{"and a chunk", firstRead + chunk, 0o644},
		{"and a chunk less one", firstRead + chunk - 1, 0o644},
		{"and a chunk and one", firstRead + chunk + 1, 0o644},
		{"many chunks", 2*lanesMax*chunk + 12345, 0o644},
	}
	for _, f := range files {
		write(t, filepath.Join(root, f.name), pattern(f.size), f.mode)
	}
	links := map[string]string{"link": "plain", "a/dangling": "no/such\nfile", "a/b/up": "../..", "a/absolute": "/"}
	for name, says := range links {
		check(t, os.Symlink(says, filepath.Join(root, name)))
	}
	check(t, os.Chmod(filepath.Join(root, "sticky"), 0o777|fs.ModeSticky))
	check(t, os.Chmod(filepath.Join(root, "private"), 0o700))
	check(t, os.Chmod(filepath.Join(root, "readonly"), 0o555))
	age(t, root)
}

// pattern is content in which a chunk at a wrong place shows.
func pattern(n int) string {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i) ^ byte(i>>8) ^ byte(i>>16)
	}
	return string(data)
}

// age gives everything in a tree a modification time of its own.
func age(t *testing.T, root string) {
	t.Helper()
	n := 0
	check(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		n++
		when := syscall.NsecToTimespec(oldTime.UnixNano() + int64(n)*1_000_000_007)
		return utimes(path, when)
	}))
}
