package sim_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/sim"
)

func TestBusyTakesAPart(t *testing.T) {
	g := newRig(t, sim.Profile{Busy: 1000})
	for range 10 {
		g.push(ring.PrepNop())
	}
	n, err := g.enter()
	require.ErrorIs(t, err, ring.ErrBusy)
	require.Less(t, n, 10)
	require.Equal(t, 10-n, g.k.Unsubmitted())
	require.Len(t, g.reap(), n)
	g.whole()
}

func TestDeathIsForGood(t *testing.T) {
	g := newRig(t, sim.Profile{Fatal: 1000, Soon: 1000})
	g.push(ring.PrepNop())
	g.push(ring.PrepNop())
	n, err := g.enter()
	var fatal *ring.FatalError
	require.ErrorAs(t, err, &fatal)
	require.False(t, fatal.Lost())
	require.Equal(t, 2-n, g.k.Unsubmitted())
	g.k.TakeBack(func(ring.UserData) {})
	g.Profile.Fatal = 0
	nop := ring.PrepNop()
	require.True(t, g.k.Push(ring.MakeUserData(ring.KindCancel, 1, 1), &nop))
	_, again := g.enter()
	require.Equal(t, err, again)
	drain(t, g.World)
	require.Len(t, g.reap(), n, "what it had consumed still completes")
	g.whole()
}

func TestDeadRingIsGivenNothing(t *testing.T) {
	g := newRig(t, sim.Profile{Fatal: 1000})
	g.push(ring.PrepNop())
	_, err := g.enter()
	require.Error(t, err)
	if g.k.Unsubmitted() == 0 {
		g.push(ring.PrepNop())
	}
	_, _ = g.enter()
	g.broken("still is to perform")
}

func TestLostCompletion(t *testing.T) {
	g := newRig(t, sim.Profile{Lose: 1000, Soon: 1000})
	g.submit(ring.PrepNop())
	drain(t, g.World)
	require.Empty(t, g.reap())
	require.Equal(t, 1, g.k.Lost())
	require.True(t, g.k.Stuck())
	_, err := g.enter()
	var fatal *ring.FatalError
	require.ErrorAs(t, err, &fatal)
	require.True(t, fatal.Lost())
	require.False(t, g.k.Stuck())
	g.whole()
}

func TestSteadyKernelDoesNotFail(t *testing.T) {
	g := newRig(t, sim.Profile{Lose: 1000, Fatal: 1000, HangEnter: 1000})
	g.k.Steady()
	require.Zero(t, g.result(g.submit(ring.PrepNop())))
	g.whole()
}

func TestEnterHangs(t *testing.T) {
	g := newRig(t, sim.Profile{HangEnter: 1000, HangFor: 100})
	var n int
	var err error
	for range 3 {
		g.push(ring.PrepNop())
	}
	g.do(func() { n, err = g.k.Enter() })
	require.True(t, g.Hangs())
	require.True(t, g.k.Hangs())
	ran := false
	g.Go(func() { ran = true })
	g.Step()
	require.True(t, ran, "others run meanwhile")
	drain(t, g.World)
	require.False(t, g.Hangs())
	if err == nil {
		require.Equal(t, 3, n)
	}
	require.Len(t, g.reap(), n)
	g.whole()
}

func TestQueueIsTheKernelsWhileEnterHangs(t *testing.T) {
	for what, touch := range map[string]func(*sim.Kernel){
		"Push": func(k *sim.Kernel) {
			nop := ring.PrepNop()
			k.Push(ring.MakeUserData(ring.KindOp, 9, 1), &nop)
		},
		"Enter":       func(k *sim.Kernel) { _, _ = k.Enter() },
		"TakeBack":    func(k *sim.Kernel) { k.TakeBack(func(ring.UserData) {}) },
		"Unsubmitted": func(k *sim.Kernel) { k.Unsubmitted() },
	} {
		t.Run(what, func(t *testing.T) {
			g := newRig(t, sim.Profile{HangEnter: 1000, HangFor: 100})
			g.push(ring.PrepNop())
			g.do(func() { _, _ = g.k.Enter() })
			require.True(t, g.Hangs())
			touch(g.k)
			g.broken(what + " on ring 1 while an Enter is under way")
		})
	}
}

func TestThawReleasesEnter(t *testing.T) {
	g := newRig(t, sim.Profile{HangEnter: 1000, HangFor: 1_000_000})
	g.push(ring.PrepNop())
	g.do(func() { _, _ = g.k.Enter() })
	began := g.Now()
	g.Thaw()
	for g.Hangs() {
		require.True(t, g.Step())
	}
	require.Equal(t, began, g.Now())
	g.whole()
}
