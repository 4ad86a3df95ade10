package actors_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// awaiting runs Await on a goroutine of its own.
func awaiting[R any](ctx context.Context, c *actors.Client, op messages.Operation[R]) (wait func() (R, error)) {
	var value R
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		value, err = actors.Await(ctx, c, op)
	}()
	return func() (R, error) {
		<-done
		return value, err
	}
}

func TestAwait(t *testing.T) {
	r := newRig(t)
	k := r.kernel(1)
	wait := awaiting(t.Context(), r.rm.Client(), &messages.Nop{})
	k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	_, err := wait()
	require.NoError(t, err)

	_, err = actors.Await(t.Context(), r.rm.Client(), &messages.Read{Buf: make([]byte, 1)})
	require.ErrorIs(t, err, messages.ErrBadHandle)
	require.ErrorIs(t, err, messages.ErrRefused)

	over, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why not")
	cancel(why)
	_, err = actors.Await(over, r.rm.Client(), &messages.Nop{})
	require.ErrorIs(t, err, messages.ErrRefused, "nothing was submitted")
	require.ErrorIs(t, err, why)
	require.Len(t, k.Consumed(), 1)
}

// TestAwaitOutlastsItsContext: it returns only when the buffers are the
// caller's again.
func TestAwaitOutlastsItsContext(t *testing.T) {
	why := errors.New("out of patience")
	for name, res := range map[string]int32{"and fails": canceled, "and succeeds": 0} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, manual)
			k := r.kernel(1)
			ctx, cancel := context.WithCancelCause(t.Context())
			returned := make(chan error, 1)
			go func() {
				_, err := actors.Await(ctx, r.rm.Client(), &messages.Nop{})
				returned <- err
			}()
			op := k.Next(t, ring.CodeNop)
			cancel(why)
			asked := k.Next(t, ring.CodeCancel)
			require.EqualValues(t, op.Name, asked.Off)
			k.Complete(asked.Name, already, 0)
			r.glass.Look()
			require.Empty(t, returned, "the kernel still has it")
			k.Complete(op.Name, res, 0)
			err := <-returned
			if res == 0 {
				require.NoError(t, err, "the true result")
				return
			}
			require.ErrorIs(t, err, why)
			require.ErrorIs(t, err, context.Canceled)
		})
	}
}

func TestAwaitWhenTheOutcomeIsUnknown(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option, manual, config(func(c *actors.Config) { c.DrainTimeout, c.ShutdownGrace = quickly, quickly }))
	q := r.requester()
	k := r.kernel(1)
	wait := awaiting(t.Context(), r.rm.Client(), &messages.Nop{})
	op := k.Next(t, ring.CodeNop)
	crash.now(r, q)
	_, err := wait()
	require.ErrorIs(t, err, messages.ErrOutcomeUnknown)
	k.Complete(op.Name, 0, 0) // and that wakes nobody
	r.until("the quarantine is over", func() bool { return r.glass.Look().Quarantined == 0 })
}

func TestAwaitOnManyGoroutines(t *testing.T) {
	r := newRig(t)
	answerAll(r, r.kernel(1))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				_, err := actors.Await(context.Background(), r.rm.Client(), &messages.Nop{})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 400, r.inspect().Completed)
}
