//go:build linux

package main

import (
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// moody is a ring owner that refuses what it gets, for one reason after the
// other, before it completes it.
type moody struct {
	reasons []error
	taken   int
}

func (m *moody) Receive(ctx actor.Context) {
	switch message := ctx.Message().(type) {
	case *messages.Submit:
		m.take(ctx, message)
	case *messages.SubmitBatch:
		for _, submit := range message.Submits {
			m.take(ctx, submit)
		}
	}
}

func (m *moody) take(ctx actor.Context, submit *messages.Submit) {
	m.taken++
	if len(m.reasons) == 0 {
		*submit.Into = messages.Completion{ID: submit.ID, Token: submit.Token, Op: submit.Op}
		ctx.Send(submit.ID.Owner, submit.Into)
		return
	}
	reason := m.reasons[0]
	m.reasons = m.reasons[1:]
	ctx.Send(submit.ID.Owner, &messages.Refused{
		ID: submit.ID, Token: submit.Token, Op: submit.Op,
		Err: &messages.OpError{Op: "nop", Err: reason, Why: messages.ErrRefused},
	})
	if reason == messages.ErrOverloaded || reason == messages.ErrQuota {
		ctx.Send(submit.ID.Owner, &messages.Ready{})
	}
}

// patient asks once and notes the answer.
type patient struct {
	port
	request
	answers chan error
}

func (p *patient) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
		p.self, p.asker = ctx.Self(), p
		p.ask(&p.request, 0, &messages.Nop{})
	default:
		p.receive(ctx)
	}
	p.flush(ctx)
}

func (p *patient) answered(actor.Context, *request) { p.answers <- p.answer.Err }

// silentSystem is an actor system that logs nothing.
func silentSystem() *actor.ActorSystem {
	return actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
		actor.WithDeadLetterThrottleInterval(throttleFor),
	)
}

// TestBugEndsTheJob has actors fail over answers that lack their results: the
// job is to end with an error, and not to wait for ever.
func TestBugEndsTheJob(t *testing.T) {
	system := silentSystem()
	owner := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return &moody{} }))
	for name, mode := range map[string]fs.FileMode{"director": fs.ModeDir, "copier": 0} {
		t.Run(name, func(t *testing.T) {
			job := &copyJob{
				plan:  plan{source: "/source", attributes: &messages.Attributes{Mode: mode}},
				owner: owner,
				tally: &tally{},
				done:  make(chan error, 1),
			}
			system.Root.Spawn(newDirector(job))
			if err := <-job.done; err == nil {
				t.Error("no error")
			}
		})
	}
	t.Run("indexer", func(t *testing.T) {
		g := &globals{stdout: io.Discard, stderr: io.Discard}
		job := &sumJob{owner: owner, list: newListing(g, []string{"/source"}), done: make(chan error, 1)}
		system.Root.Spawn(newIndexer(job))
		if err := <-job.done; err == nil {
			t.Error("no error")
		}
	})
}

func TestPortAsksAgain(t *testing.T) {
	passing := []error{messages.ErrRestarted, messages.ErrOverloaded, messages.ErrQuota, messages.ErrRestarted}
	tests := []struct {
		name    string
		reasons []error
		want    error
		taken   int
	}{
		{"accepted", nil, nil, 1},
		{"refused for reasons that pass", passing, nil, 5},
		{"refused for good", []error{messages.ErrStopped}, messages.ErrStopped, 1},
		{"refused for good at last", append(slices.Clone(passing), messages.ErrBadHandle), messages.ErrBadHandle, 5},
	}
	system := silentSystem()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			owner := &moody{reasons: slices.Clone(test.reasons)}
			pid := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return owner }))
			p := &patient{port: port{owner: pid}, answers: make(chan error, 2)}
			self := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return p }))
			if err := <-p.answers; !matches(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			check(t, system.Root.StopFuture(self).Wait())
			check(t, system.Root.StopFuture(pid).Wait())
			if owner.taken != test.taken || len(p.answers) != 0 {
				t.Errorf("asked %d times, answered %d times more", owner.taken, len(p.answers))
			}
		})
	}
}
