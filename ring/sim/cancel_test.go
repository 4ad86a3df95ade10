package sim_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/sim"
)

// cancel asks for a cancellation, and gives the answer and what else completed
// in the end.
func (g *rig) cancel(target ring.UserData) (answer int32, others []ring.CQE) {
	g.t.Helper()
	asking := ring.PrepCancel(target)
	name := ring.MakeUserData(ring.KindCancel, target.Slot(), 9)
	require.True(g.t, g.k.Push(name, &asking))
	_, err := g.enter()
	require.NoError(g.t, err)
	drain(g.t, g.World)
	answered := false
	for _, cqe := range g.reap() {
		if cqe.UserData == name {
			answer, answered = cqe.Res, true
			continue
		}
		others = append(others, cqe)
	}
	require.True(g.t, answered)
	return answer, others
}

// waiting submits a poll that nothing but a cancellation ends.
func (g *rig) waiting() ring.UserData {
	g.t.Helper()
	fd := g.open("/fast/s1", unix.O_RDONLY)
	g.Profile.Waits = 1000
	return g.submit(ring.PrepPoll(fd, unix.POLLIN))
}

func TestCancelFindsWhatWaits(t *testing.T) {
	for seed := range 20 { // the order of the two completions differs
		g := newRig(t, sim.Profile{Delay: 5})
		for range seed {
			_ = g.Random()
		}
		name := g.waiting()
		answer, others := g.cancel(name)
		require.Zero(t, answer)
		require.Equal(t, []ring.CQE{{UserData: name, Res: -int32(unix.ECANCELED)}}, others)
		g.whole()
	}
}

func TestCancelMisses(t *testing.T) {
	g := newRig(t, sim.Profile{})
	answer, others := g.cancel(ring.MakeUserData(ring.KindOp, 77, 1))
	require.Equal(t, -int32(unix.ENOENT), answer)
	require.Empty(t, others)
	g.whole()
}

func TestCancelThatIsNotHeard(t *testing.T) {
	for _, c := range []struct {
		set    func(*sim.Profile, int)
		answer unix.Errno
	}{
		{func(p *sim.Profile, n int) { p.CancelBlind = n }, unix.ENOENT},
		{func(p *sim.Profile, n int) { p.CancelDeaf = n }, unix.EALREADY},
	} {
		g := newRig(t, sim.Profile{})
		name := g.waiting()
		c.set(&g.Profile, 1000)
		answer, others := g.cancel(name)
		require.Equal(t, -int32(c.answer), answer)
		require.Empty(t, others, "it goes on all the same")
		c.set(&g.Profile, 0)
		answer, others = g.cancel(name)
		require.Zero(t, answer)
		require.Len(t, others, 1)
		g.whole()
	}
}

func TestCancelIsOutrun(t *testing.T) {
	g := newRig(t, sim.Profile{CancelOutrun: 1000, Delay: 5})
	name := g.waiting()
	answer, others := g.cancel(name)
	require.Zero(t, answer)
	require.Equal(t, []ring.CQE{{UserData: name, Res: unix.POLLIN}}, others)
	g.whole()
}

func TestCancelDoesNotReachTheBlockLayer(t *testing.T) {
	g := newRig(t, sim.Profile{})
	fd := g.open("/fast/b1", unix.O_RDONLY)
	g.Profile.Late, g.Profile.Delay = 1000, 1000
	name := g.submit(read(fd, make([]byte, 100), 0))
	answer, others := g.cancel(name)
	require.Equal(t, -int32(unix.ENOENT), answer)
	require.Equal(t, []ring.CQE{{UserData: name, Res: 100}}, others, "it was running, and ends well")
	g.whole()
}

func TestCancelOfWhatHangs(t *testing.T) {
	g := newRig(t, sim.Profile{Hangs: 1000})
	name := g.submit(async(ring.PrepOpen(ring.NoDir, "/slow/f1", 0, 0, 0)))
	for range 3 {
		answer, others := g.cancel(name)
		require.Equal(t, -int32(unix.EALREADY), answer)
		require.Empty(t, others)
	}
	g.Thaw()
	drain(t, g.World)
	require.Positive(t, g.result(name), "it brings a descriptor in the end")
	require.EqualValues(t, 1, g.Did(sim.DidLateDescriptor))
	g.whole()
}

func TestCloseIsNoBarrier(t *testing.T) {
	g := newRig(t, sim.Profile{})
	fd := g.open("/slow/f1", unix.O_RDONLY)
	g.Profile.Hangs = 1000
	buf := make([]byte, 10)
	g.submit(async(ring.PrepRead(fd, buf, 0)))
	gone := false
	g.k.AwaitGone(func() { gone = true })
	require.NoError(t, g.k.Close())
	require.NoError(t, g.k.Close())
	require.NotEqual(t, make([]byte, 10), buf, "the kernel writes after Close")
	require.True(t, g.Owned(buf))
	drain(t, g.World)
	require.False(t, gone)
	g.Thaw()
	drain(t, g.World)
	require.True(t, gone)
	require.False(t, g.Owned(buf))
	require.Zero(t, g.k.InFlight())
	g.whole()
}

func TestCloseEndsWhatWaits(t *testing.T) {
	g := newRig(t, sim.Profile{})
	g.waiting()
	require.NoError(t, g.k.Close())
	gone := false
	g.k.AwaitGone(func() { gone = true })
	drain(t, g.World)
	require.True(t, gone)
	g.whole()
}

func TestDescriptorOfAClosedRingIsLost(t *testing.T) {
	g := newRig(t, sim.Profile{Hangs: 1000})
	g.submit(async(ring.PrepOpen(ring.NoDir, "/slow/f1", 0, 0, 0)))
	require.NoError(t, g.k.Close())
	g.Thaw()
	drain(t, g.World)
	require.Len(t, g.OpenDescriptors(), 1)
	require.Equal(t, 1, g.LostDescriptors())
	g.whole()
}
