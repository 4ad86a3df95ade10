// Package supervisor starts Ringmaster in an actor system, restarts its ring
// owner when that fails, and shuts it down.
//
// [Start] makes the subsystem an extension of the system, [StartChild] a child
// of an actor. Both return a [Subsystem], whose PID actors send to and whose
// Client goroutines use.
//
// # Its invariant
//
// Whatever becomes of the ring owner, its engine lives until each operation is
// answered: a restart hands it to the next incarnation, a stop lets it end by
// itself. So a Subsystem never ends with an answer owed.
//
// # Failure
//
// A ring owner that panics, or whose ring is lost or stuck, is restarted: at once
// if it had completed something since its last failure, otherwise after a
// back-off with jitter that doubles from a millisecond to a second
// ([WithBackOff]). The new incarnation opens a new ring and serves; what the old
// ring has in flight is drained beside it, or cancelled first ([WithPolicy]).
// Handles stay valid, and what comes in between waits.
//
// After too many restarts that achieved nothing ([WithRestartLimit]) the
// subsystem is degraded: it goes on without a ring, through the portable backend
// unless that is forbidden ([WithBackend]), and tries for a ring again every few
// seconds. A ring that fails again before it has performed anything is given up at
// once, and the next one is tried for later: after twice the time each, up to a
// bound. It is never given up altogether.
//
// Each transition is logged once, and published on the system's EventStream: see
// messages.OwnerFailedEvent and the events beside it.
package supervisor
