//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// chaosFlags are those of a short run.
func chaosFlags(t *testing.T, further ...string) []string {
	return append([]string{"chaos", "--duration", "2s", "--actors", "16", "--dir", t.TempDir(), "--enter-errors", "200"}, further...)
}

// number finds the number before a word of a report's line.
func number(t *testing.T, report, label, before string) int {
	t.Helper()
	for line := range strings.Lines(report) {
		if !strings.HasPrefix(line, label) {
			continue
		}
		m := regexp.MustCompile(`([\d,]+) ` + before).FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("no number before %q in %q", before, line)
		}
		n, err := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
		check(t, err)
		return n
	}
	t.Fatalf("no line %q in the report:\n%s", label, report)
	return 0
}

// TestChaos runs the real thing, for a short time.
func TestChaos(t *testing.T) {
	for _, policy := range []string{"drain", "cancel"} {
		t.Run(policy, func(t *testing.T) {
			dir := t.TempDir()
			got := example(chaosFlags(t, "--policy", policy, "--dir", dir)...)
			if got.status != 0 || got.stderr != "" {
				t.Fatalf("status %d, standard error:\n%s\nstandard output:\n%s", got.status, got.stderr, got.stdout)
			}
			for _, want := range [][2]string{
				{"submitted", "= "}, {"completed", "ok"}, {"completed", "failed as expected"}, {"completed", "cancelled"},
				{"answers", "checked"}, {"cancels", "asked for"}, {"killed", "requesters"},
			} {
				if number(t, got.stdout, want[0], want[1]) == 0 {
					t.Errorf("no %s %s:\n%s", want[0], want[1], got.stdout)
				}
			}
			for _, word := range []string{"crashes     0", "errors      0", "restarts    0", "policy " + policy} {
				if strings.Contains(got.stdout, word) == strings.HasSuffix(word, " 0") {
					t.Errorf("the report is wrong about %q:\n%s", word, got.stdout)
				}
			}
			wantEmpty(t, dir)
		})
	}
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check(t, err)
	if len(entries) > 0 {
		t.Errorf("%s is left", entries)
	}
}

// TestChaosWithoutHarm: with nothing that is made to fail, nothing does.
func TestChaosWithoutHarm(t *testing.T) {
	got := example(chaosFlags(t, "--duration", "500ms", "--crash-every", "0", "--kill-every", "0", "--enter-errors", "0")...)
	got.wantSuccess(t)
	if !strings.Contains(got.stdout, "restarts    0\n") {
		t.Errorf("the ring owner was restarted:\n%s", got.stdout)
	}
	for _, word := range []string{"\ncrashes ", "\nerrors "} {
		if strings.Contains(got.stdout, word) {
			t.Errorf("there were%s\n%s", word, got.stdout)
		}
	}
}

func TestChaosBadFlags(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--duration", "0s"}, "--duration"},
		{[]string{"--duration", "-1s"}, "--duration"},
		{[]string{"--duration", "soon"}, "soon"},
		{[]string{"--actors", "0"}, "--actors"},
		{[]string{"--actors", "4097"}, "--actors"},
		{[]string{"--policy", "pray"}, "pray"},
		{[]string{"--seeds", "7"}, "--sim"},
		{[]string{"--crash-every", "-1ms"}, "--crash-every"},
		{[]string{"--kill-every", "-1ms"}, "--kill-every"},
		{[]string{"--enter-errors", "-1"}, "--enter-errors"},
		{[]string{"--seed", "-1"}, "-1"},
		{[]string{"--dir", missing}, "no such file"},
		{[]string{"more"}, "unknown command"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			example(append([]string{"chaos"}, test.args...)...).wantOneLine(t, test.want)
		})
	}
}

// TestChaosInterrupted: the first signal ends the run early and in order.
func TestChaosInterrupted(t *testing.T) {
	dir := t.TempDir()
	cmd := command(t, "chaos", "--duration", "1h", "--dir", dir)
	var stdout, stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	first := make([]byte, 1)
	_, err = out.Read(first) // it has begun
	check(t, err)
	deadline := time.Now().Add(20 * time.Second)
	for { // until there are files
		entries, err := os.ReadDir(dir)
		check(t, err)
		if len(entries) == 1 {
			if below, _ := os.ReadDir(filepath.Join(dir, entries[0].Name())); len(below) > 0 {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing happens")
		}
	}
	check(t, cmd.Process.Signal(os.Interrupt))
	_, err = stdout.ReadFrom(out)
	check(t, err)
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != statusInterrupted || stderr.String() != "example: interrupted\n" {
		t.Errorf("status %d, standard error %q", got, stderr.String())
	}
	if !strings.Contains(stdout.String(), "broken      0\n") {
		t.Errorf("the books are not printed:\n%s", stdout.String())
	}
	wantEmpty(t, dir)
}

// TestChaosReplays: the options that are printed are those of the run.
func TestChaosReplays(t *testing.T) {
	o := chaosOptions{seed: 7, duration: time.Second, actors: 3, policy: actors.CancelInFlight, crashEvery: time.Minute, enterErrors: 5}
	const want = "chaos --seed 7 --duration 1s --actors 3 --policy cancel --crash-every 1m0s --kill-every 0s --enter-errors 5"
	if o.String() != want {
		t.Errorf("got %s, want %s", o, want)
	}
	cmd := chaosCommand(&globals{})
	check(t, cmd.ParseFlags(strings.Fields(want)[1:]))
	for _, flag := range []string{"seed", "duration", "actors", "policy", "crash-every", "kill-every", "enter-errors"} {
		if !strings.Contains(want, fmt.Sprintf("--%s %s", flag, cmd.Flag(flag).Value)) {
			t.Errorf("--%s is taken as %s", flag, cmd.Flag(flag).Value)
		}
	}
}

func TestMatterShowsItsPlaces(t *testing.T) {
	m := matter(1)
	whole := make([]byte, 1000)
	m.fill(whole, 0)
	for _, at := range []int{0, 1, 7, 8, 9, 500} {
		for _, n := range []int{0, 1, 7, 8, 9, 100} {
			check(t, m.check(whole[at:at+n], int64(at)))
		}
	}
	swapped := bytes.Clone(whole)
	copy(swapped[8:16], whole[16:24])
	copy(swapped[16:24], whole[8:16])
	for name, wrong := range map[string][]byte{
		"lost":     append(bytes.Clone(whole[:100]), whole[101:]...),
		"twice":    append(bytes.Clone(whole[:100]), whole[99:]...),
		"swapped":  swapped,
		"of other": func() []byte { b := make([]byte, 1000); matter(2).fill(b, 0); return b }(),
	} {
		if m.check(wrong, 0) == nil {
			t.Errorf("%s is not seen", name)
		}
	}
}

func TestDicePieces(t *testing.T) {
	d := newDice(1, 2)
	for range 1000 {
		length, most := d.between(1, 100), d.between(1, 100)
		at := 0
		for _, p := range d.pieces(length, most) {
			if p.at != at || p.n < 1 || p.n > most {
				t.Fatalf("piece %v at %d, of at most %d", p, at, most)
			}
			at += p.n
		}
		if at != length {
			t.Fatalf("%d of %d are cut", at, length)
		}
	}
}

func TestPauses(t *testing.T) {
	var p pauses
	p.init()
	asked := func(at time.Time) *deed { return &deed{op: &messages.Nop{}, began: at} }
	p.answered(asked(time.Now()))
	if n := p.times.TotalCount(); n != 0 {
		t.Fatalf("%d pauses without a crash", n)
	}
	before := time.Now()
	p.crashed()
	p.answered(asked(before)) // may have been answered before the crash
	if n := p.times.TotalCount(); n != 0 {
		t.Fatal("a pause is ended by what was asked for before it")
	}
	crash := p.crash.Load()
	p.crashed()
	if p.crash.Load() != crash {
		t.Error("a second crash hides the first")
	}
	p.answered(asked(time.Now()))
	p.answered(asked(time.Now()))
	if n := p.times.TotalCount(); n != 1 {
		t.Errorf("%d pauses of one crash", n)
	}
}

func TestSlowest(t *testing.T) {
	var p pauses
	p.init()
	someone := &performer{name: "someone"}
	waited := func(d time.Duration, op messages.Op, prompt bool) {
		p.answered(&deed{by: someone, op: op, prompt: prompt, began: time.Now().Add(-d)})
	}
	waited(time.Hour, &messages.Read{}, false)
	waited(2*time.Second, &messages.Timeout{After: 2 * time.Second}, true)
	waited(time.Second, &messages.Stat{}, true)
	waited(time.Second/2, &messages.Nop{}, true)
	if p.slowestDeed != "someone: stat" || p.slowest < time.Second || p.slowest > 2*time.Second {
		t.Errorf("the slowest is %s: %s", p.slowest, p.slowestDeed)
	}
}

func TestTimes(t *testing.T) {
	h := newTimes()
	for i := range 100 {
		h.note(time.Duration(i+1) * time.Millisecond)
	}
	h.note(-time.Second)
	h.note(2 * timesMax)
	within := func(got, want time.Duration) bool { return got >= want && got <= want+want/100 }
	if !within(h.at(50), 50*time.Millisecond) || !within(h.longest(), timesMax) || h.TotalCount() != 102 {
		t.Errorf("median %s, longest %s of %d", h.at(50), h.longest(), h.TotalCount())
	}
}

func TestChaosHelp(t *testing.T) {
	got := example("chaos", "--help")
	got.wantSuccess(t)
	for _, want := range []string{"Usage:", "--seed uint", "(default random)", "--policy string"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in:\n%s", want, got.stdout)
		}
	}
}
