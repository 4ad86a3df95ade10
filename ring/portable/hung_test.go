package portable

import (
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// hang starts a call that hangs: the opening of a FIFO that nobody writes to.
// release ends it, with success; the test's end does so too.
func (g *rig) hang() (name ring.UserData, release func()) {
	g.t.Helper()
	path := newFIFO(g.t)
	name = g.start(ring.PrepOpen(ring.NoDir, path, os.O_RDONLY, 0, 0))
	var once sync.Once
	release = func() { once.Do(func() { releaseFIFO(g.t, path) }) }
	g.t.Cleanup(release)
	return name, release
}

// hung is the same, once the call is under way.
func (g *rig) hung() (name ring.UserData, release func()) {
	g.t.Helper()
	name, release = g.hang()
	g.placed(name, placeCall)
	return name, release
}

// releaseFIFO opens the other end, as soon as that meets the first.
func releaseFIFO(t testing.TB, path string) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
}

// closeOpened closes the descriptor that a request has brought.
func (g *rig) closeOpened(name ring.UserData) {
	g.t.Helper()
	fd := g.await(name)
	require.Positive(g.t, fd)
	require.NoError(g.t, unix.Close(int(fd)))
}
