// Package faulty puts kernels that fail on purpose in the place of others, for
// demonstrations and tests: now and then [ring.Kernel]'s Enter gives an error,
// though nothing is wrong with the ring.
//
// # Invariant
//
// Only the error is made up. What Enter promises holds beside it: it returns
// how many requests were consumed, and those that were not remain pushed; a
// request that was consumed completes, truly. So whoever uses the seam as it
// asks for loses nothing.
//
// A ring is lost once, and while it is given operations. One that only ends
// what it has is spared: refused a second time, it could not even be asked to
// cancel that, and what would wait for ever would have no known end.
//
// # Who may call
//
// An [Injector] may be used from any goroutine. Its kernels are as ring.Kernel
// says.
package faulty
