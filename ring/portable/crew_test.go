package portable

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/ring"
)

// Calls that hang occupy workers, and no more than there may be.
func TestWorkersMax(t *testing.T) {
	g := newRig(t, Options{Workers: 2, WorkersMax: 2})
	first, release := g.hung()
	second, _ := g.hung()
	third := g.start(ring.PrepStat(ring.NoDir, "/", 0))
	g.placed(third, placeQueue)
	r, w := newPipe(t)
	read := g.start(ring.PrepRead(r, make([]byte, 1), ring.StreamOffset))
	writeAll(t, w, "x")
	require.EqualValues(t, 1, g.await(read), "it needs no worker")
	require.Zero(t, g.ok(ring.PrepNop()))
	g.pending(first, second, third)
	g.until("no more workers than there may be", func(k *Kernel) bool {
		return k.crew.alive == 2 && k.crew.running.length == 2 && k.crew.queue.length == 1
	})
	release()
	g.closeOpened(first)
	require.Zero(t, g.await(third))
}

// Those that hang do not count against the bound of those that do not.
func TestStuckWorkers(t *testing.T) {
	g := newRig(t, Options{Workers: 2, WorkersMax: 8})
	var names []ring.UserData
	var releases []func()
	for range 7 { // far more than Workers; each needs the others to be found stuck
		name, release := g.hung()
		names, releases = append(names, name), append(releases, release)
	}
	for range 20 {
		require.Zero(t, g.ok(ring.PrepStat(ring.NoDir, "/", 0)))
	}
	last, _ := g.hung()
	queued := g.start(ring.PrepStat(ring.NoDir, "/", 0))
	g.placed(queued, placeQueue)
	g.until("as many workers as there may be", func(k *Kernel) bool { return k.crew.alive == 8 })
	for i, release := range releases {
		release()
		g.closeOpened(names[i])
	}
	require.Zero(t, g.await(queued))
	g.pending(last)
	g.until("nobody else to be there", func(k *Kernel) bool {
		return k.crew.alive == 1 && k.crew.stuck <= 1 && k.crew.queue.length == 0 && !k.crew.stallSoon
	})
}

// Nothing is left running when there is nothing to do, and what waits is done
// in order of arrival.
func TestCrewIsIdle(t *testing.T) {
	g := newRig(t, Options{Workers: 1, WorkersMax: 1})
	dir := t.TempDir()
	busy, release := g.hung()
	path := func(i int) string { return filepath.Join(dir, string(rune('a'+i))) }
	require.NoError(t, os.WriteFile(path(0), nil, 0o600))
	var names []ring.UserData
	for i := range 20 { // each needs the one before it
		names = append(names, g.push(ring.PrepRename(ring.NoDir, path(i), ring.NoDir, path(i+1), 0)))
	}
	g.enter()
	release()
	g.closeOpened(busy)
	for _, name := range names {
		require.Zero(t, g.await(name))
	}
	g.until("the worker to leave", func(k *Kernel) bool {
		return k.crew.alive == 0 && k.crew.running.length == 0 && k.crew.starting == 0 && !k.crew.stallSoon
	})
	require.Empty(t, g.kernel().pending)
}
