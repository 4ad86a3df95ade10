// Package simulation runs whole histories of the subsystem, its supervisor and
// operation actors included, in a simulated world (package sim), and judges each
// of them by the promise: one answer for each Submit, not before the kernel is
// done; nothing leaks, nothing is hit by accident, whatever dies.
//
// A seed decides a history: what the requesters do, what the kernel makes of
// it, what fails, and in which order everything happens. The same seed gives the
// same history. A history that breaks the promise is shortened before it is
// shown.
//
// # Invariant
//
// A history is run by one goroutine at a time: virtual time, and the order of
// things, are the world's alone.
//
// # Who may call
//
// Tests, and the example's command. A [Machine] is for one goroutine;
// [Simulate] uses several.
package simulation
