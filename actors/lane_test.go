package actors_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// showing is a host that shows what its blocking lanes are given.
type showing struct {
	ring.Host
	jobs chan ring.Job
}

type showingLane struct {
	ring.Blocking
	jobs chan ring.Job
}

func (h showing) OpenLane(workers, backlog int, done func(*ring.Job)) ring.Blocking {
	return showingLane{h.Host.OpenLane(workers, backlog, done), h.jobs}
}

func (l showingLane) Submit(j *ring.Job) bool {
	l.jobs <- *j
	return l.Blocking.Submit(j)
}

// TestLaneKnowsDevices: what goes to the blocking lane says which others hang with
// it: those of the same file system, or of a path that begins the same. Those who
// close descriptors are told as well.
func TestLaneKnowsDevices(t *testing.T) {
	host := showing{ring.ThisHost(), make(chan ring.Job, 100)}
	r := newRig(t, config(func(c *actors.Config) { c.Host = host }))
	q := r.requester()
	group := func(op messages.Op) *ring.Group {
		q.send(op)
		expect[*messages.Completion](q)
		return (<-host.jobs).Group
	}
	dir, file := q.directory(), q.regular()
	here := group(&messages.ReadDir{Handle: dir})
	require.NotNil(t, here)
	require.Same(t, here, group(&messages.ReadLink{Dir: dir, Path: "x"}))
	require.Same(t, here, group(&messages.Chmod{Handle: file, Mode: 0o600}))

	hung := group(&messages.ReadLink{Path: "/hung/1"})
	require.Same(t, hung, group(&messages.ReadLink{Path: "/hung/2"}))
	require.NotSame(t, hung, here)
	require.NotSame(t, hung, group(&messages.ReadLink{Path: "/proc/self/exe"}))
	require.NotNil(t, group(&messages.ReadLink{Path: "/x"}))

	q.stop()
	first, second := <-host.jobs, <-host.jobs
	require.Equal(t, ring.CallCloseFD, first.Call)
	require.NotNil(t, first.Group)
	require.Same(t, first.Group, second.Group)
	require.NotSame(t, here, first.Group, "it is another lane")
}

// holding is a host whose blocking lanes hold a job when they are told to, as a call
// that hangs does.
type holding struct {
	ring.Host
	hold chan struct{}
	held chan func() // ends it
}

type holdingLane struct {
	ring.Blocking
	holding
	done func(*ring.Job)
}

func (h holding) OpenLane(workers, backlog int, done func(*ring.Job)) ring.Blocking {
	return holdingLane{h.Host.OpenLane(workers, backlog, done), h, done}
}

func (l holdingLane) Submit(j *ring.Job) bool {
	select {
	case <-l.hold:
		l.held <- func() {
			j.Res = notFound
			l.done(j)
		}
		return true
	default:
		return l.Blocking.Submit(j)
	}
}

// TestHungRegionIsKept: where a call hangs is not forgotten, however many other
// paths are used: the next calls there would not be known to hang with it. What
// has ended is forgotten.
func TestHungRegionIsKept(t *testing.T) {
	hangs := holding{ring.ThisHost(), make(chan struct{}, 1), make(chan func(), 1)}
	host := showing{hangs, make(chan ring.Job, 1)}
	r := newRig(t, config(manyInFlight), config(func(c *actors.Config) { c.Host = host }))
	q := r.requester()
	k := r.kernel(1)
	group := func(path string) *ring.Group {
		q.send(&messages.ReadLink{Path: path})
		require.Error(t, expect[*messages.Completion](q).Err)
		return (<-host.jobs).Group
	}
	hangs.hold <- struct{}{}
	id := q.send(&messages.ReadLink{Path: "/none/hung/1"})
	end, hung := <-hangs.held, (<-host.jobs).Group
	inUse := q.regions(k)
	require.Same(t, hung, group("/none/hung/2"))
	require.Same(t, hung, group("/none/hung/3"))
	end()
	q.completion(id)
	inUse()
	for n := range 4 * actors.RegionsKept {
		group(fmt.Sprintf("/none/%d/link", n))
	}
	require.LessOrEqual(t, r.glass.Look().Regions, actors.RegionsKept)
}
