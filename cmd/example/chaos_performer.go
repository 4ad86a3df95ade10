package main

import (
	"errors"
	"iter"
	"maps"
	"runtime/debug"
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// performer is an actor of the chaos. What it does is its role, a function that
// reads as if it blocked: it is a coroutine, which the actor resumes with each
// message and which yields when it has to wait (see script). So nothing blocks,
// and the role may touch what is the actor's.
//
// The performer itself sees to it that the promises are kept, whatever the role
// asks for; see deed.
type performer struct {
	port
	chaos *chaos
	name  string
	role  role

	script  *script
	resume  func() (struct{}, bool)
	release func()
	over    bool // the role has ended, or was cut short

	seq      uint64
	open     map[*deed]struct{} // deeds that have not ended
	handles  map[messages.Handle]struct{}
	legacy   *legacy // gets the handles when it is stopped in the midst
	curtain  bool    // it is to end
	presents []*gift
	dead     map[string]bool // its children that have stopped
	echoes   int
}

// role is what a performer does, and the dice that decide about it.
type role struct {
	dice diceBox
	play func(*script) error
}

// echo is a message to oneself: when it comes, all that was sent before has
// come.
type echo struct{}

// IgnoreDeadLetterLogging: the performer may be stopped meanwhile.
func (*echo) IgnoreDeadLetterLogging() {}

func newPerformer(c *chaos, name string, r role, l *legacy) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor {
		return &performer{
			port: port{owner: c.owner}, chaos: c, name: name, role: r, legacy: l,
			open:    make(map[*deed]struct{}),
			handles: make(map[messages.Handle]struct{}),
			dead:    make(map[string]bool),
		}
	})
}

// Receive implements actor.Actor.
func (p *performer) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		p.begin(ctx)
	case *actor.Stopping:
		p.cut(ctx)
		return
	case *actor.Terminated:
		p.dead[m.Who.Id] = true
	case *curtain:
		p.curtain = true
	case *confess:
		p.confess(ctx)
	case *gift:
		p.presents = append(p.presents, m)
	case *echo:
		p.echoes--
	case *messages.CancelResult:
		m.Token.(*cancelling).answered(m)
	case *messages.Refused:
		p.refused(ctx, m)
	default:
		if !p.receive(ctx) && !p.hear(ctx) {
			return
		}
	}
	p.goOn(ctx)
	p.flush(ctx)
}

// begin starts the role.
func (p *performer) begin(ctx actor.Context) {
	p.self = ctx.Self()
	p.script = &script{performer: p, dice: p.role.dice}
	p.resume, p.release = iter.Pull(func(yield func(struct{}) bool) {
		p.script.yield = yield
		if err := p.role.play(p.script); err != nil && !errors.Is(err, errCut) {
			p.broke("%v", err)
		}
	})
}

// goOn has the role look at what has come. When it has ended, so does the
// actor.
func (p *performer) goOn(ctx actor.Context) {
	if p.over {
		return
	}
	defer p.survive(ctx)
	p.script.ctx = ctx
	if _, more := p.resume(); more {
		return
	}
	p.over = true
	if len(p.open) > 0 || len(p.handles) > 0 {
		p.broke("has ended with %d operations in flight and %d handles open", len(p.open), len(p.handles))
	}
	ctx.Stop(p.self)
}

// survive is deferred where the role may fail, which would have the actor
// restarted. Instead it is a broken promise, and the actor's end.
func (p *performer) survive(ctx actor.Context) {
	if reason := recover(); reason != nil {
		p.over = true
		p.broke("%v\n%s", reason, debug.Stack())
		ctx.Stop(p.self)
	}
}

// cut ends the role where it is: the actor stops. If somebody else had it stop,
// its handles are left to be closed.
func (p *performer) cut(ctx actor.Context) {
	defer p.survive(ctx)
	if !p.over && p.legacy != nil {
		p.legacy.handles = slices.Collect(maps.Keys(p.handles))
	}
	p.over = true
	p.release()
}

// refused ends what the ring owner crashed over: the role will ask again. All
// else is the port's.
func (p *performer) refused(ctx actor.Context, m *messages.Refused) {
	if !errors.Is(m.Err, messages.ErrRestarted) {
		p.port.refused(ctx, m)
		return
	}
	m.Token.(*request).asker.(*deed).refusedBy(m)
}

// hear takes the last words of operation actors. It says whether the message
// was one.
func (p *performer) hear(ctx actor.Context) bool {
	switch m := ctx.Message().(type) {
	case *actors.OpDone[messages.Handle]:
		m.Token.(*hireling).done(m.Err, m.Value)
	case *actors.OpDone[*messages.Attributes]:
		m.Token.(*hireling).done(m.Err, messages.Handle{})
	case *actors.OpDone[messages.None]:
		m.Token.(*hireling).done(m.Err, messages.Handle{})
	case *actors.OpDone[[]byte]:
		m.Token.(*hireling).done(m.Err, messages.Handle{})
	default:
		return false
	}
	return true
}

// confess says what the performer waits for, and has its children do so.
func (p *performer) confess(ctx actor.Context) {
	for d := range p.open {
		p.broke("waits for %s", d)
	}
	for _, child := range ctx.Children() {
		ctx.Send(child, &confess{})
	}
}

// broke notes a broken promise.
func (p *performer) broke(format string, args ...any) {
	p.chaos.ledger.broke(p.name+": "+format, args...)
}
