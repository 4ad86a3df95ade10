//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSumLine(t *testing.T) {
	sum := hashOf(nil)
	const hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	tests := map[string]string{
		"name":        hex + "  name\n",
		" sp ace ":    hex + "   sp ace \n",
		"*star":       hex + "  *star\n",
		`back\slash`:  `\` + hex + `  back\\slash` + "\n",
		"new\nline":   `\` + hex + `  new\nline` + "\n",
		"return\r":    `\` + hex + `  return\r` + "\n",
		`all\` + "\n": `\` + hex + `  all\\\n` + "\n",
	}
	for name, want := range tests {
		if got := string(sumLine(nil, sum, name)); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

// TestSumAsSha256sum compares with the program whose format it is, and has that
// check the sums.
func TestSumAsSha256sum(t *testing.T) {
	if _, err := exec.LookPath("sha256sum"); err != nil {
		t.Skip("no sha256sum")
	}
	t.Chdir(t.TempDir())
	makeTree(t, "tree")
	var paths []string
	for path, text := range snapshot(t, "tree") {
		if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "u") || strings.HasPrefix(text, "g") {
			paths = append(paths, "tree/"+path)
		}
	}
	paths = append(paths, "tree/link", paths[0])
	want, err := exec.Command("sha256sum", append([]string{"--"}, paths...)...).Output()
	check(t, err)
	got := example(append([]string{"sum", "--"}, paths...)...)
	got.wantSuccess(t)
	if got.stdout != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got.stdout, want)
	}

	walked := example("sum", "tree")
	walked.wantSuccess(t)
	checker := exec.Command("sha256sum", "--check", "--strict", "--quiet")
	checker.Stdin = strings.NewReader(walked.stdout)
	if text, err := checker.CombinedOutput(); err != nil {
		t.Errorf("sha256sum --check: %v\n%s", err, text)
	}
	if n := strings.Count(walked.stdout, "\n"); n != len(paths)-2 {
		t.Errorf("%d lines for %d files", n, len(paths)-2)
	}
}

func TestSumOrder(t *testing.T) {
	t.Chdir(t.TempDir())
	want := []string{"d/a", "d/b-/x", "d/b.x", "d/b/c/x", "d/b/d", "d/b0", "d/c"}
	for _, path := range want {
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		write(t, path, path, 0o644)
	}
	check(t, os.Symlink("a", "d/link"))
	check(t, os.Symlink("b", "d/linked"))
	check(t, os.Mkdir("d/empty", 0o755))
	check(t, syscall.Mkfifo("d/fifo", 0o644))
	tests := []struct {
		args   []string
		prefix string
	}{
		{[]string{"d"}, ""}, {[]string{"./d"}, "./"}, {[]string{"d/"}, ""},
	}
	for _, test := range tests {
		got := example(append([]string{"sum"}, test.args...)...)
		got.wantSuccess(t)
		var lines strings.Builder
		for _, path := range want {
			fmt.Fprintf(&lines, "%x  %s%s\n", hashOf([]byte(path)), test.prefix, path)
		}
		if got.stdout != lines.String() {
			t.Errorf("sum %q prints:\n%s\nwant:\n%s", test.args, got.stdout, lines.String())
		}
	}
}

func TestSumGoesOn(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "1", "one", 0o644)
	write(t, "2", "two", 0o644)
	got := example("sum", "missing", "1", "mis\nsing", "2", "1/below")
	want := fmt.Sprintf("%x  1\n%x  2\n", hashOf([]byte("one")), hashOf([]byte("two")))
	if got.status != 1 || got.stdout != want {
		t.Errorf("status %d, prints:\n%s", got.status, got.stdout)
	}
	const complaints = "example: missing: no such file or directory\n" +
		`example: mis\nsing: no such file or directory` + "\n" +
		"example: 1/below: not a directory\n"
	if got.stderr != complaints {
		t.Errorf("standard error:\n%s\nwant:\n%s", got.stderr, complaints)
	}
}

func TestSumUnreadable(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become nobody")
	}
	dir := openDir(t)
	for _, name := range []string{"a", "b", "c"} {
		write(t, filepath.Join(dir, name), name, 0o644)
	}
	check(t, os.Chmod(filepath.Join(dir, "b"), 0))
	check(t, os.Mkdir(filepath.Join(dir, "d"), 0o700))
	got := asNobody(t, "sum", dir)
	if got.status != 1 || strings.Count(got.stdout, "\n") != 2 {
		t.Errorf("status %d, prints:\n%s", got.status, got.stdout)
	}
	want := fmt.Sprintf("example: %[1]s/b: permission denied\nexample: %[1]s/d: permission denied\n", dir)
	if got.stderr != want {
		t.Errorf("standard error:\n%s\nwant:\n%s", got.stderr, want)
	}
}

func TestSumManyFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	for i := range 700 {
		dir := fmt.Sprintf("t/%02d/%d", i%30, i%7)
		check(t, os.MkdirAll(dir, 0o755))
		write(t, fmt.Sprintf("%s/%d", dir, i), pattern(i*i), 0o644)
	}
	first := example("sum", "t")
	first.wantSuccess(t)
	if n := strings.Count(first.stdout, "\n"); n != 700 {
		t.Errorf("%d lines", n)
	}
	if second := example("sum", "t"); second.stdout != first.stdout {
		t.Error("two runs print different things")
	}
}

// TestSumOfStream reads a pipe, and then is interrupted in the middle of
// another.
func TestSumOfStream(t *testing.T) {
	t.Chdir(t.TempDir())
	check(t, syscall.Mkfifo("fifo", 0o644))
	cmd := command(t, "sum", "fifo")
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	check(t, cmd.Start())
	text := pattern(3*readAhead + 5)
	check(t, os.WriteFile("fifo", []byte(text), 0)) // opens when the reader does
	check(t, cmd.Wait())
	if want := fmt.Sprintf("%x  fifo\n", hashOf([]byte(text))); stdout.String() != want {
		t.Errorf("got %q, want %q", stdout.String(), want)
	}
}

func TestSumInterrupted(t *testing.T) {
	t.Chdir(t.TempDir())
	check(t, syscall.Mkfifo("fifo", 0o644))
	cmd := command(t, "sum", "fifo")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	check(t, cmd.Start())
	writer, err := os.OpenFile("fifo", os.O_WRONLY, 0) // opens when the reader does
	check(t, err)
	defer writer.Close()
	check(t, cmd.Process.Signal(os.Interrupt))
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != statusInterrupted || stderr.String() != "example: interrupted\n" {
		t.Errorf("status %d, standard error %q", got, stderr.String())
	}
}
