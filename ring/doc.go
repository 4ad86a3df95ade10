// Package ring holds one io_uring and what belongs to it, as seen by the one
// that drives it. It knows no actor.
//
//   - [Kernel] is the seam: a ring as everything above sees it. [Open] gives
//     the real one, [Ring]; the Prep functions make the [Request] values that
//     it takes.
//   - table.go is the lifecycle table: which operation is in which state, as a
//     pure step function.
//   - handles.go is what callers hold instead of descriptors.
//   - keeper.go is the ring that each thread has entered and that stays, so
//     that no thread loses its kernel workers.
//   - lane.go is the blocking lane: what io_uring has no operation for.
//
// # Invariant
//
// A request that was pushed is, at any time, in exactly one of three places:
// in the submission queue, not consumed, from where [Kernel.TakeBack] gives it
// back unseen; inside the kernel; or terminally completed, once. No error of
// [Kernel.Enter] moves a request from one to another. While it is in the first
// two, its memory is the kernel's, and the caller keeps it.
//
// # Who may call
//
// A Kernel belongs to the holder of the run token, on whatever thread that
// is; [Kernel] and [Ring] name the exceptions. Which thread enters matters all
// the same: requests that finish through task work complete on the thread that
// submitted them, when that thread is next in the kernel, or on its way out.
// Nothing here starts a goroutine, and none of it calls back but Wait and
// TakeBack, which call what they are given.
//
// # Availability
//
// io_uring needs Linux; elsewhere the package compiles and Open refuses. Open
// also refuses where the kernel lacks a feature that the rules here rest on
// (Linux 5.18 has all of them), or where the system forbids io_uring. Which
// operations the kernel has, [Kernel.Supports] says.
package ring
