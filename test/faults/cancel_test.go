//go:build linux

package faults

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// racePairs is how many operations are cancelled in each race.
const racePairs = 10_000

// TestCancelRace cancels ten thousand polls, reads and timeouts (T1). In the
// first race, each Cancel follows its Submit in one burst, so that hardly one
// reaches the kernel; in the second it comes a random while later, while data
// comes in and timers expire. Each pair has one terminal answer and one
// CancelResult after it, and no byte of the pipes is lost or read twice.
func TestCancelRace(t *testing.T) {
	t.Run("one batch", func(t *testing.T) {
		g := newGate(actors.FailTaken)
		o := start(t, supervisor.WithFailpoint(g.hook))
		race := newCancelRace(o)
		open := g.hold(o)
		for range racePairs {
			race.cancel(race.submit())
		}
		open()
		race.end()
	})
	t.Run("in flight", func(t *testing.T) {
		race := newCancelRace(start(t))
		feeding := race.feed()
		var waiting []*entry
		for range racePairs {
			waiting = append(waiting, race.submit())
			for len(waiting) > race.dice.IntN(1000) {
				k := race.dice.IntN(len(waiting))
				race.cancel(waiting[k])
				waiting[k] = waiting[len(waiting)-1]
				waiting = waiting[:len(waiting)-1]
			}
		}
		for _, e := range waiting {
			race.cancel(e)
		}
		feeding()
		race.end()
		require.Positive(t, race.ended["cancelled"])
		require.Positive(t, race.ended["read"])
		require.Positive(t, race.ended["timeout"])
	})
}

// cancelRace is the operations of one race, on a number of pipes.
type cancelRace struct {
	o       *oracle
	r       *requester
	dice    *rand.Rand // which is asked for, and cancelled; the rest is who wins
	pipes   []*racePipe
	entries []*entry
	cancels []*cancellation
	ended   map[string]int // by name of the operation, or "cancelled"
}

// racePipe is a pipe, what was written to it, and what is read from it: reads
// are performed in order, so their data must come in order.
type racePipe struct {
	writer *os.File
	reader *os.File
	handle messages.Handle
	wrote  []byte
	reads  []*entry
}

func newCancelRace(o *oracle) *cancelRace {
	seed := uint64(time.Now().UnixNano())
	o.t.Logf("seed %d", seed)
	race := &cancelRace{o: o, r: o.requester(), dice: rand.New(rand.NewPCG(seed, 0)), ended: make(map[string]int)}
	for range 32 {
		reader, writer := o.pipe()
		race.pipes = append(race.pipes, &racePipe{writer: writer, reader: reader, handle: o.adopt(reader)})
	}
	return race
}

// submit asks for a poll, a read or a timeout.
func (race *cancelRace) submit() (e *entry) {
	pipe := race.pipes[race.dice.IntN(len(race.pipes))]
	switch len(race.entries) % 3 {
	case 0:
		e = race.r.submit(&messages.Poll{Handle: pipe.handle, Events: messages.Readable})
	case 1:
		e = race.r.submit(&messages.Read{Handle: pipe.handle, Buf: make([]byte, 16)})
		pipe.reads = append(pipe.reads, e)
	default:
		e = race.r.submit(&messages.Timeout{After: time.Duration(race.dice.IntN(20)) * time.Millisecond})
	}
	race.entries = append(race.entries, e)
	return e
}

func (race *cancelRace) cancel(e *entry) { race.cancels = append(race.cancels, race.r.cancel(e)) }

// pipeRoom is what a pipe holds unless it is told otherwise.
const pipeRoom = 64 << 10

// feed writes to the pipes until the function that it returns is called.
func (race *cancelRace) feed() (end func()) {
	over := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for n := 0; ; n++ {
			pipe := race.pipes[n%len(race.pipes)]
			select {
			case <-over:
				return
			default:
			}
			if len(pipe.wrote) > pipeRoom-8 {
				return // a full pipe would hold this up for ever
			}
			word := []byte{byte(n), byte(n >> 8), byte(n >> 16)}
			pipe.wrote = append(pipe.wrote, word...)
			if _, err := pipe.writer.Write(word); err != nil {
				race.o.t.Error(err)
				return
			}
		}
	})
	return func() { close(over); group.Wait() }
}

// end waits for all answers and judges them.
func (race *cancelRace) end() {
	t := race.o.t
	race.r.settled()
	for _, e := range race.entries {
		if err := e.err(); err != nil {
			require.ErrorIs(t, err, context.Canceled)
			race.ended["cancelled"]++
			continue
		}
		race.ended[e.op.Name()]++
	}
	for _, c := range race.cancels {
		require.Contains(t, []messages.CancelOutcome{messages.Cancelled, messages.AlreadyDone}, c.result.Outcome)
	}
	for _, pipe := range race.pipes {
		pipe.judge(t)
		do(race.o, &messages.Close{Handle: pipe.handle})
	}
	t.Logf("%d pairs: %v", len(race.cancels), race.ended)
}

// judge compares what was read, and what is left in the pipe, with what was
// written.
func (pipe *racePipe) judge(t testing.TB) {
	var got []byte
	for _, e := range pipe.reads {
		got = append(got, e.data...)
	}
	require.NoError(t, pipe.writer.Close())
	rest, err := io.ReadAll(pipe.reader)
	require.NoError(t, err)
	require.Equal(t, string(pipe.wrote), string(append(got, rest...)))
}

// TestLateOpenAfterCancel has an open that waits for the other end of a FIFO
// succeed after it was given up: by a Cancel, or by the death of its requester,
// which both come when the kernel has its answer in the completion queue already
// (T6). The descriptor that it brings is closed.
func TestLateOpenAfterCancel(t *testing.T) {
	for name, giveUp := range map[string]func(*requester, *entry){
		"abandoned":         func(r *requester, e *entry) { r.abandon(e) },
		"requester stopped": func(r *requester, _ *entry) { r.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(actors.FailTaken)
			o := start(t, supervisor.WithFailpoint(g.hook))
			const opens = 50
			var fifos []string
			var requesters []*requester
			var entries []*entry
			for range opens {
				path := fifo(t)
				r := o.requester()
				entries = append(entries, r.submit(&messages.Open{Path: path, Flags: os.O_RDONLY}))
				fifos, requesters = append(fifos, path), append(requesters, r)
			}
			o.inFlight(opens)
			answered := answers(o, fifos)
			open := g.hold(o)
			for _, path := range fifos {
				openOtherEnd(t, path)
			}
			eventually(t, "the kernel has answered", answered)
			for k, r := range requesters {
				giveUp(r, entries[k])
			}
			open()
			eventually(t, "all have come late", func() bool { return o.inspect().LateClosed >= opens })
			in := o.inspect()
			require.EqualValues(t, opens, in.Orphaned)
			require.EqualValues(t, opens, in.LateClosed)
			eventually(t, "the late descriptors are closed", func() bool { return o.inspect().Handles == 0 })
			for _, path := range fifos {
				require.Empty(t, openOn(path))
			}
		})
	}
}

// answers looks whether the kernel has answered the opens of some FIFOs: on a
// ring, whether their completions are in its queue, and elsewhere whether their
// descriptors are there, for what the worker that has one does next nobody sees.
func answers(o *oracle, fifos []string) (answered func() bool) {
	if !o.onRing() {
		return func() bool {
			return !slices.ContainsFunc(fifos, func(path string) bool { return len(openOn(path)) == 0 })
		}
	}
	before := theRing(o).CqTail
	return func() bool { return theRing(o).CqTail == before+uint64(len(fifos)) }
}

// openOtherEnd opens a FIFO for writing, as soon as somebody waits in an open
// of it for reading, and closes it.
func openOtherEnd(t testing.TB, path string) {
	t.Helper()
	eventually(t, "somebody waits for the FIFO's other end", func() bool { return tryOtherEnd(path) })
}

// tryOtherEnd does so if somebody waits there already.
func tryOtherEnd(path string) bool {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Close(fd)
	}
	return err == nil
}

// TestOpenRacesCancel opens the other end of a FIFO and cancels the open at the
// same time. Whoever wins, the answer is true: a handle that works, or a
// cancellation that leaves nothing open.
func TestOpenRacesCancel(t *testing.T) {
	o := start(t)
	r := o.requester()
	const rounds = 300
	won := 0
	for range rounds {
		path := fifo(t)
		e := r.submit(&messages.Open{Path: path, Flags: os.O_RDONLY})
		o.inFlight(1)
		other := make(chan int)
		go func() {
			fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
			if err != nil {
				fd = -1
			}
			other <- fd
		}()
		c := r.cancel(e)
		writer := <-other
		if writer < 0 && !o.onRing() {
			// It is cancelled before a worker has it; once the call has begun,
			// nothing else ends it.
			eventually(t, "the open ends, or waits", func() bool { return e.isDone() || tryOtherEnd(path) })
		}
		c.wait(r)
		if err := e.err(); err == nil {
			won++
			do(o, &messages.Close{Handle: e.completed().Handle})
		} else {
			require.ErrorIs(t, err, context.Canceled)
		}
		if writer >= 0 {
			require.NoError(t, unix.Close(writer))
		}
		eventually(t, "nobody has the FIFO open", func() bool { return len(openOn(path)) == 0 })
	}
	t.Logf("the open won %d times of %d", won, rounds)
}

// TestCompletedNotDelivered stops a requester while the answer that brings it a
// descriptor is due and not sent (T7); then once more, with the ring owner
// failing at that very point. The descriptor is closed.
func TestCompletedNotDelivered(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprintf("crash=%v", crash), func(t *testing.T) {
			g, s := newGate(actors.FailDelivering), &striker{point: actors.FailDelivering}
			o := start(t, supervisor.WithFailpoint(func(point actors.Failpoint, n int) {
				g.hook(point, n)
				s.hook(point, n)
			}))
			path := filepath.Join(t.TempDir(), "file")
			for range 50 {
				r := o.requester()
				g.arm(t)
				go r.submit(&messages.Open{Path: path, Flags: os.O_RDWR | os.O_CREATE, Mode: 0o600})
				open := g.wait(t)
				require.Len(t, openOn(path), 1, "the kernel has opened it")
				s.armed.Store(crash)
				r.stop()
				open()
				eventually(t, "nothing is left of it", func() bool {
					in := o.inspect()
					return in.InFlight+in.Queued+in.Handles == 0 && len(openOn(path)) == 0
				})
			}
			in := o.inspect()
			require.EqualValues(t, s.struck.Load(), in.Restarts)
			require.Equal(t, crash, s.struck.Load() > 0)
		})
	}
}

// TestCancelByAnother: an actor's operation is not hit by a cancel under the same
// number of somebody else's. Who names it may cancel it; its owner is told so by its
// answer, and by nothing else (T30).
func TestCancelByAnother(t *testing.T) {
	o := start(t)
	r, other := o.requester(), o.requester()
	e := r.submit(&messages.Timeout{After: time.Hour})
	o.inFlight(1)
	cancel := func(id messages.OpID) *messages.CancelResult {
		return other.ask(&cancellation{}, func(c *cancellation) any {
			return &messages.Cancel{ID: id, ReplyTo: other.pid, Token: c}
		}).wait(other)
	}
	require.Equal(t, messages.NotFound, cancel(messages.OpID{Owner: other.pid, Seq: e.id.Seq}).Outcome)
	require.Equal(t, messages.NotFound, cancel(messages.OpID{Owner: r.pid, Seq: e.id.Seq + 1}).Outcome)
	o.inFlight(1)
	require.Equal(t, messages.Cancelled, cancel(e.id).Outcome)
	require.ErrorIs(t, e.err(), context.Canceled)
	r.settled()
}
