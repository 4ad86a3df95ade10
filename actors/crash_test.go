package actors_test

import (
	"sync/atomic"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// crash makes the ring owner panic at a failpoint, once for each time it is
// armed.
type crash struct {
	point atomic.Int32 // armed failpoint, or -1
	skip  atomic.Int32 // how many passes it lets go by
	hits  atomic.Int32
	seen  [16]atomic.Int32 // how often each failpoint was passed
}

func newCrash() *crash {
	c := &crash{}
	c.point.Store(-1)
	return c
}

func (c *crash) option(_ *rig, config *actors.Config) { config.Failpoint = c.pass }

func (c *crash) pass(point actors.Failpoint, _ int) {
	c.seen[point].Add(1)
	if c.point.Load() != int32(point) || c.skip.Add(-1) >= 0 {
		return
	}
	c.point.Store(-1)
	c.hits.Add(1)
	panic("injected at " + point.String())
}

// arm has the ring owner panic when it passes a failpoint, after it has passed
// it so often.
func (c *crash) arm(point actors.Failpoint, after int) {
	c.skip.Store(int32(after))
	c.point.Store(int32(point))
}

// now has the ring owner fail over a Submit of q's, which is refused for it.
func (c *crash) now(r *rig, q *requester) {
	r.t.Helper()
	r.inspect() // what was posted before is taken
	c.arm(actors.FailTaken, 0)
	q.send(&messages.Nop{})
	refused := expect[*messages.Refused](q)
	if !isRestarted(refused.Err) {
		r.t.Fatalf("refused with %v", refused.Err)
	}
}
