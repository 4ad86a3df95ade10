//go:build linux

package test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// TestRestartsThatAchieveSomething: a ring owner that answers but one operation
// between two failures is restarted as often as it takes. Only those that
// achieve nothing count against it.
func TestRestartsThatAchieveSomething(t *testing.T) {
	const operations = 50 // many more than the limit of restarts that achieve nothing
	deliveries := 0
	r := start(t, supervisor.WithFailpoint(func(p actors.Failpoint, _ int) {
		if p != actors.FailDelivering {
			return
		}
		if deliveries++; deliveries < 2*operations && deliveries%2 == 1 {
			panic(errors.New("injected"))
		}
	}))
	p := r.probe()
	for k := range uint64(operations) {
		r.send(p, k+1, &messages.Nop{})
		require.NoError(t, next[*messages.Completion](p).Err)
		eventually(t, "the ring owner is back", func() bool { return r.inspect().Restarts == k+1 })
	}
	require.False(t, r.inspect().Degraded)
}
