package supervisor_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

func errorIs(err, target error) bool { return errors.Is(err, target) }

func TestStartAndGet(t *testing.T) {
	b := newBench(t)
	_, ok := supervisor.Get(b.system)
	require.False(t, ok)
	for range 3 { // one after the other
		s, _ := b.start()
		got, ok := supervisor.Get(b.system)
		require.True(t, ok)
		require.Same(t, s, got)
		_, err := supervisor.Start(b.system, b.option)
		require.ErrorIs(t, err, supervisor.ErrRunning)
		got, ok = supervisor.Get(b.system)
		require.True(t, ok, "the one that runs is still found")
		require.Same(t, s, got)
		_, err = shutDown(t.Context(), s).wait(t)
		require.NoError(t, err)
		_, ok = supervisor.Get(b.system)
		require.False(t, ok)
	}
}

func TestStartAtOnce(t *testing.T) {
	b := newBench(t)
	var group sync.WaitGroup
	var mu sync.Mutex
	var running []*supervisor.Subsystem
	for range 8 {
		group.Go(func() {
			s, err := supervisor.Start(b.system, b.option)
			if errorIs(err, supervisor.ErrRunning) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			running = append(running, s)
		})
	}
	group.Wait()
	require.Len(t, running, 1)
	_, err := shutDown(t.Context(), running[0]).wait(t)
	require.NoError(t, err)
}

func TestStartWithoutAKernel(t *testing.T) {
	b := newBench(t)
	b.refuse.Store(true)
	_, err := supervisor.Start(b.system, b.option)
	require.ErrorIs(t, err, messages.ErrUnavailable)
	require.ErrorIs(t, err, errNoKernel)
	require.Equal(t, 1, b.attempts(), "it is not tried again and again")
	_, ok := supervisor.Get(b.system)
	require.False(t, ok)

	b.refuse.Store(false)
	s, _ := b.start()
	_, err = shutDown(t.Context(), s).wait(t)
	require.NoError(t, err)
}

func TestStartChecksItsOptions(t *testing.T) {
	b := newBench(t)
	for name, option := range map[string]supervisor.Option{
		"nothing in flight":   supervisor.WithInFlight(0),
		"too many in flight":  supervisor.WithInFlight(1 << 20),
		"negative queue":      supervisor.WithQueue(-1),
		"endless queue":       supervisor.WithQueue(1 << 30),
		"no quota":            supervisor.WithOwnerQuota(0),
		"no blocking workers": supervisor.WithBlockingWorkers(0),
		"no workers":          supervisor.WithWorkers(0),
		"no time to drain":    supervisor.WithDrainTimeout(0),
		"no grace":            supervisor.WithShutdownGrace(-time.Second),
		"no logger":           supervisor.WithLogger(nil),
	} {
		_, err := supervisor.Start(b.system, b.option, option)
		require.ErrorIs(t, err, messages.ErrArgument, name)
		_, ok := supervisor.Get(b.system)
		require.False(t, ok, name)
	}
	require.Zero(t, b.attempts())
}

func TestOptionsAreTaken(t *testing.T) {
	b := newBench(t)
	var got actors.Config
	s, _ := b.start(
		supervisor.WithLogger(zap.NewNop()),
		supervisor.WithPolicy(actors.CancelInFlight),
		supervisor.WithDrainTimeout(3*time.Second),
		supervisor.WithShutdownGrace(4*time.Second),
		supervisor.WithInFlight(5),
		supervisor.WithQueue(6),
		supervisor.WithOwnerQuota(7),
		supervisor.WithBlockingWorkers(8),
		supervisor.WithWorkers(99),
		supervisor.WithInline(false),
		func(c *actors.Config) { got = *c },
	)
	_, err := shutDown(t.Context(), s).wait(t)
	require.NoError(t, err)
	require.Equal(t, actors.CancelInFlight, got.Policy)
	require.Equal(t, 3*time.Second, got.DrainTimeout)
	require.Equal(t, 4*time.Second, got.ShutdownGrace)
	require.Equal(t, [5]int{5, 6, 7, 8, 99}, [5]int{got.InFlight, got.Queue, got.OwnerQuota, got.BlockingWorkers, got.Workers})
	require.False(t, got.Inline)
}
