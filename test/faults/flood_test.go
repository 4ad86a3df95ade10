//go:build linux

package faults

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// floodSubmits is how much one actor asks for at once.
const floodSubmits = 1_000_000 / slowdown

// floodQuota is how many operations one owner may have open here: less than may
// be in flight together, so that one cannot take all there is.
const floodQuota = 2048

// TestHostileFlood has one actor submit a million operations as fast as it can,
// timers of an hour among them, so that its quota fills and stays full (T30). Each
// is answered once; others are served all the while.
func TestHostileFlood(t *testing.T) {
	o := start(t, supervisor.WithOwnerQuota(floodQuota))
	hostile, victim := o.requester(), o.requester()
	over := make(chan struct{})
	var waits []time.Duration
	served := make(chan struct{})
	go func() {
		defer close(served)
		waits = nops(victim, over)
	}()
	for range floodQuota + 1000 {
		hostile.submit(&messages.Timeout{After: time.Hour})
	}
	for n := floodQuota + 1000; n < floodSubmits; {
		if n%2000 != 0 {
			hostile.submit(&messages.Nop{})
			n++
			continue
		}
		batch := make([]messages.Op, 1000)
		for k := range batch {
			batch[k] = &messages.Nop{}
		}
		hostile.submitBatch(batch...)
		n += len(batch)
	}
	o.inspect() // all of it is taken
	close(over)
	<-served
	in := o.inspect()
	require.Equal(t, floodQuota, in.InFlight+in.Queued)
	require.GreaterOrEqual(t, int(in.Refused), floodSubmits-floodQuota)
	hostile.cancelAll()
	hostile.settled()
	select {
	case <-hostile.ready:
	case <-time.After(patience):
		t.Error("it was refused, and never told that there is room again")
	}
	require.NoError(t, hostile.submit(&messages.Nop{}).err())
	in = o.inspect()
	require.Zero(t, in.Restarts)
	t.Logf("%d of %d refused; meanwhile %d operations of another: median %v, 99th percentile %v, longest %v",
		in.Refused, in.Submitted, len(waits), at(waits, 0.5), at(waits, 0.99), at(waits, 1))
}

// nops has a requester do one thing after the other until over is closed, and
// gives how long each took. None may be refused for another's flood.
func nops(r *requester, over <-chan struct{}) (waits []time.Duration) {
	for {
		select {
		case <-over:
			return waits
		default:
		}
		began := time.Now()
		err := r.submit(&messages.Nop{}).err()
		waits = append(waits, time.Since(began))
		if err != nil {
			r.o.t.Errorf("another is not served: %v", err)
			return waits
		}
	}
}
