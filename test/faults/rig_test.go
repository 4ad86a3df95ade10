//go:build linux

package faults

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// patience bounds every wait of these tests. It is a bound on failures only:
// nothing that succeeds takes that long.
const patience = 30 * time.Second

// quiet keeps protoactor's own log off the terminal. The goroutine that bounds
// how often it logs dead letters is not to outlive a test by a second.
func quiet(c *actor.Config) {
	c.LoggerFactory = func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }
	c.DeadLetterThrottleInterval = time.Millisecond
}

// needRoot skips a test that cannot do without.
func needRoot(t testing.TB, what string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("needs root: %s", what)
	}
}

// needTool finds a program, or skips the test that needs it.
func needTool(t testing.TB, name, pkg string) (path string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s (Debian package %s): %v", name, pkg, err)
	}
	return path
}

// eventually waits for something of which nobody tells: it looks again and
// again, and fails the test at the bound.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(patience); !holds(); <-ticker.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s\n%s", what, stacks())
		}
	}
}

// stacks are those of all goroutines, for a test that has waited in vain.
func stacks() []byte {
	buf := make([]byte, 1<<20)
	return buf[:runtime.Stack(buf, true)]
}

// onRing reports whether an io_uring performs the operations.
func (o *oracle) onRing() bool {
	o.t.Helper()
	return o.inspect().Backend == actors.BackendRing.String()
}

// needsRing skips a scenario that is about the io_uring itself.
func (o *oracle) needsRing(about string) {
	o.t.Helper()
	if !o.onRing() {
		o.t.Skipf("is about %s: the backend is %s", about, o.inspect().Backend)
	}
}

// pipe makes a pipe, both ends of which are closed when the oracle has shut the
// subsystem down, if not before.
func (o *oracle) pipe() (reader, writer *os.File) {
	o.t.Helper()
	reader, writer, err := os.Pipe()
	require.NoError(o.t, err)
	o.after(func() { _, _ = reader.Close(), writer.Close() })
	return reader, writer
}

// adopt makes a handle for a file. It is the client's.
func (o *oracle) adopt(f *os.File) messages.Handle {
	o.t.Helper()
	return do(o, &messages.Adopt{File: f})
}

// fifo makes a named pipe. Opening one end of it waits for the other.
func fifo(t testing.TB) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, unix.Mkfifo(path, 0o600))
	return path
}

// quickly is a limit that is over in some milliseconds for a hurried subsystem. By
// every other clock, such as that of a Shutdown, which must end in time however
// slow the machine is, it never is.
const quickly = patience - 1

// hurried gives up soon what does not end by itself.
func hurried(c *actors.Config) {
	c.DrainTimeout, c.ShutdownGrace = quickly, quickly
	c.Crew = hurriedCrew{c.Crew}
}

type hurriedCrew struct{ actors.Crew }

// AfterFunc implements actors.Crew.
func (c hurriedCrew) AfterFunc(d time.Duration, f func()) actors.Timer {
	if d == quickly {
		d = 20 * time.Millisecond
	}
	return c.Crew.AfterFunc(d, f)
}

// striker has the ring owner panic at a failpoint, when it is told to.
type striker struct {
	point  actors.Failpoint
	armed  atomic.Bool
	struck atomic.Int64
}

// hook is for supervisor.WithFailpoint.
func (s *striker) hook(point actors.Failpoint, _ int) {
	if point == s.point && s.armed.CompareAndSwap(true, false) {
		panic(fmt.Errorf("injected at %s, strike %d", point, s.struck.Add(1)))
	}
}

// strike has the ring owner fail now: a NOP leads it past the failpoint, and
// may be refused or completed, as the failpoint has it. It returns when the
// NOP is answered.
func (s *striker) strike(o *oracle) {
	o.t.Helper()
	before := s.struck.Load()
	s.armed.Store(true)
	for s.struck.Load() == before {
		_, _ = await(o, &messages.Nop{})
	}
}

// childVariable is in the environment of a child process of a test.
const childVariable = "RINGMASTER_FAULTS_CHILD"

// inChild reports whether this process is one that child has made. What is its
// value there, such as it was given to child.
func inChild() (what string, yes bool) { return os.LookupEnv(childVariable) }

// child is this test again, in a process of its own, which finds inChild true
// there. Under another program if wrap names one. It is not started.
func child(t testing.TB, what string, wrap ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	root, _, _ := strings.Cut(t.Name(), "/")
	argv := append(wrap, self, "-test.run=^"+root+"$", "-test.count=1", "-test.v", "-test.timeout=2m")
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), childVariable+"="+what)
	return cmd
}

// runChild runs a child to its end, which must be a pass, and gives what it
// printed.
func runChild(t testing.TB, what string, wrap ...string) (out string) {
	t.Helper()
	printed, err := child(t, what, wrap...).CombinedOutput()
	require.NoError(t, err, "child %q: %s", what, printed)
	return string(printed)
}

// gate holds the ring owner's runner at a failpoint while the test arranges the
// world. A test that ends meanwhile lets it go.
type gate struct {
	point   actors.Failpoint
	armed   atomic.Bool
	entered chan struct{}
	release chan struct{}
	over    chan struct{}
	once    sync.Once
}

func newGate(point actors.Failpoint) *gate {
	return &gate{point: point, entered: make(chan struct{}), release: make(chan struct{}), over: make(chan struct{})}
}

// hook is for supervisor.WithFailpoint.
func (g *gate) hook(point actors.Failpoint, _ int) {
	if point != g.point || !g.armed.CompareAndSwap(true, false) {
		return
	}
	select {
	case g.entered <- struct{}{}:
	case <-g.over:
		return
	}
	select {
	case <-g.release:
	case <-g.over:
	}
}

// arm has the runner wait when it comes to the failpoint next; wait is to
// follow. What leads the runner there must not be sent by the test's own
// goroutine: who sends may become the runner, and be held himself.
func (g *gate) arm(t testing.TB) {
	g.armed.Store(true)
	t.Cleanup(func() { g.once.Do(func() { close(g.over) }) })
}

// wait returns when the runner has come to the failpoint; the function that it
// returns lets it go on.
func (g *gate) wait(t testing.TB) (open func()) {
	t.Helper()
	select {
	case <-g.entered:
	case <-time.After(patience):
		t.Fatalf("nobody came to the failpoint %s\n%s", g.point, stacks())
	}
	return func() { g.release <- struct{}{} }
}

// hold has the runner wait at the failpoint, to which a NOP leads it. What is
// sent meanwhile is taken when open is called, which waits for the NOP's end.
func (g *gate) hold(o *oracle) (open func()) {
	o.t.Helper()
	g.arm(o.t)
	ended := make(chan error, 1)
	go func() {
		_, err := await(o, &messages.Nop{})
		ended <- err
	}()
	release := g.wait(o.t)
	return func() {
		o.t.Helper()
		release()
		select {
		case err := <-ended:
			require.NoError(o.t, err)
		case <-time.After(patience):
			o.t.Fatalf("the NOP that was held is not answered\n%s", stacks())
		}
	}
}
