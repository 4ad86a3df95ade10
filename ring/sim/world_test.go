package sim_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/ring/sim"
)

// plain is a world in which everything happens at once and in order, and that
// ends with the test, without a violation.
func plain(t *testing.T, profile sim.Profile) *sim.World {
	t.Helper()
	w := seeded(t, 1, profile)
	t.Cleanup(func() { require.Empty(t, w.Violations()) })
	return w
}

// seeded is a world whose fate a seed decides.
func seeded(t *testing.T, seed uint64, profile sim.Profile) *sim.World {
	t.Helper()
	w := sim.NewWorld(sim.NewChoices(seed, 1), sim.NewChoices(seed, 2), profile)
	t.Cleanup(w.Close)
	return w
}

// drain runs a world until nothing is left to do.
func drain(t *testing.T, w *sim.World) {
	t.Helper()
	for range 10_000 {
		if !w.Step() {
			return
		}
	}
	t.Fatal("the world does not come to rest")
}

func TestTasksInOrder(t *testing.T) {
	w := plain(t, sim.Profile{})
	var got []int
	for i := range 5 {
		w.Go(func() { got = append(got, i) })
	}
	drain(t, w)
	require.Equal(t, []int{0, 1, 2, 3, 4}, got)
}

func TestDisorder(t *testing.T) {
	w := plain(t, sim.Profile{Disorder: 1000})
	var got []int
	for i := range 20 {
		w.Go(func() { got = append(got, i) })
	}
	drain(t, w)
	require.Len(t, got, 20)
	require.False(t, slices.IsSorted(got))
}

func TestTimePassesWhenNothingIsLeft(t *testing.T) {
	w := plain(t, sim.Profile{})
	began := w.Now()
	var got []string
	w.AfterFunc(2*time.Second, func() { got = append(got, "second") })
	w.AfterFunc(time.Second, func() { got = append(got, "first") })
	stopped := w.AfterFunc(time.Second, func() { got = append(got, "never") })
	w.Go(func() { got = append(got, "task") })
	require.True(t, stopped.Stop())
	require.False(t, stopped.Stop())
	drain(t, w)
	require.Equal(t, []string{"task", "first", "second"}, got)
	require.Equal(t, 2*time.Second, w.Now().Sub(began))
	require.True(t, w.Quiet())
}

func TestTimersMayBeEarly(t *testing.T) {
	w := plain(t, sim.Profile{Early: 1000})
	var got []string
	w.AfterFunc(time.Hour, func() { got = append(got, "timer") })
	w.Go(func() { got = append(got, "task") })
	drain(t, w)
	require.Equal(t, []string{"timer", "task"}, got)
}

func TestWorkerTakesOneTaskAtATime(t *testing.T) {
	w := plain(t, sim.Profile{Disorder: 1000, Preempt: 500})
	k := w.Hire(false)
	require.Equal(t, 1, w.Hired())
	var got []int
	inside := false
	var task func(i int) func()
	task = func(i int) func() {
		return func() {
			require.False(t, inside)
			inside = true
			w.Preempt()
			got = append(got, i)
			inside = false
			if i < 20 {
				k.Do(task(i + 1))
			}
		}
	}
	k.Do(task(0))
	for range 50 {
		w.Go(func() {})
	}
	drain(t, w)
	require.IsIncreasing(t, got)
	require.Len(t, got, 21)
	k.Dismiss()
	require.Zero(t, w.Hired())
}

func TestWorkerRules(t *testing.T) {
	for what, break_ := range map[string]func(*sim.World, *sim.Worker){
		"3 tasks waiting":        func(_ *sim.World, k *sim.Worker) { k.Do(func() {}); k.Do(func() {}); k.Do(func() {}) },
		"after it was dismissed": func(_ *sim.World, k *sim.Worker) { k.Dismiss(); k.Do(func() {}) },
		"dismissed twice":        func(_ *sim.World, k *sim.Worker) { k.Dismiss(); k.Dismiss() },
	} {
		t.Run(what, func(t *testing.T) {
			w := seeded(t, 1, sim.Profile{})
			break_(w, w.Hire(false))
			require.True(t, w.Failed())
			require.ErrorContains(t, w.Violations()[0], what)
			require.False(t, w.Step(), "a world goes no further after a violation")
		})
	}
}

func TestPreemptedTaskGoesOn(t *testing.T) {
	w := plain(t, sim.Profile{Preempt: 1000})
	var got []string
	w.Go(func() {
		got = append(got, "begins")
		w.Preempt()
		got = append(got, "ends")
	})
	w.Go(func() { got = append(got, "other") })
	drain(t, w)
	require.Equal(t, []string{"begins", "other", "ends"}, got)
}

func TestPanicOfATaskIsAViolation(t *testing.T) {
	w := seeded(t, 1, sim.Profile{})
	w.Go(func() { panic("oh") })
	w.Step()
	require.True(t, w.Failed())
	require.ErrorContains(t, w.Violations()[0], "a task failed: oh")
}

func TestCloseUnwindsWhatIsParked(t *testing.T) {
	w := seeded(t, 1, sim.Profile{Preempt: 1000})
	unwound, ended := false, false
	w.Go(func() {
		defer func() { unwound = true }()
		w.Preempt()
		ended = true
	})
	w.Step()
	w.Close()
	require.True(t, unwound)
	require.False(t, ended)
}

func TestSameSeedSameWorld(t *testing.T) {
	digest := func(seed uint64) uint64 {
		w := seeded(t, seed, sim.Profile{Disorder: 500, Preempt: 300, Early: 100})
		for i := range int64(30) {
			w.Go(func() {
				w.Note("%d begins", i)
				w.Preempt()
				w.Note("%d ends", i)
			})
			w.AfterFunc(time.Duration(i), func() { w.Note("timer %d", i) })
		}
		drain(t, w)
		require.EqualValues(t, 90, w.Notes())
		return w.Digest()
	}
	require.Equal(t, digest(1), digest(1))
	require.NotEqual(t, digest(1), digest(2))
}

func TestChoicesReplay(t *testing.T) {
	free := sim.NewChoices(1, 1)
	var picks []int
	for n := range 100 {
		picks = append(picks, free.Pick(n))
	}
	require.True(t, free.Free())
	again := sim.ReplayChoices(free.Made())
	require.False(t, again.Free())
	for n, pick := range picks {
		require.Equal(t, pick, again.Pick(n))
	}
	require.Zero(t, again.Pick(1000), "behind the end everything is plain")
	require.False(t, again.Chance(999))
	require.Equal(t, 7, again.Between(7, 9))
}

func TestChances(t *testing.T) {
	c := sim.NewChoices(1, 1)
	require.False(t, c.Chance(0))
	require.Empty(t, c.Made(), "what cannot be is no decision")
	yes := 0
	for range 10_000 {
		require.True(t, c.Chance(1000))
		if c.Chance(300) {
			yes++
		}
	}
	require.InDelta(t, 3000, yes, 300)
}

// TestCalm checks that a calm world takes the plainest way, whatever its
// profile.
func TestCalm(t *testing.T) {
	w := seeded(t, 1, sim.Profile{Disorder: 1000, Refuse: 1000})
	_, err := w.Open()
	require.Error(t, err)
	w.Violate("something")
	w.Calm()
	require.False(t, w.Failed())
	_, err = w.Open()
	require.NoError(t, err)
	w.Violate("something that nobody looks at any more")
	require.False(t, w.Failed())
}
