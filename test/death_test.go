//go:build linux

package test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
	"github.com/ringmaster-io/ringmaster/test/leak"
)

// footprint is what operations and handles leave while they live.
type footprint struct {
	InFlight, Queued, Handles, Owners int
	Files                             []string
}

func (r *rig) footprint() footprint {
	in := r.inspect()
	return footprint{in.InFlight, in.Queued, in.Handles, in.Owners, leak.OpenFiles()}
}

// comesBackTo waits until nothing is left of what came after a footprint.
func (r *rig) comesBackTo(before footprint) {
	r.t.Helper()
	var now footprint
	defer func() { require.Equal(r.t, before, now) }()
	eventually(r.t, "everything is released", func() bool {
		now = r.footprint()
		return reflect.DeepEqual(before, now)
	})
}

// openBlocks opens one end of a FIFO on behalf of a probe, and returns when a
// worker waits in the kernel for the other end.
func (r *rig) openBlocks(p *probe, seq uint64, path string) {
	r.t.Helper()
	r.send(p, seq, &messages.Open{Path: path})
	r.inspect()
	eventually(r.t, "a worker waits for the FIFO's other end", func() bool { return workersIn("wait_for_partner") > 0 })
}

// workersIn is how many of this process's threads, the kernel's workers for it
// among them, sleep in a kernel function.
func workersIn(function string) (n int) {
	tasks, _ := filepath.Glob("/proc/self/task/*/wchan")
	for _, task := range tasks {
		if at, err := os.ReadFile(task); err == nil && string(at) == function {
			n++
		}
	}
	return n
}

// requireNoReader checks that nobody has a FIFO's reading end or waits for it.
func requireNoReader(t *testing.T, path string) {
	t.Helper()
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	require.ErrorIs(t, err, unix.ENXIO)
}

// TestRequesterDies has an actor die with all kinds of operations in flight.
// Nothing of it may stay.
func TestRequesterDies(t *testing.T) {
	r := start(t)
	reader, _ := r.pipe()
	before := r.footprint()
	p := r.probe()
	r.send(p, 1, &messages.Adopt{File: reader})
	pipe := p.completed(1).Handle
	r.send(p, 2, &messages.Open{Path: t.TempDir()})
	p.completed(2)
	for seq := range uint64(4) { // one is with the kernel, the others wait for their turn
		r.send(p, 10+seq, &messages.Read{Handle: pipe, Buf: make([]byte, 10)})
	}
	r.send(p, 20, &messages.Timeout{After: time.Hour})
	r.send(p, 21, &messages.Poll{Handle: pipe, Events: messages.Readable})
	r.system.Root.Send(r.rm.PID(), &messages.Submit{
		Op: &messages.Timeout{After: time.Hour}, ID: messages.OpID{Owner: p.pid, Seq: 22}, Deadline: time.Now().Add(time.Hour),
	})
	r.requireDies(p, 7, before)
}

// TestRequesterDiesInOpen has an actor die while an open of its waits in the
// kernel.
func TestRequesterDiesInOpen(t *testing.T) {
	r := start(t)
	r.needsCancelledOpens()
	named := fifo(t)
	before := r.footprint()
	p := r.probe()
	r.openBlocks(p, 1, named)
	r.requireDies(p, 1, before)
	requireNoReader(t, named)
}

// requireDies stops a probe that has so many operations open: they end as
// orphans, cancelled, and leave nothing.
func (r *rig) requireDies(p *probe, operations int, before footprint) {
	r.t.Helper()
	in := r.inspect()
	require.Equal(r.t, operations, in.InFlight+in.Queued)
	p.stop()
	r.comesBackTo(before)
	in = r.inspect()
	require.EqualValues(r.t, operations, in.Orphaned)
	require.EqualValues(r.t, operations, in.Cancelled)
	require.Zero(r.t, in.LateClosed)
	require.Empty(r.t, p.got)
}

// TestLateOpen has an open succeed that nobody waits for any more: the actor
// has died, and the ring owner learns of both at once.
func TestLateOpen(t *testing.T) {
	g := newGate(actors.FailTaken)
	r := start(t, supervisor.WithFailpoint(g.hook))
	named := fifo(t)
	before := r.footprint()
	p := r.probe()
	r.openBlocks(p, 1, named)
	lateOpen(r, g, named, p.stop)
	r.comesBackTo(before)
	require.EqualValues(t, 1, r.inspect().LateClosed)
	require.Empty(t, p.got)
}

// lateOpen lets a blocked open succeed while the runner is held, and has end
// stop whoever asked for it.
func lateOpen(r *rig, g *gate, named string, end func()) {
	r.t.Helper()
	open := g.hold(r)
	writer, err := os.OpenFile(named, os.O_WRONLY, 0)
	require.NoError(r.t, err)
	eventually(r.t, "the late descriptor is there", func() bool { return len(openOn(named)) == 2 })
	end()
	open()
	eventually(r.t, "the late descriptor is closed", func() bool { return len(openOn(named)) == 1 })
	require.NoError(r.t, writer.Close())
	requireNoReader(r.t.(*testing.T), named)
}

// TestCompletedNotDelivered has an actor die when its open has succeeded and
// the answer is about to be sent.
func TestCompletedNotDelivered(t *testing.T) {
	g := newGate(actors.FailDelivering)
	r := start(t, supervisor.WithFailpoint(g.hook))
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	before := r.footprint()
	p := r.probe()
	g.armed.Store(true)
	go r.send(p, 1, &messages.Open{Path: path})
	<-g.entered
	require.Len(t, openOn(path), 1)
	p.stop()
	g.release <- struct{}{}
	r.comesBackTo(before)
	require.Empty(t, openOn(path))
}

// TestOpActorStops stops operation actors in the middle of their operations:
// the parent hears nothing, and nothing stays. An open succeeds all the same,
// too late.
func TestOpActorStops(t *testing.T) {
	g := newGate(actors.FailTaken)
	r := start(t, supervisor.WithFailpoint(g.hook))
	named := fifo(t)
	reader, writer := r.pipe()
	pipe := r.adopt(reader)
	parent := r.probe()
	before := r.footprint()
	read, timeout := &messages.Read{Handle: pipe, Buf: make([]byte, 10)}, &messages.Timeout{After: time.Hour}
	children := []*actor.PID{spawnOp(parent, read), spawnOp(parent, timeout), spawnOp(parent, &messages.Open{Path: named})}
	eventually(t, "they are in flight", func() bool { return r.inspect().InFlight == 3 && workersIn("wait_for_partner") == 1 })
	lateOpen(r, g, named, func() { r.stopAll(children) })
	r.comesBackTo(before)
	require.EqualValues(t, 1, r.inspect().LateClosed)
	parent.silent()

	_, err := writer.WriteString("still here")
	require.NoError(t, err)
	require.Equal(t, "still here", string(do(r, &messages.Read{Handle: pipe, Buf: make([]byte, 100)})))
}

// TestOpActorStopsInOpen stops one whose open waits in the kernel.
func TestOpActorStopsInOpen(t *testing.T) {
	r := start(t)
	r.needsCancelledOpens()
	named := fifo(t)
	parent := r.probe()
	before := r.footprint()
	child := spawnOp(parent, &messages.Open{Path: named})
	eventually(t, "it is in flight", func() bool { return r.inspect().InFlight == 1 && workersIn("wait_for_partner") == 1 })
	r.stopAll([]*actor.PID{child})
	r.comesBackTo(before)
	requireNoReader(t, named)
	parent.silent()
}

// spawnOp has a probe spawn an operation actor.
func spawnOp[R any](parent *probe, op messages.Operation[R]) (child *actor.PID) {
	parent.run(func(ctx actor.Context) { child = actors.SpawnOp(ctx, parent.rig.c, op, op.Name()) })
	return child
}

func (r *rig) stopAll(pids []*actor.PID) {
	for _, pid := range pids {
		_ = r.system.Root.StopFuture(pid).Wait()
	}
}

// TestOpActorHandle has an operation actor open a file: the handle is the
// parent's when the parent hears of it, and dies with it.
func TestOpActorHandle(t *testing.T) {
	r := start(t)
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("content"), 0o600))
	before := r.footprint()
	parent := r.probe()
	parent.run(func(ctx actor.Context) { actors.SpawnOp(ctx, r.c, &messages.Open{Path: path}, 42) })
	done := next[*actors.OpDone[messages.Handle]](parent)
	require.NoError(t, done.Err)
	require.Equal(t, 42, done.Token)
	eventually(t, "the operation actor has stopped", func() bool {
		_, alive := r.system.ProcessRegistry.Get(done.PID)
		return !alive
	})
	require.Equal(t, "content", string(do(r, &messages.Read{Handle: done.Value, Buf: make([]byte, 100)})))
	parent.stop()
	r.comesBackTo(before)
	require.ErrorIs(t, fails(r, &messages.Read{Handle: done.Value, Buf: make([]byte, 1)}), messages.ErrRefused)
}

// TestClientCloses cancels what a client has in flight and closes its handles.
func TestClientCloses(t *testing.T) {
	r := start(t)
	reader, _ := r.pipe()
	before := r.footprint()
	c := r.rm.NewClient()
	pipe, err := actors.Await(r.ctx, c, &messages.Adopt{File: reader})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() {
		_, err := actors.Await(r.ctx, c, &messages.Read{Handle: pipe, Buf: make([]byte, 1)})
		ended <- err
	}()
	eventually(t, "the read is in flight", func() bool { return r.inspect().InFlight == 1 })
	c.Close()
	require.ErrorIs(t, <-ended, unix.ECANCELED)
	r.comesBackTo(before)
	_, err = actors.Await(r.ctx, c, &messages.Nop{})
	require.ErrorIs(t, err, messages.ErrRefused)
}
