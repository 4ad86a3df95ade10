//go:build linux

package faults

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// childPatience is longer than the child's own, so that it can say what it waits
// for in vain.
const childPatience = 2 * patience

// process is a child whose words are waited for.
type process struct {
	t     testing.TB
	cmd   *exec.Cmd
	in    io.WriteCloser
	said  *bufio.Scanner
	out   *os.File
	ended chan struct{}
}

func startProcess(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	out, in, err := os.Pipe()
	require.NoError(t, err)
	p := &process{t: t, cmd: cmd, out: out, said: bufio.NewScanner(out), ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr, cmd.Env = in, in, append(cmd.Env, noRaceDelay)
	p.in, err = cmd.StdinPipe()
	require.NoError(t, err)
	err = cmd.Start()
	_ = in.Close()
	require.NoError(t, err)
	go func() {
		defer close(p.ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.in.Close()
		_ = cmd.Process.Kill()
		if !p.endsWithin(patience) {
			t.Errorf("a child is left behind: %s", p.threads())
		}
		_ = out.Close()
	})
	return p
}

// say tells the child something, on a line of its own.
func (p *process) say(line string) {
	p.t.Helper()
	_, err := fmt.Fprintln(p.in, line)
	require.NoError(p.t, err)
}

// hear waits for a line that begins with a word.
func (p *process) hear(word string) (line string) {
	p.t.Helper()
	_ = p.out.SetReadDeadline(time.Now().Add(childPatience))
	var all strings.Builder
	for p.said.Scan() {
		if line := p.said.Text(); strings.HasPrefix(line, word) {
			return line
		}
		_, _ = fmt.Fprintln(&all, p.said.Text())
	}
	p.t.Fatalf("the child does not say %q (%v), but: %s", word, p.said.Err(), &all)
	return ""
}

// succeeds waits for the process's end, which must be a pass.
func (p *process) succeeds() {
	p.t.Helper()
	var rest strings.Builder
	_ = p.out.SetReadDeadline(time.Now().Add(childPatience))
	for p.said.Scan() {
		_, _ = fmt.Fprintln(&rest, p.said.Text())
	}
	require.True(p.t, p.endsWithin(childPatience), "the child does not end: %s", p.threads())
	require.True(p.t, p.cmd.ProcessState.Success(), "%v: %s", p.cmd.ProcessState, &rest)
}

// signal sends the process a signal.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

// endsWithin reports whether the process ends in that time.
func (p *process) endsWithin(d time.Duration) bool {
	select {
	case <-p.ended:
		return true
	case <-time.After(d):
		return false
	}
}

// threads are those of the process, each as "name state".
func (p *process) threads() (threads []string) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
	for _, task := range tasks {
		if stat, err := os.ReadFile(task); err == nil {
			_, rest, _ := strings.Cut(string(stat), "(")
			name, rest, _ := strings.Cut(rest, ") ")
			threads = append(threads, name+" "+rest[:1])
		}
	}
	return threads
}
