//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// liar is a ring owner that breaks a promise in a way of its own.
type liar struct {
	submit func(actor.Context, *messages.Submit)
	cancel func(actor.Context, *messages.Cancel)
}

func (l *liar) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *messages.Submit:
		l.submit(ctx, m)
	case *messages.Cancel:
		l.cancel(ctx, m)
	case *relay:
		ctx.Send(m.to, &echo{})
	}
}

// relay has a ring owner send an echo.
type relay struct{ to *actor.PID }

// heard waits until all that the ring owner has to say so far has come.
func heard(s *script) error {
	s.echoes++
	s.ctx.Send(s.owner, &relay{s.self})
	return s.wait(func() bool { return s.echoes == 0 })
}

// complete answers a Submit as a ring owner does.
func complete(ctx actor.Context, m *messages.Submit, err error) {
	*m.Into = messages.Completion{ID: m.ID, Token: m.Token, Op: m.Op, Err: err}
	ctx.Send(m.ID.Owner, m.Into)
}

func failure(why error) error {
	return &messages.OpError{Op: "read", Err: syscall.ECANCELED, Why: why}
}

// TestPerformerSeesLies has a performer deal with ring owners that break one
// promise each.
func TestPerformerSeesLies(t *testing.T) {
	read := func() *messages.Read { return &messages.Read{Buf: make([]byte, 8)} }
	once := func(s *script) error {
		d := s.begin(read())
		if err := s.end(d); err != nil {
			return err
		}
		return heard(s)
	}
	cancelled := func(s *script) error {
		d := s.begin(read())
		if err := errors.Join(s.answers(s.cancel(d)), s.end(d)); err != nil {
			return err
		}
		return heard(s)
	}
	quietly := func(actor.Context, *messages.Submit) {}
	var held *messages.Submit
	hold := func(_ actor.Context, m *messages.Submit) { held = m }
	for _, test := range []struct {
		name string
		liar liar
		role func(*script) error
		want string // "" when the promise is kept
	}{
		{"the truth", liar{submit: func(ctx actor.Context, m *messages.Submit) { complete(ctx, m, nil) }}, once, ""},
		{"the truth of a cancellation", liar{submit: hold, cancel: func(ctx actor.Context, m *messages.Cancel) {
			complete(ctx, held, failure(context.Canceled))
			ctx.Send(m.ID.Owner, &messages.CancelResult{ID: m.ID, Token: m.Token, Outcome: messages.Cancelled, Count: 1})
		}}, cancelled, ""},
		{"two answers", liar{submit: func(ctx actor.Context, m *messages.Submit) {
			complete(ctx, m, nil)
			ctx.Send(m.ID.Owner, m.Into)
		}}, once, "answered twice"},
		{"an answer and a refusal", liar{submit: func(ctx actor.Context, m *messages.Submit) {
			complete(ctx, m, nil)
			ctx.Send(m.ID.Owner, &messages.Refused{ID: m.ID, Token: m.Token, Op: m.Op, Err: messages.ErrRestarted})
		}}, once, "refused after its end"},
		{"another operation", liar{submit: func(ctx actor.Context, m *messages.Submit) {
			m.Op = read()
			complete(ctx, m, nil)
		}}, once, "another operation"},
		{"another buffer", liar{submit: func(ctx actor.Context, m *messages.Submit) {
			m.Op.(*messages.Read).Buf = make([]byte, 8)
			complete(ctx, m, nil)
		}}, once, "another buffer"},
		{"a shorter buffer", liar{submit: func(ctx actor.Context, m *messages.Submit) {
			op := m.Op.(*messages.Read)
			op.Buf = op.Buf[:7]
			complete(ctx, m, nil)
		}}, once, "another buffer"},
		{"an update", liar{submit: func(ctx actor.Context, m *messages.Submit) {
			*m.Into = messages.Completion{Token: m.Token, Op: m.Op, More: true}
			ctx.Send(m.ID.Owner, m.Into)
		}}, once, "an update"},
		{"an unknown outcome", liar{submit: func(ctx actor.Context, m *messages.Submit) {
			complete(ctx, m, failure(messages.ErrOutcomeUnknown))
		}}, once, "unknown outcome"},
		{"a ring that is not given its time", liar{submit: func(ctx actor.Context, m *messages.Submit) {
			complete(ctx, m, failure(messages.ErrRingLost))
		}}, once, "cancelled with its ring"},
		{"an operation that a ring was not left to end", liar{submit: func(ctx actor.Context, m *messages.Submit) {
			complete(ctx, m, failure(messages.ErrRingLost))
		}}, func(s *script) error {
			d := s.beginBy(read(), time.Time{})
			d.prompt, d.began = true, d.began.Add(-2*drainTime)
			return s.end(d)
		}, "cancelled with its ring"},
		{"the truth about a ring whose time was up", liar{submit: func(ctx actor.Context, m *messages.Submit) {
			complete(ctx, m, failure(messages.ErrRingLost))
		}}, func(s *script) error {
			d := s.begin(read())
			d.began = d.began.Add(-2 * drainTime)
			return s.end(d)
		}, ""},
		{"a deadline that nobody set", liar{submit: func(ctx actor.Context, m *messages.Submit) {
			complete(ctx, m, failure(context.DeadlineExceeded))
		}}, once, "before its deadline"},
		{"a deadline too early", liar{submit: func(ctx actor.Context, m *messages.Submit) {
			complete(ctx, m, failure(context.DeadlineExceeded))
		}}, func(s *script) error { return s.end(s.beginBy(read(), time.Now().Add(time.Hour))) }, "before its deadline"},
		{"a cancellation that comes first", liar{submit: quietly, cancel: func(ctx actor.Context, m *messages.Cancel) {
			ctx.Send(m.ID.Owner, &messages.CancelResult{ID: m.ID, Token: m.Token, Outcome: messages.Cancelled, Count: 1})
		}}, cancelled, "open when its cancellation is answered"},
		{"an answer after the cancellation", liar{submit: hold, cancel: func(ctx actor.Context, m *messages.Cancel) {
			ctx.Send(m.ID.Owner, &messages.CancelResult{ID: m.ID, Token: m.Token, Outcome: messages.Cancelled, Count: 1})
			complete(ctx, held, nil)
		}}, cancelled, "answered after its cancellation"},
		{"a cancellation that finds nothing", liar{submit: hold, cancel: func(ctx actor.Context, m *messages.Cancel) {
			complete(ctx, held, nil)
			ctx.Send(m.ID.Owner, &messages.CancelResult{ID: m.ID, Token: m.Token})
		}}, cancelled, "not found"},
		{"two cancellations", liar{submit: hold, cancel: func(ctx actor.Context, m *messages.Cancel) {
			complete(ctx, held, failure(context.Canceled))
			for range 2 {
				ctx.Send(m.ID.Owner, &messages.CancelResult{ID: m.ID, Token: m.Token, Outcome: messages.Cancelled, Count: 1})
			}
		}}, cancelled, "cancellation is answered twice"},
		{"a handle that is left open", liar{submit: func(ctx actor.Context, m *messages.Submit) {
			*m.Into = messages.Completion{ID: m.ID, Token: m.Token, Op: m.Op, Handle: messages.NewHandle(1, 2)}
			ctx.Send(m.ID.Owner, m.Into)
		}}, func(s *script) error { return s.end(s.begin(&messages.Adopt{File: os.Stdin})) }, "1 handles open"},
		{"a role that fails", liar{}, func(*script) error { panic("bug") }, "bug"},
		{"a role that gives up", liar{}, func(s *script) error { return fmt.Errorf("sorry") }, "sorry"},
	} {
		t.Run(test.name, func(t *testing.T) { lie(t, test.liar, test.role, test.want) })
	}
}

// lie runs one performer on a liar, until it has stopped.
func lie(t *testing.T, l liar, play func(*script) error, want string) {
	t.Helper()
	// A lie may be told to the dead, of which protoactor keeps count for a while.
	system := actor.NewActorSystem(actor.WithDeadLetterThrottleInterval(time.Millisecond),
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	owner := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return &l }))
	c := &chaos{owner: owner, options: chaosOptions{policy: actors.Drain}}
	c.ledger.acts = make([]atomic.Uint64, len(acts))
	c.pauses.init()
	pid := system.Root.Spawn(newPerformer(c, "performer", role{newDice(1, 1), play}, nil))
	stopped := make(chan struct{})
	system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch ctx.Message().(type) {
		case *actor.Started:
			ctx.Watch(pid)
		case *actor.Terminated:
			close(stopped)
		}
	}))
	select {
	case <-stopped:
	case <-time.After(10 * time.Second):
		t.Fatal("the performer does not end")
	}
	check(t, system.Root.StopFuture(owner).Wait())
	switch said := c.ledger.said(); {
	case want == "" && said != "":
		t.Errorf("complains without a reason:\n%s", said)
	case !strings.Contains(said, want):
		t.Errorf("no %q in:\n%s", want, said)
	}
}
