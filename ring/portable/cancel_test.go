package portable

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// A cancel finds what was pushed before it, in the same batch too, and nothing
// that comes after.
func TestCancelInBatch(t *testing.T) {
	g := newRig(t, Options{})
	target := g.push(ring.PrepTimeout(time.Hour))
	cancel := g.push(ring.PrepCancel(target))
	g.enter()
	require.Zero(t, g.await(cancel))
	g.failed(unix.ECANCELED, g.await(target))

	early := g.push(ring.PrepCancel(ring.MakeUserData(ring.KindOp, 1, g.last+2)))
	late := g.push(ring.PrepTimeout(time.Hour))
	g.enter()
	g.failed(unix.ENOENT, g.await(early))
	g.pending(late)
	require.Zero(t, g.cancel(late))
}

// What waits for a worker never happens.
func TestCancelQueued(t *testing.T) {
	g := newRig(t, Options{Workers: 1, WorkersMax: 1})
	busy, release := g.hung()
	path := filepath.Join(t.TempDir(), "never")
	queued := g.start(ring.PrepMkdir(ring.NoDir, path, 0o700))
	behind := g.start(ring.PrepStat(ring.NoDir, "/", 0))
	g.placed(queued, placeQueue)
	require.Zero(t, g.cancel(queued))
	g.failed(unix.ECANCELED, g.await(queued))
	g.failed(unix.ENOENT, g.cancel(queued))
	release()
	g.closeOpened(busy)
	require.Zero(t, g.await(behind))
	require.NoDirExists(t, path)
}

// What is in a call goes on to its own result.
func TestCancelRunning(t *testing.T) {
	g := newRig(t, Options{})
	name, release := g.hung()
	g.failed(unix.EALREADY, g.cancel(name))
	g.failed(unix.EALREADY, g.cancel(name))
	g.pending(name)
	release()
	g.closeOpened(name)
	g.failed(unix.ENOENT, g.cancel(name))
}

// A cancelled read takes nothing away.
func TestCancelWaiting(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		r, w := newPipe(t)
		buf := []byte("....")
		first := g.start(ring.PrepRead(r, buf, ring.StreamOffset))
		second := g.start(ring.PrepRead(r, buf, ring.StreamOffset))
		poll := g.start(ring.PrepPoll(r, unix.POLLIN))
		g.placed(second, placeWatch)
		require.Zero(t, g.cancel(first))
		g.failed(unix.ECANCELED, g.await(first))
		g.pending(second, poll)
		require.Zero(t, g.cancel(poll))
		require.Zero(t, g.cancel(second))
		g.failed(unix.ECANCELED, g.await(poll))
		g.failed(unix.ECANCELED, g.await(second))
		writeAll(t, w, "data")
		require.Equal(t, "....", string(buf))
		require.EqualValues(t, 4, g.ok(ring.PrepRead(r, buf, ring.StreamOffset)))
		require.Equal(t, "data", string(buf))
		require.Empty(t, g.kernel().watches)
	})
}

func TestTimeouts(t *testing.T) {
	g := newRig(t, Options{})
	begun := time.Now()
	long := g.start(ring.PrepTimeout(time.Hour))
	short := g.start(ring.PrepTimeout(20 * time.Millisecond))
	g.failed(unix.Errno(-ring.Expired), g.await(short))
	require.GreaterOrEqual(t, time.Since(begun), 20*time.Millisecond)
	g.pending(long)
	require.Zero(t, g.cancel(long))
	g.failed(unix.ECANCELED, g.await(long))
	for range 100 { // with timers that are used again
		g.failed(unix.Errno(-ring.Expired), g.run(ring.PrepTimeout(time.Microsecond)))
	}
}

// A link timeout cancels what can be cancelled, wherever it is, and says so
// where it cannot.
func TestLinkTimeouts(t *testing.T) {
	g := newRig(t, Options{Workers: 1, WorkersMax: 1})
	path := newFIFO(t)
	var running, tooLate ring.UserData
	for after := time.Millisecond; ; after *= 2 {
		running = g.push(linked(ring.PrepOpen(ring.NoDir, path, os.O_RDONLY, 0, 0)))
		tooLate = g.push(ring.PrepLinkTimeout(after))
		g.enter()
		if g.await(tooLate) == -int32(unix.EALREADY) {
			break
		}
		g.failed(unix.ECANCELED, g.await(running)) // no worker had come to it yet
	}
	g.placed(running, placeCall)
	queued := g.push(linked(ring.PrepStat(ring.NoDir, "/", 0)))
	limit := g.push(ring.PrepLinkTimeout(time.Millisecond))
	g.enter()
	g.failed(unix.EALREADY, g.await(tooLate))
	g.failed(unix.Errno(-ring.Expired), g.await(limit))
	g.failed(unix.ECANCELED, g.await(queued))
	g.pending(running)
	releaseFIFO(t, path)
	g.closeOpened(running)

	ends := g.push(linked(ring.PrepStat(ring.NoDir, "/", 0)))
	limit = g.push(ring.PrepLinkTimeout(time.Hour))
	g.enter()
	require.Zero(t, g.await(ends))
	g.failed(unix.ECANCELED, g.await(limit))
}

// Each operation ends once, whoever is faster, and what was cancelled has moved
// nothing.
func TestCancelRaces(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		const pipes, rounds = 8, 60
		var reads, writes [pipes]int32
		for i := range pipes {
			reads[i], writes[i] = newPipe(t)
		}
		var others sync.WaitGroup
		defer others.Wait()
		for range rounds {
			var ops, cancels, timers [pipes]ring.UserData
			bufs := make([][]byte, pipes)
			for i := range pipes {
				bufs[i] = make([]byte, 1)
				ops[i] = g.push(ring.PrepRead(reads[i], bufs[i], ring.StreamOffset))
				timers[i] = g.push(ring.PrepTimeout(time.Duration(rand.N(100)) * time.Microsecond))
			}
			g.enter()
			others.Go(func() {
				for _, fd := range writes {
					_, _ = unix.Write(int(fd), []byte("x"))
				}
			})
			for i := range pipes {
				cancels[i] = g.push(ring.PrepCancel(ops[i]))
				g.push(ring.PrepCancel(timers[i]))
			}
			g.enter()
			for i, name := range ops {
				g.await(timers[i])
				said, res := g.await(cancels[i]), int32(0)
				switch said {
				case 0:
					res = -int32(unix.ECANCELED)
				case -int32(unix.EALREADY): // it was being tried, perhaps in vain
					res = g.await(name)
				case -int32(unix.ENOENT):
					res = 1
				default:
					t.Fatal("a cancel said ", unix.Errno(-said))
				}
				require.Equal(t, res, g.await(name))
				if res == 1 {
					require.Equal(t, byte('x'), bufs[i][0])
				} else {
					g.failed(unix.ECANCELED, res)
					require.Zero(t, bufs[i][0])
					drain(t, reads[i], 1)
				}
			}
		}
		require.Empty(t, g.kernel().pending)
		require.Empty(t, g.kernel().watches)
	})
}
