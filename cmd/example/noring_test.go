//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/supervisor"
	"github.com/ringmaster-io/ringmaster/test/refuse"
)

// What a child does to itself before it becomes the program: asFiltered is the
// errno that seccomp has for io_uring, asLacking what its rings lack.
const (
	asFiltered = "RINGMASTER_EXAMPLE_FILTERED"
	asLacking  = "RINGMASTER_EXAMPLE_LACKING"
)

// sysctlVariable, in the environment, lets the test forbid io_uring to the whole
// machine, and so to whatever runs beside it.
const sysctlVariable = "RINGMASTER_TEST_SYSCTL"

// refusal is one way in which a system refuses io_uring, or part of it.
type refusal struct {
	name string
	env  string // for the child
	// around arranges the world, and names a program to run the child under.
	around func(*testing.T) (wrap []string)
	since  string // why another backend serves, if one does
}

var refusals = []refusal{
	{name: "seccomp, as Docker has it", env: filtered(unix.EPERM), around: needSeccomp, since: "operation not permitted"},
	{name: "seccomp, as an old kernel has it", env: filtered(unix.ENOSYS), around: needSeccomp, since: "function not implemented"},
	{name: "sysctl", around: disable, since: "operation not permitted"},
	{name: "no descriptors", around: strace("io_uring_setup", unix.EMFILE), since: "too many open files"},
	{name: "no memory", around: strace("io_uring_setup", unix.ENOMEM), since: "cannot allocate memory"},
	{name: "a ring that may not be entered", around: strace("io_uring_enter", unix.EACCES), since: "io_uring_enter (see seccomp): permission denied"},
	{name: "a ring without truncate", env: asLacking + "=truncate"}, // Linux before 6.9
	{name: "a ring without paths", env: asLacking + "=open,stat,mkdir,symlink"},
	{name: "a ring without transfers", env: asLacking + "=read,write"},
}

func filtered(errno unix.Errno) (env string) { return fmt.Sprintf("%s=%d", asFiltered, errno) }

func needSeccomp(t *testing.T) []string { refuse.NeedSeccomp(t); return nil }

func strace(call string, errno unix.Errno) func(*testing.T) []string {
	return func(t *testing.T) []string { return refuse.Strace(t, call, errno) }
}

func disable(t *testing.T) []string {
	if os.Getenv(sysctlVariable) == "" {
		t.Skipf("sets kernel.io_uring_disabled=2 for the whole machine: run it alone, with %s=1", sysctlVariable)
	}
	refuse.Disable(t, "2")
	return nil
}

// TestWithoutRing runs the program where io_uring is refused. It does the same
// as elsewhere and says the same, but for which backend it is and why.
func TestWithoutRing(t *testing.T) {
	source := filepath.Join(t.TempDir(), "source")
	makeLargeTree(t, source)
	want := perform(t, source, nil, "")
	if want.backend != "io_uring" {
		t.Skip("needs io_uring, to compare with: ", want.since)
	}
	if sums := sha256sum(t, source); want.sums != sums {
		t.Errorf("sum prints:\n%s\nwant:\n%s", want.sums, sums)
	}
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			var wrap []string
			if r.around != nil {
				wrap = r.around(t)
			}
			r.judge(t, want, perform(t, source, wrap, r.env))
		})
	}
}

// TestWithoutCalls runs the program where filters of system calls refuse what
// they do not know: it does the same.
func TestWithoutCalls(t *testing.T) {
	source := filepath.Join(t.TempDir(), "source")
	makeTree(t, source)
	want := sha256sum(t, source)
	for _, c := range []struct{ backend, call string }{
		{"portable", "preadv2"}, {"portable", "pwritev2"}, {"portable", "openat2"},
		{"portable", "statx"}, {"io_uring", "statx"},
	} {
		for _, errno := range []unix.Errno{unix.ENOSYS, unix.EPERM, unix.EACCES} {
			t.Run(fmt.Sprint(c.backend, " without ", c.call, ", ", errno), func(t *testing.T) {
				if c.backend == "io_uring" {
					needRing(t)
				}
				wrap, env := refuse.Strace(t, c.call, errno), "RINGMASTER_BACKEND="+c.backend
				sum := child(t, wrap, env, "sum", source)
				sum.wantSuccess(t)
				if sum.stdout != want {
					t.Errorf("sum prints:\n%s\nwant:\n%s", sum.stdout, want)
				}
				target := filepath.Join(t.TempDir(), "copy")
				child(t, wrap, env, "copy", "--verify", source, target).wantSuccess(t)
				diff(t, snapshot(t, source), snapshot(t, target))
			})
		}
	}
}

func needRing(t *testing.T) {
	r, err := ring.Open(ring.Options{})
	if errors.Is(err, ring.ErrUnavailable) {
		t.Skip(err)
	}
	check(t, err)
	check(t, r.Close())
}

// judge compares a performance with that of a program which is refused nothing.
func (r refusal) judge(t *testing.T, want, got performance) {
	t.Helper()
	want.since = got.since
	if r.since != "" {
		want.backend = "portable"
	}
	if !strings.Contains(got.since, r.since) || (r.since == "") != (got.since == "") {
		t.Errorf("it says why %q serves: %q, want %q in it", got.backend, got.since, r.since)
	}
	if got != want {
		t.Errorf("got:\n%+v\nwant:\n%+v", got, want)
	}
}

// performance is what the program's commands did, as far as it is the same each
// time.
type performance struct {
	backend, since     string
	copy, sums, guided string
}

// restartsLeast is how often a copy's ring owner must have been restarted for it
// to show something.
const restartsLeast = 3

// perform runs each command.
func perform(t *testing.T, source string, wrap []string, env string) (p performance) {
	t.Helper()
	target := filepath.Join(t.TempDir(), "copy")
	copied := child(t, wrap, env, "copy", "--crash-every", "20ms", "--verify", source, target)
	copied.wantSuccess(t)
	diff(t, snapshot(t, source), snapshot(t, target))
	if n := restarts(t, copied.stdout); n < restartsLeast {
		t.Errorf("%d restarts, want %d at least:\n%s", n, restartsLeast, copied.stdout)
	}
	summed := child(t, wrap, env, "sum", "--stats", source)
	stats := summed.stderr
	summed.stderr = "" // which are printed there
	summed.wantSuccess(t)
	guided := child(t, wrap, env)
	guided.wantSuccess(t)
	p.sums = summed.stdout
	for _, text := range []struct {
		from string
		to   *string
	}{{copied.stdout, &p.copy}, {guided.stdout, &p.guided}, {stats, new(string)}} {
		said, backend, since := steady(text.from)
		if p.backend != "" && (p.backend != backend || p.since != since) {
			t.Errorf("one command says %q, since %q; another %q, since %q", p.backend, p.since, backend, since)
		}
		*text.to, p.backend, p.since = said, backend, since
	}
	return p
}

// child runs the program in a process of its own, under another if wrap names
// one.
func child(t *testing.T, wrap []string, env string, args ...string) outcome {
	t.Helper()
	cmd := command(t, args...)
	if wrap != nil {
		cmd.Path, cmd.Args = wrap[0], slices.Concat(wrap, cmd.Args)
	}
	cmd.Env = append(cmd.Env, env)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// asRefused is what TestMain does of that in the child.
func asRefused() (options []supervisor.Option) {
	if errno, err := strconv.Atoi(os.Getenv(asFiltered)); err == nil {
		if err := refuse.Seccomp(unix.Errno(errno)); err != nil {
			panic(err)
		}
	}
	if names := os.Getenv(asLacking); names != "" {
		options = append(options, func(c *actors.Config) { c.OpenKernel = openLacking(c.OpenKernel, codes(names)) })
	}
	return options
}

// codes are those of a list of names.
func codes(list string) (codes []ring.Code) {
	names := strings.Split(list, ",")
	for c := range ring.Codes() {
		if slices.Contains(names, c.String()) {
			codes = append(codes, c)
		}
	}
	if len(codes) != len(names) {
		panic("not all of these are operations: " + list)
	}
	return codes
}

// lacking is a ring that says of some operations that it lacks them, as an older
// kernel's does.
type lacking struct {
	ring.Kernel
	codes []ring.Code
}

func openLacking(open func(actors.Config) (ring.Kernel, error), codes []ring.Code) func(actors.Config) (ring.Kernel, error) {
	return func(c actors.Config) (ring.Kernel, error) {
		k, err := open(c)
		if err != nil {
			return nil, err
		}
		return lacking{k, codes}, nil
	}
}

// Supports implements ring.Kernel.
func (k lacking) Supports(c ring.Code) bool {
	return !slices.Contains(k.codes, c) && k.Kernel.Supports(c)
}

// Push implements ring.Kernel. Nobody is to ask for what is not there.
func (k lacking) Push(name ring.UserData, r *ring.Request) bool {
	if !k.Supports(r.Code) {
		fmt.Fprintf(os.Stderr, "the ring is asked for %s, which it lacks\n", r.Code)
	}
	return k.Kernel.Push(name, r)
}

// makeLargeTree makes one on which the owner can be restarted several times.
func makeLargeTree(t *testing.T, root string) {
	t.Helper()
	makeTree(t, root)
	for i := range 1000 {
		dir := filepath.Join(root, "many", fmt.Sprint(i%20))
		check(t, os.MkdirAll(dir, 0o755))
		write(t, filepath.Join(dir, fmt.Sprint(i)), pattern(i*10), 0o640)
	}
	for i := range 3 {
		write(t, filepath.Join(root, "large"+fmt.Sprint(i)), pattern(8<<20+i), 0o600)
	}
}

// sha256sum is what that program prints of all files in a tree, in the order of
// their paths.
func sha256sum(t *testing.T, root string) string {
	t.Helper()
	if _, err := exec.LookPath("sha256sum"); err != nil {
		t.Skip("no sha256sum")
	}
	const each = `find "$1" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum --`
	out, err := exec.Command("sh", "-c", each, "sh", root).Output()
	check(t, err)
	return string(out)
}

var (
	backendLine  = regexp.MustCompile(`(?m)^(?:backend +|The backend is )(\S+)\n(?: +since (.*)\n)?`)
	restartsLine = regexp.MustCompile(`(?m)^restarts +(\d+)$`)
	// varying are the lines of which each run has other figures, and what they
	// are measured in.
	varying = regexp.MustCompile(`(?m)^.*(?:took|operations|cancelled,|restarts|crashes|crashed at|submitted).*$`)
	figure  = regexp.MustCompile(`[0-9][0-9.,]*(?: ?(?:ms|s|[kMG]?B)\b)?`)
)

// steady is what is the same in each run's report, and what it says of the
// backend.
func steady(report string) (said, backend, since string) {
	if found := backendLine.FindStringSubmatch(report); found != nil {
		backend, since = found[1], found[2]
	}
	said = backendLine.ReplaceAllString(report, "")
	said = varying.ReplaceAllStringFunc(said, func(line string) string { return figure.ReplaceAllString(line, "#") })
	return said, backend, since
}

func restarts(t *testing.T, report string) int {
	t.Helper()
	found := restartsLine.FindStringSubmatch(report)
	if found == nil {
		t.Fatalf("the report does not tell the restarts:\n%s", report)
	}
	n, err := strconv.Atoi(found[1])
	check(t, err)
	return n
}
