//go:build linux

package faults

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// loser is rings of which the current one loses a completion when it is told to,
// or says so: nothing that is in flight on it can be relied on to end.
type loser struct {
	mu      sync.Mutex
	current *losingRing
}

// option is for start.
func (l *loser) option(c *actors.Config) {
	open := c.OpenKernel
	c.OpenKernel = func(c actors.Config) (ring.Kernel, error) {
		kernel, err := open(c)
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.current = &losingRing{Kernel: kernel}
		return l.current, nil
	}
}

// lose has the current ring fail. What it has is not reaped any more.
func (l *loser) lose(o *oracle) {
	o.t.Helper()
	l.mu.Lock()
	current := l.current
	l.mu.Unlock()
	current.lost.Store(true)
	_, err := await(o, &messages.Nop{})
	require.True(o.t, err == nil || errors.Is(err, messages.ErrRestarted), err)
}

type losingRing struct {
	ring.Kernel
	lost atomic.Bool
}

// Enter implements [ring.Kernel].
func (r *losingRing) Enter() (int, error) {
	if r.lost.Load() {
		return 0, &ring.FatalError{Doing: "io_uring_enter", Err: unix.EBADR}
	}
	return r.Kernel.Enter()
}

// Peek implements [ring.Kernel]: what comes is lost.
func (r *losingRing) Peek() (ring.CQE, bool) {
	if r.lost.Load() {
		return ring.CQE{}, false
	}
	return r.Kernel.Peek()
}
