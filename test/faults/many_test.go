//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// firstAnswerMax is how long the first answer of the next ring may take after
// the failure, when what the old one has is drained. Where all of it has to be
// cancelled first, it takes what the kernel takes for that. It is a limit for a
// machine that has nothing else to do, as with stormVariable. What holds on any
// machine is that it takes less than to ask for what is in flight.
const firstAnswerMax = 20 * time.Millisecond

// manyInFlight is how much is in flight when the ring is lost, and manyTimes how
// often that is tried.
const (
	manyInFlight = 10_000
	manyTimes    = 5
)

// TestTenThousandInFlight loses the ring with ten thousand operations on it, by
// each policy. The next ring answers soon, and all are answered: with their true
// results, or cancelled.
func TestTenThousandInFlight(t *testing.T) {
	for _, policy := range []actors.Policy{actors.Drain, actors.CancelInFlight} {
		t.Run(policy.String(), func(t *testing.T) {
			var asking, took []time.Duration
			for k := range manyTimes {
				t.Run(fmt.Sprint(k), func(t *testing.T) {
					a, b := loseMany(t, policy)
					asking, took = append(asking, a), append(took, b)
				})
			}
			quickest := at(took, 0) // what else the machine does only adds to it
			t.Logf("to ask took %v, the first answer of the next ring came after %v", asking, took)
			if policy != actors.Drain {
				return
			}
			require.Less(t, quickest, at(asking, 0.5))
			if _, long := stormLength(t); long {
				require.Less(t, quickest, slowdown*firstAnswerMax)
			}
		})
	}
}

// loseMany does it once, on a subsystem of its own, and gives how long it took to
// ask for the operations, and then how long the first answer took.
func loseMany(t *testing.T, policy actors.Policy) (asking, took time.Duration) {
	s := &striker{point: actors.FailTaken}
	var failed atomic.Int64
	o := start(t, supervisor.WithPolicy(policy), supervisor.WithInFlight(2*manyInFlight), supervisor.WithFailpoint(
		func(point actors.Failpoint, n int) {
			if point == s.point && s.armed.Load() {
				failed.Store(time.Now().UnixNano())
			}
			s.hook(point, n)
		}))
	r := o.requester()
	reader, writer := o.pipe()
	pipe := o.adopt(reader)
	var all []*entry
	asked := time.Now()
	for k := range manyInFlight {
		if k%2 == 0 {
			all = append(all, r.submit(&messages.Poll{Handle: pipe, Events: messages.Readable}))
			continue
		}
		all = append(all, r.submit(&messages.Timeout{After: time.Hour}))
	}
	o.inFlight(manyInFlight)
	asking = time.Since(asked)
	s.armed.Store(true)
	require.ErrorIs(t, fails(o, &messages.Nop{}), messages.ErrRestarted)
	do(o, &messages.Nop{})
	began := time.Unix(0, failed.Load())
	took = time.Since(began)
	if policy == actors.Drain {
		require.EqualValues(t, 1, o.inspect().Draining)
		_, err := writer.WriteString("now")
		require.NoError(t, err)
		for k := 0; k < manyInFlight; k += 2 {
			require.NoError(t, all[k].err())
		}
		r.cancelAll()
	}
	r.settled()
	t.Logf("all were answered within %v of the failure", time.Since(began))
	for k, e := range all {
		if want := manyEnd(policy, k); !errors.Is(e.err(), want) {
			t.Fatalf("%s: %v, not %v", e, e.err(), want)
		}
	}
	do(o, &messages.Close{Handle: pipe})
	return asking, took
}

// manyEnd is how the k-th operation is to end.
func manyEnd(policy actors.Policy, k int) error {
	switch {
	case policy == actors.CancelInFlight:
		return messages.ErrRingLost
	case k%2 == 0: // what it polls for has come
		return nil
	default:
		return context.Canceled
	}
}
