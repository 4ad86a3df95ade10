package test

import (
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"
)

// quiet keeps protoactor's own log off the terminal.
func quiet(c *actor.Config) {
	c.LoggerFactory = func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }
}
