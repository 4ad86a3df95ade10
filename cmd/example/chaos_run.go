package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/ring/faulty"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// confessionTime is how long actors have to say what they wait for.
const confessionTime = time.Second

// chaos is one run of the command.
type chaos struct {
	*copying // for its stage, its saboteur if there is one, and their end
	options  chaosOptions
	injector *faulty.Injector // nil without --enter-errors
	owner    *actor.PID       // the ring owner
	root     string           // the directory that all is done in
	troupe   *actor.PID
	cast     *cast
	ledger   ledger
	pauses   pauses
	probe    probe
}

// runChaos is the command. Further options are for tests.
func runChaos(ctx context.Context, g *globals, o chaosOptions, further ...supervisor.Option) (err error) {
	c := &chaos{options: o, copying: &copying{globals: g}}
	c.ledger.acts = make([]atomic.Uint64, len(acts))
	c.pauses.init()
	c.probe.init()
	if c.root, err = chaosDir(o.dir); err != nil {
		return err
	}
	if err := primeCensus(ctx, g); err != nil {
		_ = os.Remove(c.root)
		return err
	}
	before := takeCensus()
	fmt.Fprintf(g.stdout, "example %s\n", o)
	if c.stage, err = start(g, append(c.subsystemOptions(), further...)...); err != nil {
		_ = os.Remove(c.root)
		return err
	}
	c.owner = c.subsystem.PID()
	c.perform(ctx)
	final := c.settle(before)
	if err := c.print(final); err != nil {
		return err
	}
	switch n := c.ledger.brokenCount(); {
	case n > 0:
		return fmt.Errorf("%d promises were broken; again: example %s", n, o)
	case ctx.Err() != nil:
		return errInterrupted
	}
	return nil
}

// chaosDir makes the directory to work in, below that of the user.
func chaosDir(below string) (string, error) {
	if below == "" {
		below = os.TempDir()
	}
	below, err := filepath.Abs(below)
	if err != nil {
		return "", fmt.Errorf("making a temporary directory: %w", err)
	}
	dir, err := os.MkdirTemp(below, "ringmaster-chaos-")
	if err != nil {
		return "", fmt.Errorf("making a temporary directory: %w", err)
	}
	return dir, nil
}

// subsystemOptions are the hooks through which the subsystem is made to fail.
func (c *chaos) subsystemOptions() []supervisor.Option {
	options := []supervisor.Option{supervisor.WithPolicy(c.options.policy)}
	if c.options.crashEvery > 0 {
		c.saboteur = newSaboteur(c.options.seed, c.options.crashEvery)
		options = append(options, supervisor.WithFailpoint(c.failpoint))
	}
	if c.options.enterErrors == 0 {
		return options
	}
	c.injector = faulty.NewInjector(c.options.seed, c.options.enterErrors, c.pauses.crashed)
	return append(options, func(config *actors.Config) {
		config.OpenKernel = faulty.Opener(c.injector, config.OpenKernel)
	})
}

// failpoint has the saboteur strike, and takes the time when it does.
func (c *chaos) failpoint(point actors.Failpoint, inFlight int) {
	defer func() {
		if reason := recover(); reason != nil {
			c.pauses.crashed()
			panic(reason)
		}
	}()
	c.saboteur.hook(point, inFlight)
}

// perform lets the actors work for the time asked for, or until ctx ends, and
// has all of them come to an end.
func (c *chaos) perform(ctx context.Context) {
	began := time.Now()
	c.cast = newCast(c.options.actors)
	c.troupe = c.system.Root.Spawn(newTroupe(c))
	if c.saboteur != nil {
		c.saboteur.begin()
	}
	screen := newScreen(c)
	c.killUntil(ctx, time.After(c.options.duration))
	c.took = time.Since(began)
	c.system.Root.Send(c.troupe, &curtain{})
	c.awaitEnd()
	screen.end()
}

// killUntil has actors stopped at each tick until it is over.
func (c *chaos) killUntil(ctx context.Context, over <-chan time.Time) {
	var ticks <-chan time.Time
	if c.options.killEvery > 0 {
		ticker := time.NewTicker(c.options.killEvery)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		select {
		case <-ticks:
			c.system.Root.Send(c.troupe, &killOne{})
		case <-over:
			return
		case <-ctx.Done():
			return
		}
	}
}

// awaitEnd waits until the last actor has stopped. Those that do not are made
// to say what they wait for, which is a broken promise.
func (c *chaos) awaitEnd() {
	select {
	case <-c.cast.done:
		return
	case <-time.After(c.options.patience):
	}
	c.ledger.broke("actors wait for answers that do not come within %s%s", c.options.patience, c.state())
	c.system.Root.Send(c.troupe, &confess{})
	select {
	case <-c.cast.done:
	case <-time.After(confessionTime):
	}
}

// state says where the subsystem stands, for who looks for the reason of a hang.
func (c *chaos) state() string {
	ctx, cancel := context.WithTimeout(context.Background(), confessionTime)
	defer cancel()
	now, err := c.client.Inspect(ctx)
	if err != nil {
		return ": " + err.Error()
	}
	return fmt.Sprintf(": %d in flight, %d queued, %d rings draining, %d failures, %d restarts, backend %q",
		now.InFlight, now.Queued, now.Draining, now.Failures, now.Restarts, now.Backend)
}
