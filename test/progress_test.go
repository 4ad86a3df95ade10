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
	const operations = 100
	deliveries := 0
	r := start(t, supervisor.WithFailpoint(func(p actors.Failpoint, _ int) {
		if p != actors.FailDelivering {
			return
		}
		if deliveries++; deliveries < 2*operations && deliveries%2 == 0 {
			panic(errors.New("injected"))
		}
	}))
	p := r.probe()
	batch := &messages.SubmitBatch{}
	for k := range operations {
		batch.Submits = append(batch.Submits, &messages.Submit{
			Op: &messages.Nop{},
			ID: messages.OpID{Owner: p.pid, Seq: uint64(k + 1)},
		})
	}
	r.system.Root.Send(r.rm.PID(), batch)
	for range operations {
		require.NoError(t, next[*messages.Completion](p).Err)
	}
	require.Greater(t, r.inspect().Restarts, uint64(operations/2))
}
