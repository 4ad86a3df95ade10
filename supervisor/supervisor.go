package supervisor

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/ringmaster-io/ringmaster/actors"
)

// supervisor is the actor between the user's and the ring owner. It spawns the
// ring owner, and restarts it when it fails: at once if it had worked since it
// started, later and later if it had not.
type supervisor struct {
	owner  *actors.RingOwner
	logger *zap.Logger
	// barren counts the restarts in a row after which nothing was achieved,
	// and worked is how much had been at the last one.
	barren int
	worked uint64
}

var _ actor.SupervisorStrategy = (*supervisor)(nil)

func newProps(owner *actors.RingOwner, config actors.Config) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor {
		return &supervisor{owner: owner, logger: config.Logger}
	})
}

// restartNow ends a back-off.
type restartNow struct{ child *actor.PID }

// IgnoreDeadLetterLogging: the supervisor may have stopped meanwhile.
func (*restartNow) IgnoreDeadLetterLogging() {}

// Receive implements actor.Actor.
func (s *supervisor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.start(ctx)
	case *actor.Terminated:
		// The ring owner is given up, or somebody stopped it: without it there
		// is no subsystem, and the name becomes free.
		ctx.Stop(ctx.Self())
	case *restartNow:
		restart(ctx, m.child)
	}
}

func (s *supervisor) start(ctx actor.Context) {
	if _, err := ctx.SpawnNamed(s.owner.Props(), ownerName); err != nil {
		panic(err) // the name is below our own: nobody else can have it
	}
}

// The back-off of a ring owner that fails without having achieved anything.
const (
	backOffFirst = time.Millisecond
	backOffLast  = time.Second
	// barrenMax failures in a row are enough, some ten seconds: the ring owner
	// is stopped then, which answers all that is open.
	barrenMax = 20
)

// HandleFailure implements actor.SupervisorStrategy: protoactor calls it in
// the supervisor's own turn.
func (s *supervisor) HandleFailure(system *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	delay := s.delay()
	if s.barren > barrenMax {
		s.logger.Error("ring owner given up", zap.Any("reason", reason), zap.Int("failures", s.barren))
		system.EventStream.Publish(&actor.SupervisorEvent{Child: child, Reason: reason, Directive: actor.StopDirective})
		supervisor.StopChildren(child)
		return
	}
	s.logger.Warn("ring owner failed", zap.Any("reason", reason), zap.Duration("restart_in", delay))
	system.EventStream.Publish(&actor.SupervisorEvent{Child: child, Reason: reason, Directive: actor.RestartDirective})
	if delay == 0 {
		supervisor.RestartChildren(child)
		return
	}
	self := actor.NewPID(child.Address, child.Id[:len(child.Id)-len("/"+ownerName)])
	time.AfterFunc(delay, func() { system.Root.Send(self, &restartNow{child}) })
}

// delay is zero for a ring owner that has completed something since its last
// failure.
func (s *supervisor) delay() time.Duration {
	worked := s.owner.Worked()
	if worked != s.worked {
		s.worked, s.barren = worked, 0
		return 0
	}
	s.barren++
	if s.barren == 1 {
		return 0
	}
	return min(backOffFirst<<min(s.barren-2, 16), backOffLast)
}

func restart(ctx actor.Context, child *actor.PID) {
	if s, ok := ctx.(actor.Supervisor); ok {
		s.RestartChildren(child)
	}
}
