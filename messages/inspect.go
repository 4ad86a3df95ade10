package messages

import "github.com/asynkron/protoactor-go/actor"

// Inspect asks the ring owner how it is. It is answered by an [Inspection].
type Inspect struct {
	ReplyTo *actor.PID // nil means the sender
	Token   any
}

// Inspection is a consistent picture of the subsystem at one moment.
type Inspection struct {
	Token any
	Counters
	// Backend is what performs the operations, for instance "io_uring"; it is
	// empty while there is nothing. Why is why it is not the preferred one.
	Backend string
	Why     error
	// Missing names the operations that the backend lacks. If there is a
	// fallback it performs them; otherwise they are refused with ErrUnsupported.
	Missing []string
	// Degraded: no ring is to be had that works; see DegradedEvent.
	Degraded bool
	// Epoch counts the rings of this subsystem: 1 for the first.
	Epoch uint64
	// Draining is how many earlier rings still have operations in flight.
	Draining int
	// Handles is how many descriptors are open, those among them whose handle
	// is closed and that are about to follow.
	Handles int
	// Owners is how many owners and reply addresses are known.
	Owners int
	// Slots is how many places the lifecycle map holds memory for.
	Slots int
}

// Counters are totals since the subsystem started, restarts included, and the
// number of operations that are open. Submitted = Completed + Refused +
// Queued + InFlight, always.
type Counters struct {
	Submitted uint64 // Submits taken, the refused ones among them
	Completed uint64 // terminal Completions, the failed and cancelled among them
	Refused   uint64 // Refused sent, or owed to a reply address that is dead
	Failed    uint64 // completed with an error other than cancellation
	Cancelled uint64 // completed with a cancellation
	Unknown   uint64 // completed with ErrOutcomeUnknown
	Restarts  uint64 // restarts of the ring owner
	Failures  uint64 // its failures, those among them for which it was not restarted
	Queued    int    // accepted, not with the kernel or the blocking lane
	InFlight  int    // with the kernel or the blocking lane

	Orphaned    uint64 // operations whose owner stopped before they ended
	LateClosed  uint64 // descriptors closed because nobody waited for them
	DeadReplies uint64 // answers for which there was no live reply address
	Quarantined int    // operations answered ErrOutcomeUnknown that the kernel still has
	Lost        uint64 // completions that the kernel lost which may have brought a descriptor

	Enters    uint64 // calls of io_uring_enter
	Published uint64 // submission queue entries that the kernel took
	Reaped    uint64 // completion queue entries
	Stale     uint64 // completion queue entries that matched nothing
	Blocking  uint64 // operations performed in the blocking lane
	Inline    uint64 // bursts that ran on their poster's thread
	Spawned   uint64 // bursts that ran on a goroutine of their own
	Pinned    uint64 // bursts that ran on the pinned thread
	Strange   uint64 // messages that were nil or of an unknown type
}

// IgnoreDeadLetterLogging keeps the answer out of the dead-letter log.
func (*Inspection) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: what is sent to a subsystem that has ended is
// answered, and no news.
func (*Inspect) IgnoreDeadLetterLogging() {}
