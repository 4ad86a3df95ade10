//go:build linux

package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// withRing has the subsystem run on a ring of a certain size, whatever it may
// have in flight.
func withRing(options ring.Options) supervisor.Option {
	return func(c *actors.Config) {
		c.OpenKernel = func(actors.Config) (ring.Kernel, error) { return ring.Open(options) }
	}
}

// TestCompletionOverflow has a thousand completions come to a queue of sixteen
// while nobody reaps (T13): the kernel keeps them on its overflow list, of which
// it signals nothing. Each is delivered.
func TestCompletionOverflow(t *testing.T) {
	g := newGate(actors.FailTaken)
	o := start(t, supervisor.WithFailpoint(g.hook), withRing(ring.Options{Entries: 8, Completions: 16}))
	o.needsRing("the overflow list of a ring")
	r := o.requester()
	reader, writer := o.pipe()
	pipe := o.adopt(reader)
	const polls = 1000
	for range polls {
		r.submit(&messages.Poll{Handle: pipe, Events: messages.Readable})
	}
	o.inFlight(polls)
	open := g.hold(o)
	_, err := writer.WriteString("now")
	require.NoError(t, err)
	eventually(t, "the completions are on the overflow list", func() bool {
		views := rings(t)
		return len(views) == 1 && len(views[0].overflow) == polls-16
	})
	open()
	r.settled()
	do(o, &messages.Close{Handle: pipe})
}

// TestCompletionOverflowUnattended is the same when nobody sends anything that
// would lead the ring owner to the queue by the way: the signal of the few that
// fit must be enough.
func TestCompletionOverflowUnattended(t *testing.T) {
	o := start(t, withRing(ring.Options{Entries: 8, Completions: 16}))
	o.needsRing("the overflow list of a ring")
	r := o.requester()
	const rounds, timers = 20, 500
	for range rounds {
		for range timers {
			r.submit(&messages.Timeout{After: 5 * time.Millisecond})
		}
		r.settled()
	}
	require.Zero(t, o.inspect().Restarts, "nothing was lost")
}

// TestWorkOnATinyRing has the whole workload on queues that are always full.
func TestWorkOnATinyRing(t *testing.T) {
	for _, options := range []ring.Options{{Entries: 1, Completions: 2}, {Entries: 4, Completions: 8}} {
		t.Run(fmt.Sprint(options.Entries), func(t *testing.T) {
			require.Zero(t, workFor(start(t, withRing(options)), 300))
		})
	}
}

// TestOverflowAcrossRestarts loses the ring while its completions are on the
// overflow list: they are brought from there all the same.
func TestOverflowAcrossRestarts(t *testing.T) {
	g, s := newGate(actors.FailTaken), &striker{point: actors.FailTaken}
	o := start(t, withRing(ring.Options{Entries: 8, Completions: 16}), supervisor.WithFailpoint(func(p actors.Failpoint, n int) {
		g.hook(p, n)
		s.hook(p, n)
	}))
	o.needsRing("the overflow list of a ring")
	r := o.requester()
	reader, writer := o.pipe()
	pipe := o.adopt(reader)
	const polls = 500
	for range polls {
		r.submit(&messages.Poll{Handle: pipe, Events: messages.Readable})
	}
	o.inFlight(polls)
	g.arm(t)
	s.armed.Store(true) // the NOP that is held fails
	refused := make(chan error, 1)
	go func() {
		_, err := await(o, &messages.Nop{})
		refused <- err
	}()
	open := g.wait(t)
	_, err := writer.WriteString("now")
	require.NoError(t, err)
	eventually(t, "the completions are on the overflow list", func() bool { return len(theRing(o).overflow) > 0 })
	open()
	require.ErrorIs(t, <-refused, messages.ErrRestarted)
	r.settled()
	require.EqualValues(t, 1, o.inspect().Restarts)
	do(o, &messages.Close{Handle: pipe})
}
