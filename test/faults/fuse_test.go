//go:build linux

package faults

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
)

// fuseMount is a mounted file system whose server hangs when the test says so;
// see [fuseServer]. The server is a process of its own: one of which requests
// hang in this process could not be killed with it. It ends with the test, and
// when this process dies.
type fuseMount struct {
	t      testing.TB
	dir    string
	cmd    *exec.Cmd
	orders io.WriteCloser
	said   *os.File
	lines  *bufio.Scanner
	// heard counts what the server said: "hung read", "opened", "released".
	heard  map[string]int
	stderr bytes.Buffer
}

// noRaceDelay has a program that was built with the race detector exit at once,
// not after a second.
const noRaceDelay = "GORACE=atexit_sleep_ms=0"

// fuseServerTest is the test that is the server in a child.
const fuseServerTest = "TestFuseServer"

// mountFUSE mounts one. Mount it before the oracle starts, so that it outlives
// that.
func mountFUSE(t testing.TB) *fuseMount {
	t.Helper()
	needRoot(t, "mounting a FUSE file system")
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("needs FUSE in the kernel: ", err)
	}
	self, err := os.Executable()
	require.NoError(t, err)
	m := &fuseMount{t: t, dir: t.TempDir(), heard: make(map[string]int)}
	said, say, err := os.Pipe()
	require.NoError(t, err)
	m.said, m.lines = said, bufio.NewScanner(said)
	m.cmd = exec.Command(self, "-test.run=^"+fuseServerTest+"$", "-test.count=1")
	m.cmd.Env = append(os.Environ(), childVariable+"="+m.dir, noRaceDelay)
	m.cmd.ExtraFiles = []*os.File{say}
	m.cmd.Stderr = &m.stderr
	m.orders, err = m.cmd.StdinPipe()
	require.NoError(t, err)
	err = m.cmd.Start()
	_ = say.Close()
	require.NoError(t, err)
	t.Cleanup(m.unmount)
	m.done("mounting")
	return m
}

// unmount ends the server, which answers all that hangs and unmounts.
func (m *fuseMount) unmount() {
	_ = m.orders.Close()
	kill := time.AfterFunc(patience, func() { _ = m.cmd.Process.Kill() })
	_ = m.cmd.Wait()
	kill.Stop()
	_ = unix.Unmount(m.dir, unix.MNT_DETACH) // where the server had no time
	_ = m.said.Close()
	if m.t.Failed() {
		m.t.Logf("the FUSE server said: %s", &m.stderr)
	}
}

// hear takes one line of the server's.
func (m *fuseMount) hear() (line string) {
	m.t.Helper()
	_ = m.said.SetReadDeadline(time.Now().Add(patience))
	if !m.lines.Scan() {
		m.t.Fatalf("the FUSE server says nothing (%v), heard so far: %v\n%s", m.lines.Err(), m.heard, stacks())
	}
	what, rest, _ := strings.Cut(m.lines.Text(), " ")
	kind, _, _ := strings.Cut(rest, " ")
	switch what {
	case "hung":
		m.heard["hung "+kind]++
	case "opened", "released":
		m.heard[what]++
	}
	return m.lines.Text()
}

// done waits until the server says that an order is carried out.
func (m *fuseMount) done(order string) {
	m.t.Helper()
	for said := ""; said != "done "+order; said = m.hear() {
	}
}

func (m *fuseMount) order(order ...string) {
	m.t.Helper()
	_, err := fmt.Fprintln(m.orders, strings.Join(order, " "))
	require.NoError(m.t, err)
	m.done(order[0])
}

// hang has requests of these kinds hang from now on.
func (m *fuseMount) hang(kinds ...string) {
	m.t.Helper()
	m.order(append([]string{"hang"}, kinds...)...)
}

// answer has those of a kind that hang answered: with "data", "short", or an
// errno's name.
func (m *fuseMount) answer(kind, how string) {
	m.t.Helper()
	m.order("answer", kind, how)
}

// serve has everything answered, and nothing hang any more.
func (m *fuseMount) serve() {
	m.t.Helper()
	m.order("serve")
}

// hung waits until so many requests of a kind have hung, all in all.
func (m *fuseMount) hung(kind string, n int) {
	m.t.Helper()
	for m.heard["hung "+kind] < n {
		m.hear()
	}
}

// closed waits until each file that was opened is closed for good, and gives how
// many that were, all in all.
func (m *fuseMount) closed() (n int) {
	m.t.Helper()
	m.serve() // what it has said by then is heard
	for m.heard["released"] < m.heard["opened"] {
		m.hear()
	}
	require.Equal(m.t, m.heard["opened"], m.heard["released"], "files closed")
	return m.heard["opened"]
}

// path is a file's, whose name says what it is.
func (m *fuseMount) path(name string) string { return filepath.Join(m.dir, name) }

// open opens a file through the subsystem.
func (m *fuseMount) open(o *oracle, name string, flags int) messages.Handle {
	m.t.Helper()
	return do(o, &messages.Open{Path: m.path(name), Flags: flags})
}

// TestFuseServer shows that the server does as it is told, by plain system
// calls: the other tests stand on that. In a child it is the server.
func TestFuseServer(t *testing.T) {
	if dir, yes := inChild(); yes {
		boundFUSE()
		require.NoError(t, serveFUSE(dir, os.Stdin, os.NewFile(3, "said")))
		return
	}
	m := mountFUSE(t)
	for _, name := range []string{"cached", "raw"} {
		content, err := os.ReadFile(m.path(name))
		require.NoError(t, err)
		require.True(t, bytes.Equal(pattern(make([]byte, fuseFileSize), 0), content))
	}
	require.Equal(t, 2, m.closed())
	f, err := os.OpenFile(m.path("raw"), os.O_RDWR, 0)
	require.NoError(t, err)

	buf := make([]byte, 1000)
	read := func() (n int, err error) { return unix.Pread(int(f.Fd()), buf, 8000) }
	for how, want := range map[string]int{"data": 1000, "short": 500, "EIO": -1} {
		n, err := m.during("read", how, read)
		require.Equal(t, want, n, how)
		require.Equal(t, pattern(make([]byte, max(n, 0)), 8000), buf[:max(n, 0)])
		require.Equal(t, how == "EIO", errors.Is(err, unix.EIO), err)
	}
	write := func() (n int, err error) { return unix.Pwrite(int(f.Fd()), []byte("0123456789"), 8000) }
	for how, want := range map[string]int{"data": 10, "short": 5, "ENOSPC": -1} {
		n, err := m.during("write", how, write)
		require.Equal(t, want, n, how)
		require.Equal(t, how == "ENOSPC", errors.Is(err, unix.ENOSPC), err)
	}
	m.serve()
	_, err = read()
	require.NoError(t, err)
	require.Equal(t, "0123456789", string(buf[:10]))
	for kind, call := range map[string]func() error{
		"fsync":    f.Sync,
		"lookup":   func() error { _, err := os.Stat(m.path("unheard of")); return err }, // a known name is asked for twice
		"open":     func() error { _, err := os.Open(m.path("any")); return err },
		"readlink": func() error { _, err := os.Readlink(m.path("link")); return err },
		"readdir":  func() error { _, err := os.ReadDir(m.path("dir")); return err },
		"mkdir":    func() error { return os.Mkdir(m.path("new"), 0o700) },
		"unlink":   func() error { return os.Remove(m.path("any")) },
		"setattr":  func() error { return os.Truncate(m.path("any"), 10) },
	} {
		_, err := m.during(kind, "ENXIO", func() (int, error) { return 0, call() })
		require.ErrorIs(t, err, unix.ENXIO, kind)
		m.serve()
	}
	require.NoError(t, f.Close())
}

// during has a call hang in a request of a kind, and then answered.
func (m *fuseMount) during(kind, how string, call func() (int, error)) (n int, err error) {
	m.t.Helper()
	m.hang(kind)
	before := m.heard["hung "+kind]
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n, err = call()
	}()
	m.hung(kind, before+1)
	m.answer(kind, how)
	select {
	case <-ended:
	case <-time.After(patience):
		m.t.Fatalf("%s hangs although it is answered", kind)
	}
	return n, err
}
