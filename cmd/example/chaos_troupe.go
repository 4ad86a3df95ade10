package main

import (
	"fmt"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// troupe is the actor that keeps the performers: it has them begin, stops some
// in the midst of their work, puts new ones in their places, and has all of them
// come to an end.
type troupe struct {
	chaos   *chaos
	dice    diceBox
	members map[string]*member // by the name of their actors
	lives   []int              // how many performers each place has had
	closing bool
	swept   bool
}

// member is a performer as the troupe sees it.
type member struct {
	pid    *actor.PID
	place  int
	killed bool
	legacy *legacy
}

// legacy is what a performer that was stopped in the midst leaves behind. It is
// its own until it has stopped, then its successor's.
type legacy struct {
	dir     string            // with files in it
	handles []messages.Handle // that are to be closed
}

// cast says who performs, so that performers find each other.
type cast struct {
	places []atomic.Pointer[actor.PID]
	done   chan struct{} // closed when all of them have stopped
}

func newCast(places int) *cast {
	return &cast{places: make([]atomic.Pointer[actor.PID], places), done: make(chan struct{})}
}

// What the troupe is told, and passes on.
type (
	// killOne has one performer stopped.
	killOne struct{}
	// curtain has all performers end when they have done what they are at.
	curtain struct{}
	// confess has performers say what they wait for.
	confess struct{}
)

// IgnoreDeadLetterLogging: a performer may have stopped just before.
func (*curtain) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging as well.
func (*confess) IgnoreDeadLetterLogging() {}

func newTroupe(c *chaos) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor {
		return &troupe{
			chaos:   c,
			dice:    newDice(c.options.seed, 0),
			members: make(map[string]*member),
			lives:   make([]int, c.options.actors),
		}
	})
}

// Receive implements actor.Actor.
func (t *troupe) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		for place := range t.lives {
			t.engage(ctx, place, nil)
		}
		t.spawn(ctx, &member{place: -1}, "the probe", role{t.dice.deriveDice(), t.chaos.probe.perform})
	case *killOne:
		t.kill(ctx)
	case *curtain:
		t.closing = true
		t.tell(ctx, m)
	case *confess:
		t.tell(ctx, m)
	case *actor.Terminated:
		t.left(ctx, m.Who)
	}
}

// engage begins the next life in a place.
func (t *troupe) engage(ctx actor.Context, place int, from *legacy) {
	t.lives[place]++
	life := t.lives[place]
	m := &member{place: place, legacy: &legacy{dir: fmt.Sprintf("%d.%d", place, life)}}
	work := &work{legacy: m.legacy, predecessor: from}
	name := fmt.Sprintf("actor %d, life %d", place, life)
	t.spawn(ctx, m, name, role{
		dice: newDice(t.chaos.options.seed, uint64(place+1)<<32|uint64(life)),
		play: work.perform,
	})
	t.chaos.cast.places[place].Store(m.pid)
}

func (t *troupe) spawn(ctx actor.Context, m *member, name string, r role) {
	m.pid = ctx.Spawn(newPerformer(t.chaos, name, r, m.legacy))
	t.members[m.pid.Id] = m
}

// kill stops a performer, whatever it is at.
func (t *troupe) kill(ctx actor.Context) {
	pid := t.chaos.cast.places[t.dice.IntN(len(t.lives))].Load()
	m := t.members[pid.Id]
	if t.closing || m == nil || m.killed {
		return
	}
	m.killed = true
	t.chaos.ledger.killed.Add(1)
	ctx.Stop(pid)
}

func (t *troupe) tell(ctx actor.Context, message any) {
	for _, m := range t.members {
		ctx.Send(m.pid, message)
	}
}

// left takes note of a performer that has stopped. When the last one has, what
// the killed ones have left is swept up, by one performer more.
func (t *troupe) left(ctx actor.Context, who *actor.PID) {
	m := t.members[who.Id]
	delete(t.members, who.Id)
	switch {
	case t.closing && len(t.members) > 0:
	case t.closing && t.swept:
		close(t.chaos.cast.done)
		ctx.Stop(ctx.Self())
	case t.closing:
		t.swept = true
		t.spawn(ctx, &member{place: -1}, "the sweeper", role{t.dice.deriveDice(), sweepAll})
	case m.killed:
		t.engage(ctx, m.place, m.legacy)
	default:
		t.chaos.ledger.broke("actor %d has stopped by itself", m.place)
	}
}
