package actors

import (
	"fmt"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/ringmaster-io/ringmaster/messages"
)

// Herald tells the world what happens, in order, from a goroutine of its own:
// loggers and subscribers are other people's code, and may block. What waits for
// them is bounded.
type Herald struct {
	system *actor.ActorSystem
	logger *zap.Logger
	run    func(func())

	mu      sync.Mutex
	waiting []any
	dropped uint64 // since it was last told
	running bool
}

// newsBound is how many events wait to be told. What comes then is dropped: the
// oldest say how it began, and how it is now, an Inspect.
const newsBound = 1024

// NewHerald makes a herald that has its goroutine from run, for as long as there is
// news.
func NewHerald(system *actor.ActorSystem, logger *zap.Logger, run func(func())) *Herald {
	return &Herald{system: system, logger: logger, run: run}
}

// Announce leaves events to be told.
func (h *Herald) Announce(events ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	room := min(len(events), newsBound-len(h.waiting))
	h.waiting = append(h.waiting, events[:room]...)
	h.dropped += uint64(len(events) - room)
	if !h.running {
		h.running = true
		h.run(h.tell)
	}
}

func (h *Herald) tell() {
	for {
		h.mu.Lock()
		batch, dropped := h.waiting, h.dropped
		h.waiting, h.dropped = nil, 0
		h.running = len(batch) > 0
		h.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for _, event := range batch {
			publish(h.system, h.logger, event)
		}
		if dropped > 0 { // they came after those
			h.logger.Error("events dropped: a logger or a subscriber of the event stream is slow or blocks", zap.Uint64("events", dropped))
		}
	}
}

// publish publishes an event on the EventStream, and logs it if it is one of the
// subsystem's. A subscriber that panics is logged, and stops nobody else's news
// but this.
func publish(system *actor.ActorSystem, logger *zap.Logger, event any) {
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
