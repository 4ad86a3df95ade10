package supervisor

import (
	"time"

	"go.uber.org/zap"

	"github.com/ringmaster-io/ringmaster/actors"
)

// Option changes how a subsystem is built.
type Option func(*actors.Config)

// WithLogger has transitions and failures logged. By default nothing is.
func WithLogger(logger *zap.Logger) Option {
	return func(c *actors.Config) { c.Logger = logger }
}

// WithPolicy says what becomes of the operations in flight when the ring owner
// fails; by default they are drained.
func WithPolicy(policy actors.Policy) Option {
	return func(c *actors.Config) { c.Policy = policy }
}

// WithDrainTimeout is how long a failed ring is given to end what is in flight
// on it; the default is ten seconds.
func WithDrainTimeout(d time.Duration) Option {
	return func(c *actors.Config) { c.DrainTimeout = d }
}

// WithShutdownGrace is how long a shutdown waits for the operations that it
// has cancelled, once its context has ended; the default is one second.
func WithShutdownGrace(d time.Duration) Option {
	return func(c *actors.Config) { c.ShutdownGrace = d }
}

// WithInFlight is how many operations the kernel may have at once. A quarter of
// them is reserved for owners that have few; see actors.Config.
func WithInFlight(n int) Option {
	return func(c *actors.Config) { c.InFlight = n }
}

// WithQueue is how many operations more are accepted and wait. The same part of
// all is reserved; see actors.Config.
func WithQueue(n int) Option {
	return func(c *actors.Config) { c.Queue = n }
}

// WithOwnerQuota is how many operations one owner may have open.
func WithOwnerQuota(n int) Option {
	return func(c *actors.Config) { c.OwnerQuota = n }
}

// WithBlockingWorkers is how many goroutines may perform at once what io_uring
// has no operation for.
func WithBlockingWorkers(n int) Option {
	return func(c *actors.Config) { c.BlockingWorkers = n }
}

// WithWorkers bounds the threads that wait in the system's calls, the kernel's own
// workers among them; see actors.Config. It is for where threads are limited
// (RLIMIT_NPROC, a container's limit of pids).
func WithWorkers(n int) Option {
	return func(c *actors.Config) { c.Workers = n }
}

// WithInline says whether a burst may run on its poster's thread; see
// actors.Config.
func WithInline(inline bool) Option {
	return func(c *actors.Config) { c.Inline = inline }
}

// WithFailpoint has hook called at each failpoint, with the number of
// operations in flight. The hook may panic: that is its use.
func WithFailpoint(hook func(point actors.Failpoint, inFlight int)) Option {
	return func(c *actors.Config) { c.Failpoint = hook }
}

// WithBackOff is how long a restart waits after failures that achieved nothing:
// it doubles from first to last. The defaults are a millisecond and a second.
func WithBackOff(first, last time.Duration) Option {
	return func(c *actors.Config) { c.BackOffFirst, c.BackOffLast = first, last }
}

// WithRestartLimit is after how many failures in a row that achieved nothing
// the subsystem is degraded (see messages.DegradedEvent), and how often it tries
// for a ring then. The defaults are 12, some five seconds, and five seconds. After
// a ring that could be opened, and failed before it had performed anything, the
// next try is later: twice as long each time, up to 64 times as long.
func WithRestartLimit(n int, retry time.Duration) Option {
	return func(c *actors.Config) { c.RestartLimit, c.RingRetry = n, retry }
}

// WithStuckAfter is how long a call into the kernel may take before its ring is
// given up; the default is a second.
func WithStuckAfter(d time.Duration) Option {
	return func(c *actors.Config) { c.StuckAfter = d }
}

// WithQuarantine is how many operations may be in quarantine before Submits are
// refused with messages.ErrQuarantine; the default is 1024.
func WithQuarantine(n int) Option {
	return func(c *actors.Config) { c.QuarantineMax = n }
}

// WithBackend says what may perform the operations; by default, io_uring if
// the system has it, and ordinary system calls otherwise. The environment
// variable [actors.BackendVariable] overrides it.
func WithBackend(backend actors.Backend) Option {
	return func(c *actors.Config) { c.Backend = backend }
}
