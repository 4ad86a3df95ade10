package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// stage is one actor system with one subsystem in it: what every command
// starts with and ends with.
type stage struct {
	system    *actor.ActorSystem
	subsystem *supervisor.Subsystem
	client    *actors.Client
}

// throttleFor is how long protoactor counts dead letters, by a goroutine that
// outlives the system by as much.
const throttleFor = 100 * time.Millisecond

// start starts both. Actors and subsystem log to the same place.
func start(g *globals, options ...supervisor.Option) (*stage, error) {
	core := logCore(g.stderr, g.level)
	system := actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(zapslog.NewHandler(core)) }),
		actor.WithDeadLetterThrottleInterval(throttleFor),
	)
	options = slices.Concat(options, g.further, []supervisor.Option{supervisor.WithLogger(zap.New(core))})
	subsystem, err := supervisor.Start(system, options...)
	if err != nil {
		return nil, fmt.Errorf("starting the subsystem: %w", err)
	}
	return &stage{system: system, subsystem: subsystem, client: subsystem.Client()}, nil
}

func logCore(out io.Writer, level zapcore.Level) zapcore.Core {
	config := zap.NewDevelopmentEncoderConfig()
	return quiet{zapcore.NewCore(zapcore.NewConsoleEncoder(config), zapcore.Lock(zapcore.AddSync(out)), level)}
}

// stop ends the subsystem and says whether it kept its books.
func (s *stage) stop(ctx context.Context) (supervisor.Report, error) {
	report, err := s.subsystem.Shutdown(ctx)
	if err != nil {
		return report, fmt.Errorf("shutting down: %w", err)
	}
	return report, audit(report)
}

// audit holds the subsystem to its first promise.
func audit(r supervisor.Report) error {
	switch {
	case r.Submitted != r.Completed+r.Refused:
		return fmt.Errorf("promise broken: %d operations submitted, %d completed, %d refused", r.Submitted, r.Completed, r.Refused)
	case r.Unknown != 0:
		return fmt.Errorf("promise broken: the outcome of %d operations is unknown", r.Unknown)
	case r.InFlight+r.Queued != 0:
		return fmt.Errorf("promise broken: %d operations are in flight after the end", r.InFlight+r.Queued)
	}
	return nil
}

// await is [actors.Await] for a program whose ring owner may crash while it
// takes an operation. Nothing of such an operation reached the kernel, so it
// is submitted again.
func await[R any](ctx context.Context, c *actors.Client, op messages.Operation[R]) (R, error) {
	for {
		result, err := actors.Await(ctx, c, op)
		if !errors.Is(err, messages.ErrRestarted) {
			return result, err
		}
	}
}

// closeHandle closes even when ctx has ended.
func closeHandle(ctx context.Context, c *actors.Client, h messages.Handle) error {
	_, err := await(context.WithoutCancel(ctx), c, &messages.Close{Handle: h})
	return err
}
