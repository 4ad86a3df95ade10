// Package sim is a simulated operating system behind the seams of package ring:
// kernels, descriptors, blocking lanes, time, and the order in which things are
// done. It performs nothing real, and one seed decides all of it: the same
// choices give the same history.
//
// # The world
//
// In a [World] one thing happens at a time. Whatever anybody would do on another
// goroutine, on a thread of its own or later, is a task or a timer of the world,
// which runs them in an order of its choosing, each [World.Step] one. A task that
// hangs in the kernel stays on its stack, and one that is preempted as well
// ([World.Preempt]), while others run: they are coroutines. Virtual time passes
// when nothing is left to do, or when the world chooses that the others were
// slow.
//
// A [Kernel] is one ring: what is pushed to it is seen at an Enter, completes
// inline, soon, late, only when it is cancelled, or not even then, and with the
// results that kernels have been seen to give. Its requests go to a file system
// that consists of names only: what a name stands for, what is in it and whether
// its device hangs follow from the name itself (see [Node]), so that there is
// nothing to set up, and the content of everything is known.
//
// # Invariant
//
// It takes one liberty that the seam does not, a completion that is seen twice;
// each other behaviour is one that a kernel may show by the rules of
// [ring.Kernel], and most were observed. What lies behind the seam is not
// simulated: an interrupted io_uring_enter is repeated there, and EAGAIN and
// EBUSY are both [ring.ErrBusy] by the time that they come through it. And it
// holds its user to those rules: memory changed or given back while the kernel
// has it, a descriptor closed while a request refers to it or used after it was
// closed, a request published by a thread that will not be there for it, is a
// violation ([World.Violate]), which is kept whatever the user recovers from.
//
// # Who may call
//
// Everything is for one goroutine at a time. Several may take turns, if
// something else keeps them apart.
package sim
