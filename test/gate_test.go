//go:build linux

package test

import (
	"sync/atomic"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// gate is a failpoint hook that does not fail: it holds the ring owner's runner
// at a failpoint while the test arranges the world.
type gate struct {
	point   actors.Failpoint
	armed   atomic.Bool
	entered chan struct{}
	release chan struct{}
}

func newGate(point actors.Failpoint) *gate {
	return &gate{point: point, entered: make(chan struct{}), release: make(chan struct{})}
}

func (g *gate) hook(point actors.Failpoint, _ int) {
	if point != g.point || !g.armed.CompareAndSwap(true, false) {
		return
	}
	g.entered <- struct{}{}
	<-g.release
}

// hold has the runner wait at the failpoint, which a NOP leads it to. The
// function that it returns lets it go on, and waits for the NOP's end.
func (g *gate) hold(r *rig) (open func()) {
	r.t.Helper()
	p := r.probe()
	g.armed.Store(true)
	go r.send(p, 1, &messages.Nop{}) // held as well, if it becomes the runner
	<-g.entered
	return func() {
		r.t.Helper()
		g.release <- struct{}{}
		p.completed(1)
		p.stop()
	}
}
