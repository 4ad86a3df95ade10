package messages

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// What happens to a subsystem is published on its actor system's EventStream,
// each in the order in which it happened, and logged. Owner is the ring owner's
// address in all of them. The EventStream calls its subscribers one after the
// other: one that blocks holds up the news, and no I/O. What comes when a thousand
// events wait is dropped, which is logged.

// RingOpenedEvent says that a backend serves from now on.
type RingOpenedEvent struct {
	Owner   *actor.PID
	Epoch   uint64   // of rings, 1 for the first
	Backend string   // "io_uring", for instance
	Missing []string // operations that it lacks, and that the fallback performs if there is one
	Why     error    // why not the preferred backend; nil if it is that
}

// RingFencedEvent says that a ring takes no more operations: the ring owner has
// failed, or the subsystem is shutting down. What it has in flight is reaped
// until it is empty.
type RingFencedEvent struct {
	Owner    *actor.PID
	Epoch    uint64
	InFlight int
}

// RingClosedEvent says that the kernel is done with a fenced ring.
type RingClosedEvent struct {
	Owner *actor.PID
	Epoch uint64
}

// OutcomeUnknownEvent says that operations have not ended in time, and were
// answered with ErrOutcomeUnknown. Their memory is in quarantine.
type OutcomeUnknownEvent struct {
	Owner      *actor.PID
	Epoch      uint64
	Operations int
}

// QuarantineFullEvent says that so many operations are in quarantine that
// Submits are refused with ErrQuarantine, until the kernel lets go of some.
type QuarantineFullEvent struct {
	Owner      *actor.PID
	Operations int
}

// OwnerFailedEvent says that the ring owner has failed, and is restarted in a
// while.
type OwnerFailedEvent struct {
	Owner     *actor.PID
	Reason    any // what it panicked with, often an error
	Barren    int // failures in a row with nothing achieved in between
	RestartIn time.Duration
}

// DegradedEvent says that there is no ring to be had that works: from now on
// the fallback serves or, without one, Submits are refused with ErrUnavailable.
// A ring is tried again from time to time.
type DegradedEvent struct {
	Owner  *actor.PID
	Reason any
}

// RestoredEvent says that a degraded subsystem has a ring again.
type RestoredEvent struct {
	Owner *actor.PID
	Epoch uint64
}

// StoppingEvent says that Submits are refused from now on with ErrStopped.
type StoppingEvent struct {
	Owner    *actor.PID
	InFlight int
}

// StoppedEvent says that everything is answered, and how the books stand.
type StoppedEvent struct {
	Owner    *actor.PID
	Counters Counters
}

// String says it in words.
func (e *RingOpenedEvent) String() string {
	if e.Why == nil {
		return fmt.Sprintf("ring %d opened: %s", e.Epoch, e.Backend)
	}
	return fmt.Sprintf("ring %d opened: %s, since %v", e.Epoch, e.Backend, e.Why)
}

// String says it in words.
func (e *RingFencedEvent) String() string {
	return fmt.Sprintf("ring %d fenced with %d operations in flight", e.Epoch, e.InFlight)
}

// String says it in words.
func (e *RingClosedEvent) String() string { return fmt.Sprintf("ring %d closed", e.Epoch) }

// String says it in words.
func (e *OutcomeUnknownEvent) String() string {
	return fmt.Sprintf("outcome of %d operations of ring %d unknown", e.Operations, e.Epoch)
}

// String says it in words.
func (e *QuarantineFullEvent) String() string {
	return fmt.Sprintf("quarantine full: %d operations", e.Operations)
}

// String says it in words.
func (e *OwnerFailedEvent) String() string {
	return fmt.Sprintf("ring owner failed, to be restarted in %v: %v", e.RestartIn, e.Reason)
}

// String says it in words.
func (e *DegradedEvent) String() string { return fmt.Sprintf("degraded: %v", e.Reason) }

// String says it in words.
func (e *RestoredEvent) String() string { return fmt.Sprintf("restored: ring %d", e.Epoch) }

// String says it in words.
func (e *StoppingEvent) String() string {
	return fmt.Sprintf("stopping with %d operations in flight", e.InFlight)
}

// String says it in words.
func (e *StoppedEvent) String() string {
	return fmt.Sprintf("stopped: %d submitted, %d completed, %d refused, outcome of %d unknown",
		e.Counters.Submitted, e.Counters.Completed, e.Counters.Refused, e.Counters.Unknown)
}
