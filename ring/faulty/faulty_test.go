package faulty_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/fake"
	"github.com/ringmaster-io/ringmaster/ring/faulty"
	"github.com/ringmaster-io/ringmaster/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func operation(slot uint32) ring.UserData { return ring.MakeUserData(ring.KindOp, slot, 1) }

func cancel(slot uint32) ring.UserData { return ring.MakeUserData(ring.KindCancel, slot, 1) }

func push(t *testing.T, k ring.Kernel, name ring.UserData) {
	t.Helper()
	nop := ring.PrepNop()
	require.True(t, k.Push(name, &nop))
}

// step is one operation pushed and entered for on a ring of its own.
type step struct {
	consumed, pushed int
	err              error
}

// history enters so many rings once, each with an operation.
func history(t *testing.T, i *faulty.Injector, n int) []step {
	t.Helper()
	steps := make([]step, n)
	for s := range steps {
		k := i.Wrap(fake.New(4))
		push(t, k, operation(1))
		steps[s].consumed, steps[s].err = k.Enter()
		steps[s].pushed = k.Unsubmitted()
	}
	return steps
}

// TestPromiseOfEnter holds the wrapper to what ring.Kernel says of Enter, in
// each way in which it fails.
func TestPromiseOfEnter(t *testing.T) {
	const n = 2000
	lost := 0
	i := faulty.NewInjector(1, 3, func() { lost++ })
	causes := map[string]int{}
	busy, fatal, late := 0, 0, 0
	for _, s := range history(t, i, n) {
		require.Equal(t, 1, s.consumed+s.pushed, "consumed, or still pushed")
		var failure *ring.FatalError
		switch {
		case s.err == nil:
			require.Equal(t, 1, s.consumed)
		case errors.Is(s.err, ring.ErrBusy):
			busy++
			require.Zero(t, s.consumed)
		default:
			require.ErrorAs(t, s.err, &failure)
			fatal++
			late += s.consumed
			causes[failure.Err.Error()]++
		}
	}
	require.Equal(t, fatal, lost, "each ring that is lost is told of")
	require.EqualValues(t, busy+fatal, i.Total())
	require.InDelta(t, n/3, busy+fatal, n/10, "one in so many")
	require.InDelta(t, busy, fatal, n/10)
	require.Len(t, causes, 5, "each cause comes")
	require.NotZero(t, late)
	require.Less(t, late, fatal, "before and after the kernel has consumed")
}

func TestSeedDecides(t *testing.T) {
	run := func(seed uint64) []step { return history(t, faulty.NewInjector(seed, 5, nil), 200) }
	require.Equal(t, run(7), run(7))
	require.NotEqual(t, run(7), run(8))
}

// always gives a kernel of which each Enter fails that may.
func always(t *testing.T, i *faulty.Injector) (ring.Kernel, *fake.Kernel) {
	t.Helper()
	f := fake.New(64)
	return i.Wrap(f), f
}

// TestDrainedRingIsSpared checks that a ring is lost once at most, and never
// over cancels alone: they must come through at last.
func TestDrainedRingIsSpared(t *testing.T) {
	for seed := range uint64(50) {
		i := faulty.NewInjector(seed, 1, nil)
		k, f := always(t, i)
		fatal := 0
		for slot := range uint32(30) {
			push(t, k, operation(slot))
			if _, err := k.Enter(); err != nil && !errors.Is(err, ring.ErrBusy) {
				fatal++
			}
			k.TakeBack(func(ring.UserData) {})
		}
		require.LessOrEqual(t, fatal, 1, "seed %d", seed)
		push(t, k, cancel(1))
		for k.Unsubmitted() > 0 {
			if _, err := k.Enter(); err != nil {
				require.ErrorIs(t, err, ring.ErrBusy, "seed %d", seed)
			}
		}
		require.NotEmpty(t, f.Consumed())
	}
}

// TestTakenBackIsForgotten: what was pushed and taken back makes no operation of
// the cancel that follows.
func TestTakenBackIsForgotten(t *testing.T) {
	for seed := range uint64(50) {
		k, _ := always(t, faulty.NewInjector(seed, 1, nil))
		push(t, k, operation(1))
		k.TakeBack(func(ring.UserData) {})
		push(t, k, cancel(1))
		if _, err := k.Enter(); err != nil {
			require.ErrorIs(t, err, ring.ErrBusy, "seed %d", seed)
		}
	}
}

// TestNothingToSubmit: an Enter that only looks for completions is let through.
func TestNothingToSubmit(t *testing.T) {
	i := faulty.NewInjector(1, 1, nil)
	k, _ := always(t, i)
	for range 100 {
		_, err := k.Enter()
		require.NoError(t, err)
	}
	require.Zero(t, i.Total())
}

func TestStop(t *testing.T) {
	i := faulty.NewInjector(1, 1, nil)
	i.Stop()
	for _, s := range history(t, i, 100) {
		require.NoError(t, s.err)
	}
	require.Zero(t, i.Total())
}

// TestRealErrorComesFirst: what the kernel itself says is not replaced.
func TestRealErrorComesFirst(t *testing.T) {
	cause := errors.New("real")
	seen := 0
	for seed := range uint64(50) {
		k, f := always(t, faulty.NewInjector(seed, 1, nil))
		f.Script(fake.Enter{Consume: fake.All, Err: cause})
		push(t, k, operation(1))
		if n, err := k.Enter(); n == 1 {
			require.Equal(t, cause, err, "seed %d", seed)
			seen++
		}
	}
	require.NotZero(t, seen)
}

func TestOpener(t *testing.T) {
	i := faulty.NewInjector(1, 1, nil)
	failure := errors.New("no ring")
	open := faulty.Opener(i, func(entries int) (ring.Kernel, error) {
		if entries == 0 {
			return nil, failure
		}
		return fake.New(entries), nil
	})
	k, err := open(0)
	require.Nil(t, k)
	require.Equal(t, failure, err)
	k, err = open(2)
	require.NoError(t, err)
	for slot := uint32(0); i.Total() == 0; slot++ {
		require.Less(t, slot, uint32(10), "the ring does not fail")
		push(t, k, operation(slot))
		_, _ = k.Enter()
		k.TakeBack(func(ring.UserData) {})
	}
}

func TestString(t *testing.T) {
	i := faulty.NewInjector(1, 1, nil)
	require.Equal(t, "busy 0, EBADF 0, ENXIO 0, EFAULT 0, EBADR 0, EOWNERDEAD 0", i.String())
	history(t, i, 100)
	require.False(t, strings.Contains(i.String(), " 0"), i.String())
}
