//go:build linux

package test

import (
	"context"
	"os"
	"runtime"
	"strings"
	"sync"
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

// TestAdoptOfNoFile: the methods of an os.File that nobody opened panic.
func TestAdoptOfNoFile(t *testing.T) {
	r := start(t)
	require.ErrorIs(t, fails(r, &messages.Adopt{File: new(os.File)}), unix.EBADF)
	require.Zero(t, r.inspect().Restarts)
}

// TestManyOpensThatWait: opens of a FIFO wait in the kernel for its other end.
// Other path operations must not wait with them.
func TestManyOpensThatWait(t *testing.T) {
	r := start(t)
	path := fifo(t)
	p := r.probe()
	openMany(r, p, path)
	for range 100 {
		do(r, &messages.Stat{Path: path})
	}
	require.Equal(t, manyOpens, r.inspect().InFlight)
	writer, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer writer.Close()
	for range manyOpens {
		require.NoError(t, next[*messages.Completion](p).Err)
	}
}

// TestManyOpensCancelled cancels as many.
func TestManyOpensCancelled(t *testing.T) {
	r := start(t)
	r.needsCancelledOpens()
	p := r.probe()
	openMany(r, p, fifo(t))
	r.system.Root.Send(r.rm.PID(), &messages.CancelOwner{Owner: p.pid})
	for range manyOpens {
		require.Error(t, next[*messages.Completion](p).Err)
	}
	next[*messages.CancelResult](p)
}

// TestCancelledOpensBesideOthers: opens of a FIFO that nobody waits for any more
// do not hold up what else is done in its file system, also where they cannot be
// stopped.
func TestCancelledOpensBesideOthers(t *testing.T) {
	r := start(t)
	path := fifo(t)
	p := r.probe()
	const waves, opens = 3, 64 // 64 of a device are issued at a time
	for wave := range waves {
		for k := range opens {
			r.send(p, uint64(wave*opens+k+1), &messages.Open{Path: path, Flags: os.O_RDONLY})
		}
		waiting := opens
		if !r.onRing() {
			waiting += wave * opens // the cancelled ones
		}
		eventually(t, "they wait for the FIFO's other end", func() bool { return workersIn("wait_for_partner") >= waiting })
		r.system.Root.Send(r.rm.PID(), &messages.CancelOwner{Owner: p.pid})
	}
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	for range 10 {
		_, err := actors.Await(ctx, r.c, &messages.Stat{Path: path})
		require.NoError(t, err)
	}
	writer, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer writer.Close()
	completions, results := 0, 0
	for completions < waves*opens || results < waves {
		switch next[any](p).(type) {
		case *messages.Completion:
			completions++
		case *messages.CancelResult:
			results++
		}
	}
	p.stop()
}

const manyOpens = 32

// openMany opens a FIFO's reading end again and again, on behalf of a probe.
func openMany(r *rig, p *probe, path string) {
	r.t.Helper()
	batch := &messages.SubmitBatch{}
	for k := range manyOpens {
		batch.Submits = append(batch.Submits, &messages.Submit{
			Op: &messages.Open{Path: path, Flags: os.O_RDONLY},
			ID: messages.OpID{Owner: p.pid, Seq: uint64(k + 1)},
		})
	}
	r.system.Root.Send(r.rm.PID(), batch)
	eventually(r.t, "they are in flight", func() bool { return r.inspect().InFlight == manyOpens })
}

// TestOldNameAtTheDoor: a Submit that waits in the mailbox while its actor dies
// does not become that of a new actor of the same name.
func TestOldNameAtTheDoor(t *testing.T) {
	g := newGate(actors.FailTaken)
	r := start(t, supervisor.WithFailpoint(g.hook), supervisor.WithInline(false))
	open := g.hold(r)
	young := make(chan any, 8)
	props := func(got chan any) *actor.Props {
		return actor.PropsFromFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case func(actor.Context):
				m(ctx)
			case *messages.Completion, *messages.Refused:
				got <- m
			}
		})
	}
	old, err := r.system.Root.SpawnNamed(props(make(chan any, 8)), "worker")
	require.NoError(t, err)
	asked := make(chan struct{})
	r.system.Root.Send(old, func(ctx actor.Context) {
		ctx.Request(r.rm.PID(), &messages.Submit{Op: &messages.Open{Path: "/proc/self/exe"}})
		close(asked)
	})
	<-asked
	require.NoError(t, r.system.Root.StopFuture(old).Wait())
	pid, err := r.system.Root.SpawnNamed(props(young), "worker")
	require.NoError(t, err)
	open()
	in := r.inspect()
	require.Zero(t, in.Handles)
	require.EqualValues(t, 1, in.Refused)
	require.NoError(t, r.system.Root.StopFuture(pid).Wait())
	require.Empty(t, young)
}

// TestFutureGetsOneMessage: a Refused that a future got is not followed by a
// Ready, which would change the future's result.
func TestFutureGetsOneMessage(t *testing.T) {
	r := start(t, supervisor.WithInFlight(1), supervisor.WithQueue(0))
	p := r.probe()
	r.send(p, 1, &messages.Timeout{After: time.Hour})
	r.inspect()
	future := r.system.Root.RequestFuture(r.rm.PID(), &messages.Submit{Op: &messages.Nop{}}, patience)
	first, err := future.Result()
	require.NoError(t, err)
	require.ErrorIs(t, first.(*messages.Refused).Err, messages.ErrOverloaded)
	r.system.Root.Send(r.rm.PID(), &messages.Cancel{ID: messages.OpID{Owner: p.pid, Seq: 1}})
	p.completed(1)
	next[*messages.CancelResult](p)
	r.inspect()
	again, err := future.Result()
	require.NoError(t, err)
	require.Same(t, first, again)
}

// TestReadyAfterFlood: what is refused at the mailbox's door is followed by a
// Ready as well.
func TestReadyAfterFlood(t *testing.T) {
	g := newGate(actors.FailTaken)
	r := start(t, supervisor.WithFailpoint(g.hook), supervisor.WithInFlight(1), supervisor.WithQueue(0), supervisor.WithInline(false))
	p := r.probe()
	open := g.hold(r)
	batch := &messages.SubmitBatch{Submits: []*messages.Submit{{Op: &messages.Nop{}, ID: messages.OpID{Owner: p.pid, Seq: 1}}}}
	const many = 8 // more than the mailbox takes: twice what may be open
	for range many {
		r.system.Root.Send(r.rm.PID(), batch)
	}
	refused := next[*messages.Refused](p)
	require.ErrorIs(t, refused.Err, messages.ErrOverloaded)
	open()
	ready := false
	for !ready {
		switch m := next[any](p).(type) {
		case *messages.Ready:
			ready = true
		case *messages.Completion, *messages.Refused:
		default:
			t.Fatalf("%T", m)
		}
	}
}

// TestStartAgainAndAgain: a subsystem that has ended leaves nothing in its
// actor system.
func TestStartAgainAndAgain(t *testing.T) {
	system := actor.NewActorSystem(quiet)
	registered := func() (n int) {
		for _, shard := range system.ProcessRegistry.LocalPIDs.LocalPIDs {
			n += shard.Count()
		}
		return n
	}
	before := registered()
	for range 20 {
		rm, err := supervisor.Start(system)
		require.NoError(t, err)
		c := rm.Client()
		_, err = actors.Await(t.Context(), c, &messages.Nop{})
		require.NoError(t, err)
		_, err = rm.Shutdown(t.Context())
		require.NoError(t, err)
		_, err = actors.Await(t.Context(), c, &messages.Nop{})
		require.ErrorIs(t, err, messages.ErrStopped)
	}
	require.Equal(t, before, registered())
}

// TestWholeFilesUnderOverload: a Close is not refused for want of room.
func TestWholeFilesUnderOverload(t *testing.T) {
	r := start(t, supervisor.WithInFlight(1), supervisor.WithQueue(1))
	path := t.TempDir() + "/file"
	require.NoError(t, os.WriteFile(path, make([]byte, 100), 0o600))
	files := leak.OpenFiles()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 50 {
				_, err := actors.ReadFile(r.ctx, r.c, path)
				if err != nil && !strings.Contains(err.Error(), messages.ErrOverloaded.Error()) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, r.inspect().Handles)
	require.Equal(t, files, leak.OpenFiles())
}

// TestCancelHandleAfterClose: the operations that a Close waits for can still
// be ended by the handle.
func TestCancelHandleAfterClose(t *testing.T) {
	r := start(t)
	reader, _ := r.pipe()
	p := r.probe()
	h := r.adopt(reader)
	r.send(p, 1, &messages.Read{Handle: h, Buf: make([]byte, 10)})
	r.send(p, 2, &messages.Close{Handle: h})
	r.system.Root.Send(r.rm.PID(), &messages.CancelHandle{Handle: h, ReplyTo: p.pid})
	require.ErrorIs(t, p.completed(1).Err, context.Canceled)
	outcomes := map[string]bool{}
	for range 2 { // the Close waits for the read, the result for both
		switch m := next[any](p).(type) {
		case *messages.Completion:
			require.NoError(t, m.Err)
			outcomes["closed"] = true
		case *messages.CancelResult:
			require.Equal(t, messages.Cancelled, m.Outcome)
			outcomes["cancelled"] = true
		}
	}
	require.Len(t, outcomes, 2)
}

// TestCancelsAfterTheEnd: each is answered, whatever it leaves unsaid.
func TestCancelsAfterTheEnd(t *testing.T) {
	r := start(t)
	p := r.probe()
	_, err := r.rm.Shutdown(r.ctx)
	require.NoError(t, err)
	r.system.Root.Send(r.rm.PID(), &messages.Cancel{ID: messages.OpID{Owner: p.pid, Seq: 1}})
	r.system.Root.Send(r.rm.PID(), &messages.CancelOwner{Owner: p.pid})
	r.system.Root.Send(r.rm.PID(), &messages.CancelHandle{ReplyTo: p.pid})
	for range 3 {
		require.Equal(t, messages.AlreadyDone, next[*messages.CancelResult](p).Outcome)
	}
}

// TestOpenOutlivesItsPoster: an open that waits in a kernel worker is issued
// anew when the thread that posted it has ended, and its work with it.
func TestOpenOutlivesItsPoster(t *testing.T) {
	r := start(t)
	path := fifo(t)
	p := r.probe()
	posted := make(chan struct{})
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		r.send(p, 1, &messages.Open{Path: path, Flags: os.O_RDONLY})
		close(posted)
	}()
	<-posted
	eventually(t, "the other end can be opened", func() bool {
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK, 0)
		if err == nil {
			_ = unix.Close(fd)
		}
		return err == nil
	})
	require.NoError(t, p.completed(1).Err)
}

// unhashable is a Process that no map can have for a key.
type unhashable struct{ _ []int }

func (unhashable) SendUserMessage(*actor.PID, any)   {}
func (unhashable) SendSystemMessage(*actor.PID, any) {}
func (unhashable) Stop(*actor.PID)                   {}

// TestUnhashableOwner refuses one.
func TestUnhashableOwner(t *testing.T) {
	r := start(t)
	pid, _ := r.system.ProcessRegistry.Add(unhashable{}, "unhashable")
	r.system.Root.Send(r.rm.PID(), &messages.Submit{Op: &messages.Nop{}, ID: messages.OpID{Owner: pid}})
	in := r.inspect()
	require.EqualValues(t, 1, in.Refused)
	require.Zero(t, in.Restarts)
}
