// Package sys is the only place of this module that holds unsafe code and the
// kernel's names for io_uring: its structures, its constants, its system calls
// and the mapped memory that it shares with a ring.
//
// Its invariant: a pointer becomes an integer only in the statement that fills
// a field of an SQE, and only a pointer to memory that does not move (the heap
// or a mapping). Keeping that memory reachable is the caller's part; see
// [Escape].
//
// Only package ring imports it. The structures compile everywhere, so that
// ring does; the system calls exist on Linux.
package sys
