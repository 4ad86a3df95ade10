package actors

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// Policy says what becomes of the operations that the kernel has when the ring
// owner fails.
type Policy uint8

const (
	// Drain lets them end; their true results are delivered.
	Drain Policy = iota
	// CancelInFlight asks the kernel to cancel them, and delivers what comes.
	CancelInFlight
)

// String names the policy.
func (p Policy) String() string {
	if p == CancelInFlight {
		return "cancel"
	}
	return "drain"
}

// Config is what a subsystem is built from. [DefaultConfig] has the defaults;
// the supervisor's options change it.
type Config struct {
	Logger *zap.Logger

	// InFlight is how many operations the kernel may have at once, on all
	// rings together: 4096, or 1 to 30,000. The completion queue is sized so that it never overflows.
	//
	// A quarter of them is reserved for owners that have fewer than a 128th (of
	// 4096: 1024 for those with fewer than 32). So operations that wait for ever,
	// timers or reads of idle streams, keep nobody else's from being issued, as
	// long as no more than 32 owners have that many beside those that have all the
	// rest. What has to be in flight together, of whichever owners, is therefore
	// to be no more than three quarters.
	InFlight int
	// Queue (16,384) is how many more are accepted and wait; beyond it, Submit is
	// refused with messages.ErrOverloaded. A quarter of what is accepted in all,
	// InFlight and Queue, is reserved in the same way, by what owners have open.
	Queue int
	// OwnerQuota (16,384) is how many operations one owner may have open. It bounds
	// what an owner can cost; that others are served is not its business.
	OwnerQuota int
	// BlockingWorkers (4) is how many goroutines the blocking lane may use, not
	// counting those that a device keeps waiting.
	BlockingWorkers int
	// Workers (512, or 64 to 4096) bounds the threads that wait in the system's
	// calls, which count against RLIMIT_NPROC and a container's limit of pids: the
	// kernel's own workers, of which each thread that submits may have so many of
	// two kinds, for files and for all else, as the first subsystem of a process
	// says; or the portable backend's, twice as many in all. One file system is
	// given work for an eighth of them at a time, and all together for five eighths,
	// beyond which each gets a 64th still. So many opens of FIFOs that wait for their
	// other end keep that from being opened here; and of the portable backend's, each
	// terminal or other device that is waited for keeps one.
	Workers int

	// Policy is for the operations in flight when the ring owner fails.
	Policy Policy
	// DrainTimeout is how long a failed ring is given to end what is in flight
	// on it, before the rest is answered with messages.ErrOutcomeUnknown.
	DrainTimeout time.Duration
	// ShutdownGrace is how long a shutdown, or a drain whose time is up, waits
	// for what it has cancelled then.
	ShutdownGrace time.Duration

	// BackOffFirst and BackOffLast bound how long a restart waits after failures
	// that achieved nothing: it doubles from one to the other, with jitter.
	// After RestartLimit of them the subsystem is degraded, and tries for a ring
	// every RingRetry, or later if the rings that it gets fail at once.
	BackOffFirst, BackOffLast time.Duration
	RestartLimit              int
	RingRetry                 time.Duration
	// StuckAfter is how long a call into the kernel may take before its ring is
	// given up for stuck, and the ring owner restarted: some drivers have the
	// submission itself wait. It is found within twice that time, not counting
	// what the whole program was stopped for.
	StuckAfter time.Duration
	// QuarantineMax is how many operations may be in quarantine (answered with
	// messages.ErrOutcomeUnknown, while the kernel still has them and their
	// memory) before Submits are refused with messages.ErrQuarantine.
	QuarantineMax int

	// Inline lets a burst run on its poster's thread where that is safe. Turn
	// it off when actors run on threads with credentials or namespaces of
	// their own: an operation runs with those of the thread that submits it.
	Inline bool

	// Failpoint, if not nil, is called at each failpoint with the number of
	// operations in flight, and may panic. It runs on whichever goroutine runs
	// the ring owner, never on two at once.
	Failpoint func(point Failpoint, inFlight int)

	// Observe, if not nil, is told of each event of the lifecycle map, and the
	// state of the slot that it happens to. It must not call back.
	Observe func(ring.State, ring.Event)

	// Backend says what may stand behind the seam; OpenKernel opens a ring, and
	// OpenFallback, unless it is nil, the portable backend.
	Backend      Backend
	OpenKernel   func(Config) (ring.Kernel, error)
	OpenFallback func(Config) (ring.Kernel, error)
	// Host is the rest of the operating system, and Crew who does the work.
	Host ring.Host
	Crew Crew
	// PropsOptions are for the supervisor's actor.
	PropsOptions []actor.PropsOption
}

// DefaultConfig is a subsystem on io_uring for a few thousand operations in
// flight.
func DefaultConfig() Config {
	return Config{
		Logger:          zap.NewNop(),
		InFlight:        4096,
		Queue:           16384,
		OwnerQuota:      16384,
		BlockingWorkers: 4,
		Workers:         workersDefault,
		DrainTimeout:    10 * time.Second,
		ShutdownGrace:   time.Second,
		BackOffFirst:    time.Millisecond,
		BackOffLast:     time.Second,
		RestartLimit:    12,
		RingRetry:       5 * time.Second,
		StuckAfter:      time.Second,
		QuarantineMax:   1024,
		Inline:          true,
		OpenKernel:      openRing,
		OpenFallback:    openPortable,
		Host:            ring.ThisHost(),
		Crew:            NewCrew(),
	}
}

// Validate checks the limits.
func (c Config) Validate() error {
	for _, limit := range [...]struct {
		name           string
		n, least, most int
	}{
		{"operations in flight", c.InFlight, 1, inFlightMax},
		{"operations in the queue", c.Queue, 0, ring.SlotMax - inFlightMax},
		{"operations of one owner", c.OwnerQuota, 1, ring.SlotMax},
		{"blocking workers", c.BlockingWorkers, 1, 1 << 16},
		{"workers", c.Workers, workersLeast, 4096},
		{"restarts", c.RestartLimit, 1, 1 << 16},
		{"operations in quarantine", c.QuarantineMax, 1, ring.SlotMax},
	} {
		if limit.n < limit.least || limit.n > limit.most {
			return fmt.Errorf("%w: %d %s, must be %d to %d", messages.ErrArgument, limit.n, limit.name, limit.least, limit.most)
		}
	}
	if min(c.DrainTimeout, c.ShutdownGrace, c.StuckAfter, c.BackOffFirst, c.BackOffLast, c.RingRetry) <= 0 {
		return fmt.Errorf("%w: a timeout that is not positive", messages.ErrArgument)
	}
	if c.Logger == nil || c.OpenKernel == nil || c.Host == nil || c.Crew == nil {
		return fmt.Errorf("%w: no logger, kernel, host or crew", messages.ErrArgument)
	}
	if c.Backend > BackendPortable || c.Backend == BackendPortable && c.OpenFallback == nil {
		return fmt.Errorf("%w: there is no %v", messages.ErrArgument, c.Backend)
	}
	return nil
}

// inFlightMax keeps a completion queue of twice that within the kernel's
// bound.
const inFlightMax = 30000
