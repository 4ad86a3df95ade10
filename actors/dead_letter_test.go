package actors_test

import (
	"context"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// holdUp is a process that holds up whoever delivers to it, until it is opened,
// and keeps what it is sent.
type holdUp struct {
	inside chan struct{} // told of each delivery before it waits
	open   chan struct{}
	inbox  chan any
}

func (p *holdUp) SendUserMessage(_ *actor.PID, message any) {
	select {
	case p.inside <- struct{}{}:
	default:
	}
	if _, result := message.(*messages.CancelResult); !result {
		<-p.open
	}
	p.inbox <- message
}

func (p *holdUp) SendSystemMessage(*actor.PID, any) {}

func (p *holdUp) Stop(*actor.PID) {}

// TestCancelAfterTheEnd: a Cancel that finds no ring owner any more, only its
// last work or not even that, is answered after the Completion all the same, which
// the requester may be slow to take.
func TestCancelAfterTheEnd(t *testing.T) {
	for name, ended := range map[string]bool{"with work left": false, "with nothing left": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, manual, config(short))
			q := r.requester()
			k := r.kernel(1)
			slow := &holdUp{inside: make(chan struct{}, 1), open: make(chan struct{}), inbox: make(chan any, 8)}
			pid, _ := r.system.ProcessRegistry.Add(slow, "slow")
			defer r.system.ProcessRegistry.Remove(pid)
			id := messages.OpID{Owner: pid, Seq: 1}
			r.system.Root.Send(r.pid, &messages.Submit{ID: id, Op: &messages.Nop{}})
			k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
			<-slow.inside // its Completion is on the way
			q.send(&messages.Nop{})
			hangs := k.Next(t, ring.CodeNop) // and so the ring cannot be closed

			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, err := r.rm.Shutdown(ctx)
			require.Error(t, err)
			r.over = true
			require.ErrorIs(t, expect[*messages.Completion](q).Err, messages.ErrOutcomeUnknown)
			answered, closed := r.glass.Answers()
			<-answered
			end := func() {
				k.TryComplete(hangs.Name, canceled, 0)
				r.letGo()
				<-closed
			}
			if ended {
				end()
			}
			r.system.Root.Send(r.pid, &messages.Cancel{ID: id})
			if !ended {
				r.glass.Look() // it has been taken
			}
			require.Empty(t, slow.inbox, "something has overtaken the Completion")
			close(slow.open)
			require.Equal(t, id, (<-slow.inbox).(*messages.Completion).ID)
			result := (<-slow.inbox).(*messages.CancelResult)
			require.Equal(t, id, result.ID)
			require.NotEqual(t, messages.Cancelled, result.Outcome)
			if !ended {
				end()
			}
		})
	}
}

// TestCancelByAFutureAfterTheStop: what a future asks for of a ring owner whose
// actor has stopped is answered, to whom it names, after the operation that the
// engine still has. The future has had its answer from protoactor.
func TestCancelByAFutureAfterTheStop(t *testing.T) {
	for name, ask := range map[string]func(id messages.OpID) any{
		"reply to": func(id messages.OpID) any { return &messages.Cancel{ID: id, ReplyTo: id.Owner} },
		"owner":    func(id messages.OpID) any { return &messages.Cancel{ID: id} },
		"all":      func(id messages.OpID) any { return &messages.CancelOwner{Owner: id.Owner} },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, manual, config(func(c *actors.Config) { c.ShutdownGrace = time.Hour }))
			q := r.requester()
			k := r.kernel(1)
			id := q.send(&messages.Nop{})
			op := k.Next(t, ring.CodeNop)

			over := make(chan struct{})
			go func() {
				defer close(over)
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				_, _ = r.rm.Shutdown(ctx)
			}()
			asked := k.Next(t, ring.CodeCancel)
			r.until("the actor has stopped", func() bool {
				_, there := r.system.ProcessRegistry.Get(r.pid)
				return !there
			})

			future := actor.NewFuture(r.system, patience)
			r.system.Root.RequestWithCustomSender(r.pid, ask(id), future.PID())
			_, err := future.Result()
			require.ErrorIs(t, err, actor.ErrDeadLetter)
			q.silent()
			k.Complete(op.Name, canceled, 0)
			k.Complete(asked.Name, 0, 0)
			q.completion(id)
			result := expect[*messages.CancelResult](q)
			require.Equal(t, messages.Cancelled, result.Outcome)
			require.Equal(t, q.pid, result.ID.Owner)
			within(t, over, "the shutdown")
			r.over = true
		})
	}
}

// TestRefusedAtTheDoor: an actor whose mailbox is bounded sends more than the
// ring owner lets in, and gets its refusals when it looks. It would wait for
// itself if they were put into its mailbox on its own stack.
func TestRefusedAtTheDoor(t *testing.T) {
	const submits = 64
	for name, when := range map[string]func(r *rig, post func()){
		"of one that has ended": func(r *rig, post func()) {
			_, err := r.rm.Shutdown(context.Background())
			require.NoError(r.t, err)
			r.over = true
			post()
		},
		"of one that is busy": func(r *rig, post func()) { r.glass.Hold(post) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, config(func(c *actors.Config) { c.InFlight, c.Queue = 4, 4 }))
			answerAll(r, r.kernel(1))
			sent := make(chan struct{})
			answers := make(chan any, submits)
			pid := r.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
				switch m := ctx.Message().(type) {
				case do:
					for range submits {
						// Without a sender: protoactor itself would put its
						// DeadLetterResponse there on his stack.
						ctx.Send(r.pid, &messages.Submit{ID: messages.OpID{Owner: ctx.Self()}, Op: &messages.Nop{}})
					}
					close(sent)
				case *messages.Refused, *messages.Completion:
					answers <- m
				}
			}, actor.WithMailbox(actor.Bounded(8))))
			when(r, func() {
				r.system.Root.Send(pid, do(nil))
				within(t, sent, "the actor to have sent its Submits")
			})
			for range submits {
				within(t, answers, "an answer")
			}
			require.NoError(t, r.system.Root.StopFuture(pid).Wait())
		})
	}
}

// within waits for something to come, or to be closed.
func within[T any](t *testing.T, c <-chan T, what string) (came T) {
	t.Helper()
	select {
	case came = <-c:
	case <-time.After(patience):
		t.Fatal("waited in vain for ", what)
	}
	return came
}
