package test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// crasher panics at one failpoint after the other, each time that so many
// others were passed with something in flight.
type crasher struct {
	every  int64
	passed atomic.Int64
	struck [16]atomic.Int64
}

func (c *crasher) hook(p actors.Failpoint, inFlight int) {
	if inFlight == 0 || c.every == 0 {
		return
	}
	if c.passed.Add(1)%c.every == 0 {
		c.struck[p].Add(1)
		panic(fmt.Errorf("injected at %s", p))
	}
}

// TestCrashes crashes the ring owner again and again while goroutines write and
// read files, and checks every byte and the ledger.
func TestCrashes(t *testing.T) {
	for _, policy := range []actors.Policy{actors.Drain, actors.CancelInFlight} {
		t.Run(policy.String(), func(t *testing.T) { testCrashes(t, policy) })
	}
}

func testCrashes(t *testing.T, policy actors.Policy) {
	c := &crasher{every: 37}
	system := actor.NewActorSystem(quiet)
	rm, err := supervisor.Start(system, supervisor.WithFailpoint(c.hook), supervisor.WithPolicy(policy))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	dir := t.TempDir()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for k := range 40 {
				if err := roundTrip(ctx, rm.Client(), filepath.Join(dir, fmt.Sprintf("%d-%d", w, k))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	report, err := rm.Shutdown(ctx)
	require.NoError(t, err)
	t.Logf("%+v", report)
	for _, p := range actors.Failpoints() {
		t.Log(p, c.struck[p].Load())
	}
	require.Equal(t, report.Submitted, report.Completed+report.Refused)
	require.Zero(t, report.InFlight+report.Queued)
	require.Zero(t, report.Unknown)
	require.Zero(t, report.Stale)
	require.Positive(t, report.Restarts)
}

// roundTrip writes a file and reads it back, as often as crashes make it.
func roundTrip(ctx context.Context, c *actors.Client, path string) error {
	want := make([]byte, 1+rand.IntN(100_000))
	for i := range want {
		want[i] = byte(rand.Uint32())
	}
	if err := again(func() error { return actors.WriteFile(ctx, c, path, want, 0o600) }); err != nil {
		return err
	}
	got, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if string(got) != string(want) {
		return fmt.Errorf("%s: wrong content", path)
	}
	return again(func() error {
		got, err := actors.ReadFile(ctx, c, path)
		if err == nil && string(got) != string(want) {
			return fmt.Errorf("%s: read wrong content", path)
		}
		return err
	})
}

// again repeats what a crash has refused or cancelled.
func again(f func() error) error {
	for {
		err := f()
		if !errors.Is(err, messages.ErrRestarted) {
			return err
		}
	}
}
