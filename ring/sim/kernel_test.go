package sim_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/sim"
)

// rig is one ring, and who uses it: what it does is done by a worker with a
// thread of its own.
type rig struct {
	*sim.World
	t      *testing.T
	k      *sim.Kernel
	worker *sim.Worker
	last   uint64
	rings  int // of the bell
}

func newRig(t *testing.T, profile sim.Profile) *rig {
	t.Helper()
	if profile.Entries == 0 {
		profile.Entries, profile.Completions = 64, 128
	}
	g := &rig{World: seeded(t, 1, profile), t: t}
	k, err := g.Open()
	require.NoError(t, err)
	g.k, g.worker = k, g.Hire(true)
	return g
}

// do has the worker do something, and waits for it, unless it hangs.
func (g *rig) do(f func()) {
	g.t.Helper()
	ended := false
	g.worker.Do(func() {
		f()
		ended = true
	})
	for range 1000 {
		if ended || g.Hangs() || !g.Step() {
			return
		}
	}
	g.t.Fatal("it does not end")
}

func (g *rig) push(r ring.Request) ring.UserData {
	g.t.Helper()
	g.last++
	name := ring.MakeUserData(ring.KindOp, uint32(g.last), 1)
	require.True(g.t, g.k.Push(name, &r))
	return name
}

func (g *rig) enter() (n int, err error) {
	g.do(func() { n, err = g.k.Enter() })
	return n, err
}

// submit pushes a request and has it consumed.
func (g *rig) submit(r ring.Request) ring.UserData {
	g.t.Helper()
	name := g.push(r)
	n, err := g.enter()
	require.NoError(g.t, err)
	require.Equal(g.t, 1, n)
	return name
}

// reap gives the completions that can be seen, in order.
func (g *rig) reap() (seen []ring.CQE) {
	for cqe, ok := g.k.Peek(); ok; cqe, ok = g.k.Peek() {
		g.k.Advance()
		seen = append(seen, cqe)
	}
	return seen
}

// result is that of a request that has completed, alone.
func (g *rig) result(name ring.UserData) int32 {
	g.t.Helper()
	seen := g.reap()
	require.Len(g.t, seen, 1)
	require.Equal(g.t, name, seen[0].UserData)
	require.False(g.t, seen[0].More())
	return seen[0].Res
}

// open opens a path and gives the descriptor.
func (g *rig) open(path string, flags int) int32 {
	g.t.Helper()
	fd := g.result(g.submit(ring.PrepOpen(ring.NoDir, path, flags, 0o600, 0)))
	require.Positive(g.t, fd)
	return fd
}

// broken checks that a rule was broken, and which.
func (g *rig) broken(what string) {
	g.t.Helper()
	require.True(g.t, g.Failed(), "no violation")
	require.ErrorContains(g.t, g.Violations()[0], what)
}

func (g *rig) whole() {
	g.t.Helper()
	require.Empty(g.t, g.Violations())
}

func TestNothingIsSeenBeforeEnter(t *testing.T) {
	g := newRig(t, sim.Profile{})
	first, second := g.push(ring.PrepNop()), g.push(ring.PrepNop())
	drain(t, g.World)
	require.Empty(t, g.reap())
	require.Equal(t, 2, g.k.Unsubmitted())
	n, err := g.enter()
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, []ring.CQE{{UserData: first}, {UserData: second}}, g.reap())
	require.EqualValues(t, 1, g.k.Enters())
	_, err = g.enter()
	require.NoError(t, err)
	require.EqualValues(t, 1, g.k.Enters(), "with nothing to do the kernel is not entered")
	g.whole()
}

func TestFullQueue(t *testing.T) {
	g := newRig(t, sim.Profile{Entries: 2, Completions: 8})
	g.push(ring.PrepNop())
	g.push(ring.PrepNop())
	nop := ring.PrepNop()
	require.False(t, g.k.Push(ring.MakeUserData(ring.KindOp, 9, 1), &nop))
	require.Equal(t, 2, g.k.Unsubmitted())
	g.whole()
}

func TestTakeBack(t *testing.T) {
	g := newRig(t, sim.Profile{})
	first, second := g.push(ring.PrepNop()), g.push(ring.PrepNop())
	var back []ring.UserData
	g.k.TakeBack(func(u ring.UserData) { back = append(back, u) })
	require.Equal(t, []ring.UserData{first, second}, back)
	_, _ = g.enter()
	drain(t, g.World)
	require.Empty(t, g.reap())
	g.whole()
}

func TestOverflow(t *testing.T) {
	g := newRig(t, sim.Profile{Entries: 64, Completions: 4, Soon: 1000})
	g.k.Wait(func() { g.rings++ })
	drain(t, g.World)
	for range 10 {
		g.push(ring.PrepNop())
	}
	_, err := g.enter()
	require.NoError(t, err)
	drain(t, g.World)
	seen := g.reap()
	require.Len(t, seen, 4)
	require.True(t, g.k.Backlog())
	before := g.rings
	drain(t, g.World)
	require.Equal(t, before, g.rings, "what overflows is not signalled")
	require.Empty(t, g.reap(), "only an Enter brings it")
	for g.k.Backlog() {
		_, err = g.enter()
		require.NoError(t, err)
		seen = append(seen, g.reap()...)
	}
	require.Len(t, seen, 10)
	for i, cqe := range seen {
		require.EqualValues(t, i+1, cqe.UserData.Slot(), "the order is kept")
	}
	g.whole()
}

func TestSignals(t *testing.T) {
	g := newRig(t, sim.Profile{Soon: 1000})
	g.k.Wait(func() { g.rings++ })
	drain(t, g.World)
	require.Equal(t, 1, g.rings, "once at the beginning")
	g.submit(ring.PrepNop())
	drain(t, g.World)
	require.Equal(t, 2, g.rings)
	g.k.Mask()
	g.submit(ring.PrepNop())
	drain(t, g.World)
	g.k.Unmask()
	drain(t, g.World)
	require.Equal(t, 2, g.rings, "what came while it was masked is not made up for")
	require.Len(t, g.reap(), 2)
	require.NoError(t, g.k.Close())
	drain(t, g.World)
	require.Equal(t, 2, g.rings)
	g.whole()
}

func TestSpuriousSignal(t *testing.T) {
	g := newRig(t, sim.Profile{Spurious: 1000, Late: 1000, Delay: 1000})
	g.k.Wait(func() { g.rings++ })
	drain(t, g.World)
	g.submit(ring.PrepNop())
	for g.rings < 2 {
		require.True(t, g.Step())
	}
	require.Empty(t, g.reap())
	g.whole()
}

func TestTaskWork(t *testing.T) {
	g := newRig(t, sim.Profile{Async: 1000})
	fd := g.open("/fast/s1", unix.O_RDONLY)
	g.Profile.Soon = 1000
	g.submit(ring.PrepPoll(fd, unix.POLLIN))
	for !g.k.Backlog() {
		require.True(t, g.Step())
	}
	require.Empty(t, g.reap())
	_, err := g.k.Enter()
	require.NoError(t, err)
	require.Len(t, g.reap(), 1, "an Enter brings it")
	g.submit(ring.PrepPoll(fd, unix.POLLIN))
	drain(t, g.World)
	require.Len(t, g.reap(), 1, "or the issuer's thread")
	g.whole()
}

func TestUserRules(t *testing.T) {
	for what, break_ := range map[string]func(*rig){
		"pushed twice": func(g *rig) {
			nop, name := ring.PrepNop(), ring.MakeUserData(ring.KindOp, 1, 1)
			g.k.Push(name, &nop)
			g.k.Push(name, &nop)
		},
		"Advance without Peek": func(g *rig) { g.k.Advance() },
		"after its Close":      func(g *rig) { _ = g.k.Close(); g.k.Peek() },
		"two wait for ring 1":  func(g *rig) { g.k.Wait(func() {}); g.k.Wait(func() {}) },
		"to be gone":           func(g *rig) { g.k.AwaitGone(func() {}); g.k.AwaitGone(func() {}) },
		"in its submission queue": func(g *rig) {
			g.push(ring.PrepNop())
			_ = g.k.Close()
		},
		"chains of requests": func(g *rig) {
			r := ring.PrepNop()
			r.Linked = true
			g.push(r)
		},
		"may not be there": func(g *rig) {
			g.push(ring.PrepTimeout(time.Second))
			g.Go(func() { _, _ = g.k.Enter() }) // on a thread of no one's
			g.Step()
		},
		"calls the kernel without end": func(g *rig) {
			g.Go(func() {
				for {
					g.k.Peek()
				}
			})
			ended := make(chan struct{})
			go func() { // whom it takes with it
				defer close(ended)
				g.Step()
			}()
			<-ended
		},
	} {
		t.Run(what, func(t *testing.T) {
			g := newRig(t, sim.Profile{})
			break_(g)
			g.broken(what)
		})
	}
}

func TestRepeatedCompletion(t *testing.T) {
	g := newRig(t, sim.Profile{Repeat: 1000})
	name := g.submit(ring.PrepNop())
	drain(t, g.World)
	require.Equal(t, []ring.CQE{{UserData: name}, {UserData: name}}, g.reap())
	require.EqualValues(t, 1, g.Did(sim.DidRepeat))
	g.whole()
}

func TestRefusedRing(t *testing.T) {
	g := newRig(t, sim.Profile{})
	g.Profile.Refuse = 1000
	_, err := g.Open()
	require.ErrorIs(t, err, ring.ErrUnavailable)
}

func TestLacks(t *testing.T) {
	g := newRig(t, sim.Profile{})
	require.True(t, g.k.Supports(ring.CodeTruncate))
	g.k.Lacks(ring.CodeTruncate)
	require.False(t, g.k.Supports(ring.CodeTruncate))
	require.False(t, g.k.Supports(ring.CodeLinkTimeout))
}
