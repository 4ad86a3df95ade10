package supervisor

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// supervisor is the actor between the user's and the ring owner. It spawns the
// ring owner, and restarts it when it fails: at once if it had worked since it
// started, later and later if it had not. When that has gone on for too long it
// has the ring owner do without a ring, and try for one now and then. A ring that
// comes of this and fails before it has worked is given up at once: everybody waits
// as long as it is tried. So the next try is later, too.
type supervisor struct {
	owner  *actors.RingOwner
	config actors.Config
	herald *actors.Herald
	self   *actor.PID
	child  *actor.PID
	// barren counts the restarts in a row after which nothing was achieved,
	// and worked is how much had been at the last one.
	barren int
	worked uint64
	// probation: no ring has worked since the last time that there was none to be
	// had. retry is how long it is then until the next try.
	probation bool
	retry     time.Duration
	// restart is the alarm that ends a back-off, and try the one for the next try
	// for a ring, if they are set.
	restart *alarm
	try     *alarm
}

var _ actor.SupervisorStrategy = (*supervisor)(nil)

func newProps(system *actor.ActorSystem, owner *actors.RingOwner, config actors.Config) *actor.Props {
	herald := actors.NewHerald(system, config.Logger, config.Crew.Go)
	producer := func() actor.Actor {
		return &supervisor{owner: owner, config: config, herald: herald, retry: config.RingRetry}
	}
	return actor.PropsFromProducer(producer, append([]actor.PropsOption{actor.WithMailbox(newMailbox)}, config.PropsOptions...)...)
}

// alarm is what the supervisor sends itself at some later time. It counts only
// for the one who has set it, as long as it has: by then the name may be another's.
type alarm struct{ timer actors.Timer }

// IgnoreDeadLetterLogging: the supervisor may have stopped meanwhile.
func (*alarm) IgnoreDeadLetterLogging() {}

// Receive implements actor.Actor.
func (s *supervisor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.start(ctx)
	case *actor.Stopping, *actor.Restarting:
		s.unset(&s.restart)
		s.unset(&s.try)
	case *actor.Terminated:
		// Somebody stopped the ring owner: without it there is no subsystem, and
		// the name becomes free.
		ctx.Stop(ctx.Self())
	case *alarm:
		s.rings(m, ctx)
	}
}

// rings is for an alarm whose time has come.
func (s *supervisor) rings(a *alarm, ctx actor.Context) {
	switch a {
	case s.restart:
		s.restart = nil
		if family, ok := ctx.(actor.Supervisor); ok {
			family.RestartChildren(s.child)
		}
	case s.try:
		s.try = nil
		s.tryRing(ctx.ActorSystem())
	}
}

func (s *supervisor) start(ctx actor.Context) {
	s.self = ctx.Self()
	if !s.owner.Claim() { // this actor itself has failed: its child was stopped with it
		ctx.Stop(s.self)
		return
	}
	child, err := ctx.SpawnNamed(s.owner.Props(), ownerName)
	if err != nil {
		panic(err) // the name is below our own: nobody else can have it
	}
	s.child = child
}

// HandleFailure implements actor.SupervisorStrategy: protoactor calls it in
// the supervisor's own turn.
func (s *supervisor) HandleFailure(system *actor.ActorSystem, family actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	delay := s.delay()
	degrade := s.barren > 0 && (s.probation || s.barren > s.config.RestartLimit) && !s.owner.Degraded()
	if degrade {
		delay = 0 // what serves without a ring need not wait
	}
	news := []any{
		&actor.SupervisorEvent{Child: child, Reason: reason, Directive: actor.RestartDirective},
		&messages.OwnerFailedEvent{Owner: child, Reason: reason, Barren: s.barren, RestartIn: delay},
	}
	if degrade {
		s.degrade(system)
		news = append(news, &messages.DegradedEvent{Owner: child, Reason: reason})
	}
	if delay == 0 {
		s.unset(&s.restart)
		family.RestartChildren(child)
	} else {
		s.set(&s.restart, system, delay)
	}
	s.herald.Announce(news...)
}

// delay is how long a restart is to wait: not at all for a ring owner that has
// completed something since its last failure.
func (s *supervisor) delay() time.Duration {
	worked := s.owner.Worked()
	if worked != s.worked {
		s.worked, s.barren = worked, 0
		if !s.owner.Degraded() { // it was a ring, not the fallback
			s.probation, s.retry = false, s.config.RingRetry
		}
		return 0
	}
	if s.barren++; s.barren == 1 {
		return 0
	}
	d := s.config.BackOffFirst
	for n := 2; n < s.barren && d < s.config.BackOffLast; n++ {
		d *= 2
	}
	return s.jitter(min(d, s.config.BackOffLast))
}

// jitter shortens a wait by up to half: what failed together shall not come
// back together.
func (s *supervisor) jitter(d time.Duration) time.Duration {
	return d - time.Duration(s.config.Crew.Random()%uint64(d/2+1))
}

// retryMost is how many times RingRetry the wait for the next try may become.
const retryMost = 64

// degrade has the ring owner go on without a ring, from its next start on.
func (s *supervisor) degrade(system *actor.ActorSystem) {
	s.owner.Degrade()
	if s.probation {
		s.retry = min(2*s.retry, retryMost*s.config.RingRetry)
	}
	s.probation, s.barren = true, 0
	s.set(&s.try, system, s.jitter(s.retry))
}

// tryRing has a degraded ring owner try for a ring, until it has one. One that is
// not to be had costs nobody anything: the next try is as soon.
func (s *supervisor) tryRing(system *actor.ActorSystem) {
	if s.owner.Degraded() {
		s.owner.Restore()
		s.set(&s.try, system, s.jitter(s.retry))
	}
}

// set sets an alarm, in place of what it was set to before.
func (s *supervisor) set(which **alarm, system *actor.ActorSystem, after time.Duration) {
	s.unset(which)
	a := &alarm{}
	a.timer = s.config.Crew.AfterFunc(after, func() { system.Root.Send(s.self, a) })
	*which = a
}

func (s *supervisor) unset(which **alarm) {
	if *which != nil {
		(*which).timer.Stop()
		*which = nil
	}
}
