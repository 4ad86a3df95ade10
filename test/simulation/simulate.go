package simulation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap/zapcore"

	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/sim"
)

// Options say how a history is to be run.
type Options struct {
	// Log keeps all events, for Result.Log.
	Log bool
	// Events is how many a history has at least; 0 is 200. A history that is
	// replayed from a Tape has as many as it has.
	Events uint64
	// Tape, if not nil, has the decisions; otherwise the seed makes them.
	Tape *Tape

	// wrap, if not nil, puts something before each kernel.
	wrap func(ring.Kernel) ring.Kernel
}

func (o Options) eventsLeast() uint64 {
	if o.Events == 0 {
		return 200
	}
	return o.Events
}

// Result is what came of one history.
type Result struct {
	Seed uint64
	// Events is how many there were, and Digest a hash of all of them.
	Events, Digest uint64
	// Violation is what was broken, or nil.
	Violation error
	Tape      Tape
	Coverage  *Coverage
	Log       []string
}

// Machine runs histories, one after the other. It keeps an actor system, which
// is dear to make.
type Machine struct{ system *actor.ActorSystem }

// Run runs one history.
func (m *Machine) Run(seed uint64, options Options) (r Result) {
	if m.system == nil {
		m.system = newSystem()
	}
	h := newHistory(m.system, seed, options)
	whole := false
	ended := make(chan struct{})
	go func() { // which a violation may end: see sim.World
		defer close(ended)
		h.play()
		r = h.result(seed)
		whole = r.Violation == nil || h.abandon()
	}()
	<-ended
	h.world.Close()
	if !whole {
		m.system = nil // what is left in there would be in the way of the next
	}
	if r.Coverage == nil {
		r = h.result(seed)
	}
	return r
}

// result is what came of the history.
func (h *history) result(seed uint64) Result {
	r := Result{
		Seed:     seed,
		Events:   h.world.Notes(),
		Digest:   h.world.Digest(),
		Tape:     h.script.made(),
		Coverage: h.coverage,
		Log:      h.written(),
	}
	for _, b := range sim.Behaviours() {
		if n := h.world.Did(b); n > 0 {
			h.coverage.Behaviours[b] = n
		}
	}
	r.Violation = errors.Join(h.world.Violations()...)
	return r
}

// abandon brings a history to some end after a violation, so that no goroutine
// stays behind. It reports whether the actor system is as it was before.
func (h *history) abandon() bool {
	h.world.Calm()
	if h.ending.ctx != nil {
		h.ending.ctx.end() // Shutdown stops the actors then
	} else {
		h.system.Root.Stop(h.subsystemPID())
	}
	for _, r := range h.cast {
		h.system.Root.Stop(r.pid)
	}
	for range quietSteps / 10 {
		if !h.world.Step() {
			break
		}
	}
	_, left := h.system.ProcessRegistry.Get(h.subsystemPID())
	for _, r := range h.cast {
		if _, alive := h.system.ProcessRegistry.Get(r.pid); alive {
			left = true
		}
	}
	if h.ending.outcome == nil || h.ending.returned {
		return !left
	}
	select {
	case <-h.ending.outcome:
		return !left
	case <-time.After(time.Second):
		return false
	}
}

// written is the log in words.
func (h *history) written() (lines []string) {
	for _, e := range h.log {
		args := make([]any, len(e.args))
		for i, a := range e.args {
			args[i] = a
		}
		lines = append(lines, fmt.Sprintf("%12v  ", time.Duration(e.at))+fmt.Sprintf(e.format, args...))
	}
	return lines
}

func newSystem() *actor.ActorSystem {
	return actor.NewActorSystem(func(c *actor.Config) {
		c.LoggerFactory = func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }
		c.DeadLetterThrottleInterval = time.Millisecond
	})
}

// Report is what came of many histories.
type Report struct {
	Histories, Events uint64
	// Fewest is how many events the shortest history had that came to its end.
	Fewest   uint64
	Took     time.Duration
	Coverage *Coverage
	// Failures are the histories with a violation.
	Failures []Failure
}

// failuresMax ends a simulation: the first ones tell enough.
const failuresMax = 3

// Simulate runs count histories, of the seeds from first on, on all processors.
// It ends early when ctx does, or when some histories have failed. progress, if
// not nil, is told now and then how many are done.
func Simulate(ctx context.Context, first, count uint64, progress func(done uint64)) Report {
	s := &simulation{
		ctx:      ctx,
		next:     first,
		end:      first + count,
		progress: progress,
		report:   Report{Coverage: NewCoverage(), Fewest: math.MaxUint64},
	}
	began := time.Now()
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(s.work)
	}
	workers.Wait()
	s.report.Took = time.Since(began)
	return s.report
}

// Shorten looks for the shortest history of each failure.
func (r *Report) Shorten(ctx context.Context) {
	for i := range r.Failures {
		r.Failures[i].shorten(ctx, Options{})
	}
}

// simulation is the work of several workers.
type simulation struct {
	ctx      context.Context
	progress func(uint64)

	mu        sync.Mutex
	next, end uint64
	report    Report
}

// take gives the next seed.
func (s *simulation) take() (uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == s.end || s.ctx.Err() != nil || len(s.report.Failures) >= failuresMax {
		return 0, false
	}
	s.next++
	return s.next - 1, true
}

func (s *simulation) work() {
	m := &Machine{}
	own := NewCoverage()
	for seed, ok := s.take(); ok; seed, ok = s.take() {
		r := m.Run(seed, Options{})
		own.Merge(r.Coverage)
		s.add(r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Coverage.Merge(own)
}

func (s *simulation) add(r Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Histories++
	s.report.Events += r.Events
	if r.Violation == nil {
		s.report.Fewest = min(s.report.Fewest, r.Events)
	} else {
		s.report.Failures = append(s.report.Failures, Failure{Result: r})
	}
	if s.progress != nil && s.report.Histories%progressEvery == 0 {
		s.progress(s.report.Histories)
	}
}

const progressEvery = 1000

// String says how it went.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d histories of %d events or more, %d in all, in %v: %d failed\n\n", r.Histories, r.Fewest, r.Events, r.Took.Round(time.Millisecond), len(r.Failures))
	b.WriteString(r.Coverage.String())
	for _, f := range r.Failures {
		b.WriteString("\n" + f.String())
	}
	return b.String()
}

// watcher is a logger that looks for failures beyond a restart.
type watcher struct{ h *history }

var _ zapcore.Core = watcher{}

// Enabled implements zapcore.Core.
func (watcher) Enabled(level zapcore.Level) bool { return level >= zapcore.ErrorLevel }

// With implements zapcore.Core.
func (w watcher) With([]zapcore.Field) zapcore.Core { return w }

// Check implements zapcore.Core.
func (w watcher) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if w.Enabled(e.Level) {
		return checked.AddCore(e, w)
	}
	return checked
}

// Write implements zapcore.Core.
func (w watcher) Write(e zapcore.Entry, fields []zapcore.Field) error {
	for _, f := range fields {
		if f.Key != "reason" || strings.HasPrefix(e.Message, "degraded") {
			continue
		}
		w.h.world.Note("ring owner failed by itself")
		reason := f.Interface
		if reason == nil {
			reason = f.String
		}
		w.h.judge(reason)
	}
	return nil
}

// Sync implements zapcore.Core.
func (watcher) Sync() error { return nil }
