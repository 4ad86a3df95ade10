package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// Subsystem is one running Ringmaster: a supervisor, its ring owner, and what
// outlives the owner's restarts. It may be used from any goroutine.
type Subsystem struct {
	system *actor.ActorSystem
	owner  *actors.RingOwner
	// process is the supervisor itself, and pid its name, which may be another's
	// when it has ended.
	process actor.Process
	pid     *actor.PID
	client  *actors.Client
	grace   time.Duration

	once   sync.Once
	ended  chan struct{} // closed when report and err are there
	report Report
	err    error
}

// Report is how a subsystem ended.
type Report struct {
	messages.Counters
	// Abandoned operations were answered with messages.ErrOutcomeUnknown: the
	// kernel still had them, and has their memory.
	Abandoned int
	// Backend is what performed the operations at the end, and Why is why it was
	// not the preferred one; see messages.Inspection.
	Backend string
	Why     error
	// Took is how long the shutdown took.
	Took time.Duration
}

// ErrRunning says that the actor system has a subsystem already.
var ErrRunning = errors.New("a subsystem is running in this actor system")

// name is the supervisor's, among the actors of a system or the children of an
// actor; ownerName is the ring owner's below it.
const (
	name      = "ringmaster"
	ownerName = "ring-owner"
)

// startTimeout bounds the wait for a ring owner that does not come up. Opening
// a ring takes less than a millisecond.
const startTimeout = 10 * time.Second

// Start starts a subsystem in an actor system, of which it becomes an
// extension: [Get] finds it again. It fails with [ErrRunning] while there is one
// already, and with an error that wraps messages.ErrUnavailable where the system
// refuses io_uring and the portable backend is not to be taken (see
// [WithBackend]).
//
// Stopping the actor system does not stop its actors; call Shutdown.
func Start(system *actor.ActorSystem, options ...Option) (*Subsystem, error) {
	s, err := start(system, options, func(props *actor.Props) (*actor.PID, error) {
		return system.Root.SpawnNamed(props, name)
	})
	if err != nil {
		return nil, fmt.Errorf("starting ringmaster: %w", err)
	}
	carrierOf(system).main.Store(s)
	return s, nil
}

// StartChild starts a subsystem as a child of the calling actor. It stops with
// the actor: what is in flight is cancelled then, and answered. An actor may
// have one.
func StartChild(ctx actor.Context, options ...Option) (*Subsystem, error) {
	s, err := start(ctx.ActorSystem(), options, func(props *actor.Props) (*actor.PID, error) {
		return ctx.SpawnNamed(props, name)
	})
	if err != nil {
		return nil, fmt.Errorf("starting ringmaster below %s: %w", ctx.Self().Id, err)
	}
	return s, nil
}

func start(system *actor.ActorSystem, options []Option, spawn func(*actor.Props) (*actor.PID, error)) (*Subsystem, error) {
	config := actors.DefaultConfig()
	for _, option := range options {
		option(&config)
	}
	if err := config.ObeyEnvironment(); err != nil {
		return nil, err
	}
	if err := config.Validate(); err != nil {
		return nil, err
	}
	owner := actors.NewRingOwner(system, config)
	pid, err := spawn(newProps(system, owner, config))
	if errors.Is(err, actor.ErrNameExists) {
		return nil, ErrRunning
	}
	if err != nil {
		return nil, err
	}
	process, _ := system.ProcessRegistry.Get(pid)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := owner.Opened(ctx); err != nil {
		_ = stop(system, process, pid)
		return nil, err
	}
	ownerPID := actor.NewPID(pid.Address, pid.Id+"/"+ownerName)
	carrierOf(system).refuse(ownerPID, owner)
	return &Subsystem{
		system:  system,
		owner:   owner,
		process: process,
		pid:     pid,
		client:  owner.NewClient(ownerPID),
		grace:   config.ShutdownGrace,
		ended:   make(chan struct{}),
	}, nil
}

// stopTimeout bounds the wait for an actor to stop, which waits for nothing.
const stopTimeout = 10 * time.Second

// stop stops an actor, if it has not stopped yet, and nobody else of its name.
func stop(system *actor.ActorSystem, process actor.Process, pid *actor.PID) error {
	if now, _ := system.ProcessRegistry.Get(pid); now != process {
		return nil // the last that an actor does is to give its name back
	}
	future := actor.NewFuture(system, stopTimeout)
	process.SendSystemMessage(pid, &actor.Watch{Watcher: future.PID()})
	process.Stop(pid)
	return future.Wait()
}

// Get finds the subsystem that [Start] started in an actor system, unless it
// was shut down.
func Get(system *actor.ActorSystem) (*Subsystem, bool) {
	c, ok := system.Extensions.Get(carrierID).(*carrier)
	if !ok {
		return nil, false
	}
	s := c.main.Load()
	if s == nil {
		return nil, false
	}
	select {
	case <-s.owner.Answered():
		return nil, false
	default:
		return s, true
	}
}

// Client is for goroutines, and for [actors.SpawnOp]. It lives as long as the
// subsystem and is not to be closed: NewClient gives one that is.
func (s *Subsystem) Client() *actors.Client { return s.client }

// NewClient is a further client, whose handles are closed when it is.
func (s *Subsystem) NewClient() *actors.Client { return s.owner.NewClient(s.PID()) }

// PID is the ring owner's address: where actors send their Submit and Cancel.
func (s *Subsystem) PID() *actor.PID { return s.client.PID() }

// Inspect asks the ring owner how it is.
func (s *Subsystem) Inspect(ctx context.Context) (*messages.Inspection, error) {
	return s.client.Inspect(ctx)
}

// Shutdown stops the intake, lets what is in flight end, asks for its
// cancellation when ctx ends, closes everything and stops the actors. What has
// not ended within a grace after that (see [WithShutdownGrace]) is answered
// with messages.ErrOutcomeUnknown and reported as abandoned, with an error;
// nothing hangs on it. A second call waits for the first and reports the same.
func (s *Subsystem) Shutdown(ctx context.Context) (Report, error) {
	s.once.Do(func() {
		began := time.Now()
		s.err = s.shutdown(ctx)
		final := s.owner.Final()
		s.report.Counters, s.report.Backend, s.report.Why = final.Counters, final.Backend, final.Why
		s.report.Abandoned = s.report.Quarantined
		s.report.Took = time.Since(began)
		if s.err == nil && s.report.Abandoned > 0 {
			s.err = fmt.Errorf("shutting down ringmaster: %d operations abandoned: %w", s.report.Abandoned, messages.ErrOutcomeUnknown)
		}
		close(s.ended)
	})
	<-s.ended
	return s.report, s.err
}

func (s *Subsystem) shutdown(ctx context.Context) error {
	s.owner.Drain()
	select {
	case <-s.owner.Answered():
	case <-ctx.Done():
	}
	// The ring owner cancels what is left when it stops.
	if err := stop(s.system, s.process, s.pid); err != nil {
		return fmt.Errorf("stopping ringmaster's actors: %w", err)
	}
	<-s.owner.Answered() // within the grace: see actors.Config
	if s.owner.Final().Quarantined > 0 {
		return nil // the report says so
	}
	select {
	case <-s.owner.Closed():
		return nil
	case <-time.After(s.grace):
		return fmt.Errorf("shutting down ringmaster: closing descriptors takes longer than %v; it goes on", s.grace)
	}
}
