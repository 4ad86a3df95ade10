package actors

import (
	"fmt"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/ringmaster-io/ringmaster/messages"
)

// herald tells the world what happens to the engine, in order, from a goroutine
// of its own: loggers and subscribers are other people's code, and may block.
type herald struct {
	house  *household
	system *actor.ActorSystem
	logger *zap.Logger

	mu      sync.Mutex
	waiting []fmt.Stringer
	running bool
}

// announce leaves an event to be told. The engine has not vanished yet.
func (h *herald) announce(event fmt.Stringer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = append(h.waiting, event)
	if !h.running {
		h.running = true
		h.house.run(h.tell)
	}
}

func (h *herald) tell() {
	for {
		h.mu.Lock()
		batch := h.waiting
		h.waiting = nil
		h.running = len(batch) > 0
		h.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for _, event := range batch {
			Publish(h.system, h.logger, event)
		}
	}
}

// Publish publishes an event on the EventStream, and logs it if it is one of the
// subsystem's. A subscriber that panics is logged, and stops nobody else's news
// but this. It runs other people's code: it is for a goroutine that may wait.
func Publish(system *actor.ActorSystem, logger *zap.Logger, event any) {
	defer func() {
		if r := recover(); r != nil {
			logger.Error("subscriber of the event stream failed", zap.Any("subscriber_panic", r), zap.Any("event", event))
		}
	}()
	if ours, ok := event.(fmt.Stringer); ok {
		log, fields := recordOf(ours)
		log(logger, ours.String(), fields...)
	}
	system.EventStream.Publish(event)
}

// recordOf is how an event is logged: at which level, and with which fields.
func recordOf(event fmt.Stringer) (log func(*zap.Logger, string, ...zap.Field), fields []zap.Field) {
	switch e := event.(type) {
	case *messages.RingOpenedEvent:
		return (*zap.Logger).Info, []zap.Field{zap.Uint64("epoch", e.Epoch), zap.String("backend", e.Backend), zap.NamedError("why", e.Why)}
	case *messages.RingFencedEvent:
		return (*zap.Logger).Info, []zap.Field{zap.Uint64("epoch", e.Epoch), zap.Int("in_flight", e.InFlight)}
	case *messages.RingClosedEvent:
		return (*zap.Logger).Debug, []zap.Field{zap.Uint64("epoch", e.Epoch)}
	case *messages.OutcomeUnknownEvent:
		return (*zap.Logger).Error, []zap.Field{zap.Uint64("epoch", e.Epoch), zap.Int("operations", e.Operations)}
	case *messages.QuarantineFullEvent:
		return (*zap.Logger).Error, []zap.Field{zap.Int("operations", e.Operations)}
	case *messages.OwnerFailedEvent:
		return (*zap.Logger).Warn, []zap.Field{zap.Any("reason", e.Reason), zap.Int("barren", e.Barren), zap.Duration("restart_in", e.RestartIn)}
	case *messages.DegradedEvent:
		return (*zap.Logger).Error, []zap.Field{zap.Any("reason", e.Reason)}
	case *messages.RestoredEvent:
		return (*zap.Logger).Info, []zap.Field{zap.Uint64("epoch", e.Epoch)}
	case *messages.StoppingEvent:
		return (*zap.Logger).Info, []zap.Field{zap.Int("in_flight", e.InFlight)}
	case *messages.StoppedEvent:
		return (*zap.Logger).Info, []zap.Field{zap.Uint64("submitted", e.Counters.Submitted), zap.Uint64("unknown", e.Counters.Unknown)}
	default:
		return (*zap.Logger).Info, nil
	}
}
