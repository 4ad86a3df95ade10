// Package test holds the black-box tests: the whole subsystem on a real kernel,
// judged by its effect on files, descriptors, memory and processor.
package test

import (
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// quiet keeps protoactor's own log off the terminal. The goroutine that bounds
// how often it logs dead letters is not to outlive a test by a second.
func quiet(c *actor.Config) {
	c.LoggerFactory = func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }
	c.DeadLetterThrottleInterval = time.Millisecond
}
