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
// A ring owner that panics, or whose ring is lost, is restarted: at once if it
// had completed something since its last failure, otherwise after a back-off
// that doubles from a millisecond to a second. The new incarnation opens a new
// ring and serves; what the old ring has in flight is drained beside it, or
// cancelled first ([WithPolicy]). Handles stay valid.
package supervisor
