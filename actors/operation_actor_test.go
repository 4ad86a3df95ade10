package actors_test

import (
	"context"
	"os"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// spawnOp has a requester spawn an operation actor.
func spawnOp[R any](q *requester, op messages.Operation[R], token any) *actor.PID {
	q.r.t.Helper()
	spawned := make(chan *actor.PID, 1)
	q.r.system.Root.Send(q.pid, do(func(ctx actor.Context) {
		spawned <- actors.SpawnOp(ctx, q.r.rm.Client(), op, token)
	}))
	return <-spawned
}

// done waits for the OpDone of an operation actor, and for its end. The latter
// is a system message, and may overtake.
func done[R any](q *requester, pid *actor.PID) *actors.OpDone[R] {
	q.r.t.Helper()
	var d *actors.OpDone[R]
	for range 2 {
		switch m := q.next().(type) {
		case *actors.OpDone[R]:
			d = m
		case *actor.Terminated:
			require.Equal(q.r.t, pid, m.Who)
		default:
			q.r.t.Fatalf("unexpected %T", m)
		}
	}
	require.NotNil(q.r.t, d)
	require.Equal(q.r.t, pid, d.PID)
	return d
}

func TestOperationActor(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	file := q.regular()
	op := &messages.Read{Handle: file, Buf: make([]byte, 4)}
	pid := spawnOp(q, op, "token")
	k.CompleteRead(k.Next(t, ring.CodeRead), "abcd")
	d := done[[]byte](q, pid)
	require.NoError(t, d.Err)
	require.Equal(t, "abcd", string(d.Value))
	require.Equal(t, "token", d.Token)
	require.Same(t, op, d.Op)
	require.Len(t, k.Consumed(), 1)
	r.system.Root.Send(pid, &actors.CancelOp{}) // too late is no matter
	q.silent()

	pid = spawnOp(q, &messages.Mkdir{Path: "/x"}, nil)
	k.Complete(k.Next(t, ring.CodeMkdir).Name, -int32(unix.EEXIST), 0)
	failed := done[messages.None](q, pid)
	require.ErrorIs(t, failed.Err, os.ErrExist)
	require.NotNil(t, failed.Op)
	q.silent()
}

func TestOperationActorThatIsRefused(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	op := &messages.Read{Buf: make([]byte, 4)}
	d := done[[]byte](q, spawnOp(q, op, 1))
	require.ErrorIs(t, d.Err, messages.ErrBadHandle)
	require.ErrorIs(t, d.Err, messages.ErrRefused)
	require.Same(t, op, d.Op)
	require.Nil(t, d.Value)
	require.Equal(t, 1, d.Token)
	q.silent()
	require.Empty(t, r.kernel(1).Consumed())
}

func TestOperationActorIsCancelled(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	pid := spawnOp(q, &messages.Nop{}, nil)
	k.Next(t, ring.CodeNop)
	r.system.Root.Send(pid, &actors.CancelOp{})
	r.system.Root.Send(pid, &actors.CancelOp{})
	d := done[messages.None](q, pid)
	require.ErrorIs(t, d.Err, context.Canceled)
	require.NotNil(t, d.Op)
	q.silent()
}

// TestOperationActorIsStopped, by itself or with its parent: its operation is
// abandoned, and what a late success brings is undone.
func TestOperationActorIsStopped(t *testing.T) {
	for name, alone := range map[string]bool{"alone": true, "with its parent": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, manual)
			q := r.requester()
			k := r.kernel(1)
			pid := spawnOp(q, &messages.Open{Path: "/slow", Flags: os.O_RDONLY}, nil)
			op := k.Next(t, ring.CodeOpen)
			if alone {
				require.NoError(t, r.system.Root.StopFuture(pid).Wait())
				expect[*actor.Terminated](q)
			} else {
				q.stop()
			}
			cancel := k.Next(t, ring.CodeCancel)
			require.EqualValues(t, op.Name, cancel.Off)
			fd, isOpen := r.descriptor()
			k.Complete(op.Name, fd, 0)
			r.until("the late descriptor is closed", func() bool { return !isOpen() })
			k.Complete(cancel.Name, notFound, 0)
			if alone {
				q.silent()
			}
			r.until("nothing is left", func() bool { return r.glass.Look().Empty() })
		})
	}
}

// TestOperationActorGivesItsHandle to the parent, whose own it then is.
func TestOperationActorGivesItsHandle(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	pid := spawnOp(q, &messages.Open{Path: "/x", Flags: os.O_RDWR}, nil)
	fd, isOpen := r.descriptor()
	k.Complete(k.Next(t, ring.CodeOpen).Name, fd, 0)
	d := done[messages.Handle](q, pid)
	require.NoError(t, d.Err)
	require.True(t, isOpen(), "it does not die with the operation actor")
	id := q.send(&messages.Fsync{Handle: d.Value})
	k.Complete(k.Next(t, ring.CodeFsync).Name, 0, 0)
	q.succeeds(id)
	q.stop()
	r.until("it dies with the parent", func() bool { return !isOpen() })
}

// TestOperationActorIsStoppedWhileGiving: the handle is the parent's already,
// who has not been told of it.
func TestOperationActorIsStoppedWhileGiving(t *testing.T) {
	var victim atomic.Pointer[actor.PID]
	var deliveries atomic.Int32
	var r *rig
	r = newRig(t, config(func(c *actors.Config) {
		c.Failpoint = func(point actors.Failpoint, _ int) {
			if point == actors.FailDelivering && victim.Load() != nil && deliveries.Add(1) == 2 {
				r.system.Root.Stop(victim.Load()) // it overtakes the answer to the Give
			}
		}
	}))
	q := r.requester()
	k := r.kernel(1)
	pid := spawnOp(q, &messages.Open{Path: "/x", Flags: os.O_RDWR}, nil)
	victim.Store(pid)
	taken := k.Next(t, ring.CodeOpen)
	fd, isOpen := r.descriptor()
	k.Complete(taken.Name, fd, 0)
	told := false
	for {
		m := q.next()
		if _, over := m.(*actor.Terminated); over {
			break
		}
		_, told = m.(*actors.OpDone[messages.Handle])
	}
	if !told {
		r.until("a handle that nobody knows of is closed", func() bool { return !isOpen() })
	}
}

// TestRestartedOperationActor performs nothing again, whatever has it restarted.
func TestRestartedOperationActor(t *testing.T) {
	for name, fails := range map[string]func(message any) bool{
		"over the completion": func(m any) bool { _, is := m.(*messages.Completion); return is },
		"in flight":           func(m any) bool { return m == "fail" },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			q := r.requester()
			k := r.kernel(1)
			_, out := q.pipe()
			failing := actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
				return func(c actor.ReceiverContext, e *actor.MessageEnvelope) {
					if fails(e.Message) {
						panic("a middleware fails")
					}
					next(c, e)
				}
			})
			spawned := make(chan *actor.PID, 1)
			r.system.Root.Send(q.pid, do(func(ctx actor.Context) {
				spawned <- actors.SpawnOp(ctx, r.rm.Client(), &messages.Write{Handle: out, Buf: []byte("once")}, "token", failing)
			}))
			pid := <-spawned
			write := k.Next(t, ring.CodeWrite)
			if name == "in flight" {
				r.system.Root.Send(pid, "fail")
			} else {
				k.Complete(write.Name, 4, 0)
			}
			d := done[int](q, pid)
			require.ErrorIs(t, d.Err, messages.ErrOutcomeUnknown)
			require.Nil(t, d.Op)
			require.Equal(t, "token", d.Token)
			if name == "in flight" {
				k.TryComplete(write.Name, 4, 0)
			}
			r.until("it is over", func() bool { r.letGo(); return r.glass.Look().Live == 0 })
			for _, taken := range k.Consumed() {
				if taken.Code == ring.CodeWrite {
					require.Equal(t, write.Name, taken.Name, "it is performed again")
				}
			}
			q.silent()
		})
	}
}

// TestDonePastMiddleware: the parent is told, whatever the operation actor's own
// middleware does to what it sends.
func TestDonePastMiddleware(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	failing := actor.WithSenderMiddleware(func(next actor.SenderFunc) actor.SenderFunc {
		return func(c actor.SenderContext, to *actor.PID, e *actor.MessageEnvelope) {
			if to.Equal(q.pid) {
				panic("a middleware fails")
			}
			next(c, to, e)
		}
	})
	spawned := make(chan *actor.PID, 1)
	r.system.Root.Send(q.pid, do(func(ctx actor.Context) {
		spawned <- actors.SpawnOp(ctx, r.rm.Client(), &messages.Nop{}, "token", failing)
	}))
	pid := <-spawned
	k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	require.NoError(t, done[messages.None](q, pid).Err)
	q.silent()
}
