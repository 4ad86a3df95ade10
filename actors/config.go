package actors

import (
	"fmt"
	"time"

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
	InFlight int
	// Queue (16,384) is how many more are accepted and wait; beyond it, Submit is
	// refused with messages.ErrOverloaded.
	Queue int
	// OwnerQuota (16,384) is how many operations one owner may have open.
	OwnerQuota int
	// BlockingWorkers (4) is how many goroutines the blocking lane may use.
	BlockingWorkers int

	// Policy is for the operations in flight when the ring owner fails.
	Policy Policy
	// DrainTimeout is how long a failed ring is given to end what is in flight
	// on it, before the rest is answered with messages.ErrOutcomeUnknown.
	DrainTimeout time.Duration
	// ShutdownGrace is how long a shutdown, or a drain whose time is up, waits
	// for what it has cancelled then.
	ShutdownGrace time.Duration

	// Inline lets a burst run on its poster's thread where that is safe. Turn
	// it off when actors run on threads with credentials or namespaces of
	// their own: an operation runs with those of the thread that submits it.
	Inline bool

	// Failpoint, if not nil, is called at each failpoint with the number of
	// operations in flight, and may panic. It runs on whichever goroutine runs
	// the ring owner, never on two at once.
	Failpoint func(point Failpoint, inFlight int)

	// OpenKernel opens what stands behind the seam.
	OpenKernel func(Config) (ring.Kernel, error)
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
		DrainTimeout:    10 * time.Second,
		ShutdownGrace:   time.Second,
		Inline:          true,
		OpenKernel:      openRing,
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
	} {
		if limit.n < limit.least || limit.n > limit.most {
			return fmt.Errorf("%w: %d %s, must be %d to %d", messages.ErrArgument, limit.n, limit.name, limit.least, limit.most)
		}
	}
	if c.DrainTimeout <= 0 || c.ShutdownGrace <= 0 {
		return fmt.Errorf("%w: a timeout that is not positive", messages.ErrArgument)
	}
	if c.Logger == nil || c.OpenKernel == nil {
		return fmt.Errorf("%w: no logger or no kernel", messages.ErrArgument)
	}
	return nil
}

// inFlightMax keeps a completion queue of twice that within the kernel's
// bound.
const inFlightMax = 30000
