//go:build linux

package test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// TestAwaitDone does not submit under a context that has ended.
func TestAwaitDone(t *testing.T) {
	r := start(t)
	before := r.inspect().Submitted
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	_, err := actors.Await(ctx, r.c, &messages.Nop{})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, messages.ErrRefused)
	require.Equal(t, before, r.inspect().Submitted)
}

// TestAwaitDeadline ends with the context's deadline.
func TestAwaitDeadline(t *testing.T) {
	r := start(t)
	err := messages.ErrRefused
	for after := 10 * time.Millisecond; errors.Is(err, messages.ErrRefused); after *= 2 { // as if it was over before it was asked for
		ctx, cancel := context.WithTimeout(r.ctx, after)
		_, err = actors.Await(ctx, r.c, &messages.Timeout{After: time.Hour})
		cancel()
	}
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, unix.ECANCELED)
	require.Zero(t, r.inspect().InFlight)
}

// TestAwaitMany has many goroutines await, with contexts that end whenever they
// like. Each gets its own result, whatever becomes of the others.
func TestAwaitMany(t *testing.T) {
	const goroutines, rounds = 50, 40
	r := start(t)
	reader, writer := r.pipe()
	pipe := r.adopt(reader)
	dir := t.TempDir()
	var wg sync.WaitGroup
	var cancelled atomic.Int64
	for g := range goroutines {
		wg.Go(func() {
			for k := range rounds {
				path := fmt.Sprintf("%s/%d", dir, g)
				want := fmt.Sprintf("%d of %d", k, g)
				ctx, cancel := context.WithTimeout(r.ctx, time.Duration(rand.IntN(300))*time.Microsecond)
				_, err := actors.Await(ctx, r.c, &messages.Poll{Handle: pipe, Events: messages.Readable})
				cancel()
				if err == nil {
					t.Error("a poll of an empty pipe succeeded")
				}
				cancelled.Add(1)
				if err := actors.WriteFile(r.ctx, r.c, path, []byte(want), 0o600); err != nil {
					t.Error(err)
				}
				if got, err := actors.ReadFile(r.ctx, r.c, path); err != nil || string(got) != want {
					t.Errorf("%q, %v; want %q", got, err, want)
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, goroutines*rounds, cancelled.Load())
	_, err := writer.WriteString("x")
	require.NoError(t, err)
	require.Equal(t, messages.Readable, do(r, &messages.Poll{Handle: pipe, Events: messages.Readable}))
	require.Zero(t, r.inspect().InFlight)
}
