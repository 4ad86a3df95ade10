//go:build linux

package test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// idleWindow is for how long processes are watched that have nothing to do.
const idleWindow = 10 * time.Second

// TestIdle watches, from outside, a process with a subsystem that has worked
// and has operations in flight that do not end, beside one that has an actor
// system only. The subsystem may cost nothing: its counters stand still, and
// its threads are woken no more often than the other's.
func TestIdle(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	plain, ring := startIdle(t, "idle-plain"), startIdle(t, "idle-ring")
	plain.settle()
	ring.settle()
	window := time.NewTimer(idleWindow)
	beforePlain, beforeRing := plain.threads(), ring.threads()
	<-window.C
	used, usedPlain := since(beforeRing, ring.threads()), since(beforePlain, plain.threads())
	t.Logf("with a subsystem %+v, without %+v", used, usedPlain)
	require.LessOrEqual(t, used.woken, usedPlain.woken+2)
	require.LessOrEqual(t, used.cpu, usedPlain.cpu+5*time.Millisecond)
	require.LessOrEqual(t, used.kernel, used.workers*int64(idleWindow/workerLooks+1))
	plain.end()
	ring.end()
}

// idleProcess is a child that does nothing.
type idleProcess struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Closer
}

// startIdle starts a child, and returns when it says that it has nothing more
// to do.
func startIdle(t *testing.T, name string) *idleProcess {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	said, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "idle\n", said)
	return &idleProcess{t, cmd, stdin}
}

// end ends the child, which says whether it is content.
func (p *idleProcess) end() {
	p.t.Helper()
	require.NoError(p.t, p.stdin.Close())
	require.NoError(p.t, p.cmd.Wait())
}

// settle waits until the threads stay where they are: Go takes a while to see
// that it has nothing to do, the kernel's workers wait a few seconds for work
// before they end, and the watchdog looks once more half of its patience after
// the last call into the kernel.
func (p *idleProcess) settle() {
	p.t.Helper()
	last, since := p.threads(), time.Now()
	eventually(p.t, "the process is idle", func() bool {
		now := p.threads()
		if !reflect.DeepEqual(now, last) {
			last, since = now, time.Now()
		}
		return time.Since(since) > actors.DefaultConfig().StuckAfter
	})
}

// thread is how often a thread was woken, and what processor time it has used.
type thread struct {
	woken  int64
	cpu    time.Duration
	kernel bool // it is a worker of the kernel's, for io_uring
}

// workerLooks is how often an idle worker of the kernel's looks whether it is
// still wanted (WORKER_IDLE_TIMEOUT). It keeps a few for each thread that has
// submitted.
const workerLooks = 5 * time.Second

// threads are those of the process.
func (p *idleProcess) threads() map[string]thread {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.cmd.Process.Pid))
	require.NoError(p.t, err)
	all := map[string]thread{}
	for _, task := range tasks {
		status, err := os.ReadFile(task + "/status")
		schedstat, err2 := os.ReadFile(task + "/schedstat")
		if err != nil || err2 != nil {
			continue // it has ended meanwhile
		}
		var one thread
		_, rest, _ := strings.Cut(string(status), "\nvoluntary_ctxt_switches:")
		_, err = fmt.Sscan(rest, &one.woken)
		require.NoError(p.t, err)
		cpu, _, _ := strings.Cut(string(schedstat), " ")
		ns, err := strconv.ParseInt(cpu, 10, 64)
		require.NoError(p.t, err)
		one.cpu = time.Duration(ns)
		one.kernel = strings.HasPrefix(string(status), "Name:\tiou-")
		all[task] = one
	}
	return all
}

// idleUse is what a process has done in between.
type idleUse struct {
	woken           int64 // threads of the program
	kernel, workers int64 // the kernel's: how often they were woken, and how many there are
	cpu             time.Duration
}

// since compares. A thread that has ended was woken for that.
func since(before, after map[string]thread) (use idleUse) {
	for task, now := range after {
		use.cpu += now.cpu - before[task].cpu
		if now.kernel {
			use.workers++
			use.kernel += now.woken - before[task].woken
			continue
		}
		use.woken += now.woken - before[task].woken
	}
	for task, was := range before {
		if _, alive := after[task]; !alive && !was.kernel {
			use.woken++
		}
	}
	return use
}

// childIdlePlain is idle with an actor system.
func childIdlePlain() error {
	actor.NewActorSystem(quiet)
	return beIdle()
}

// childIdleRing is idle with a subsystem that has something in flight.
func childIdleRing() error {
	rm, err := supervisor.Start(actor.NewActorSystem(quiet))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := inChildDir(func(dir string) error { return mixedWork(ctx, rm.Client(), dir) }); err != nil {
		return err
	}
	const waiting = 100
	for range waiting {
		go func() { _, _ = actors.Await(ctx, rm.Client(), &messages.Timeout{After: time.Hour}) }()
	}
	before := &messages.Inspection{}
	for before.InFlight < waiting {
		if before, err = rm.Inspect(ctx); err != nil {
			return err
		}
	}
	if err := beIdle(); err != nil {
		return err
	}
	after, err := rm.Inspect(ctx)
	if err != nil {
		return err
	}
	return stoodStill(before, after)
}

// stoodStill compares two pictures, between which only the Inspects happened.
func stoodStill(before, after *messages.Inspection) error {
	bursts := func(in *messages.Inspection) uint64 { return in.Inline + in.Spawned + in.Pinned }
	if n := bursts(after) - bursts(before); n > 2 {
		return fmt.Errorf("%d bursts while idle", n)
	}
	if after.Enters != before.Enters || after.Reaped != before.Reaped {
		return fmt.Errorf("idle, and yet %+v, then %+v", before.Counters, after.Counters)
	}
	return nil
}

// beIdle says so, and waits for the end of the standard input: parked, without
// a thread.
func beIdle() error {
	if err := unix.SetNonblock(0, true); err != nil {
		return err
	}
	stdin := os.NewFile(0, "stdin")
	fmt.Println("idle")
	_, err := io.Copy(io.Discard, stdin)
	return err
}

// inChildDir has f work in a directory that is removed afterwards.
func inChildDir(f func(dir string) error) error {
	dir, err := os.MkdirTemp("", "child")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return f(dir)
}
