package ring

// Kernel is the seam: one ring, as everything above it sees one. The real
// io_uring stands behind it (see [Open]), a scripted fake in tests, and later a
// simulated kernel and the portable backend.
//
// A Kernel is used by one goroutine at a time, the holder of the run token,
// with the exceptions of Wait and AwaitGone, and of Close beside them. It calls
// nobody back but these two and TakeBack, which call what they are given.
//
// What a Request refers to (buffers, paths) must stay reachable and unchanged
// from Push to the terminal CQE of the same user data, or to TakeBack. The
// Kernel keeps no Go reference to it on the caller's behalf.
type Kernel interface {
	// Push writes a request to the submission queue, to be published by the
	// next Enter. It reports false, and does nothing, when the queue is full.
	Push(UserData, *Request) bool

	// Unsubmitted is how many pushed requests the kernel has not consumed.
	Unsubmitted() int

	// Enter publishes what was pushed and lets the kernel consume it, without
	// waiting for completions; it also has the kernel move completions from
	// its overflow list to the queue. It returns how many requests were
	// consumed. Whatever it returns, those not consumed remain pushed.
	//
	// ErrBusy says that the kernel cannot take more now: reap, and try again
	// later. An interrupted call is repeated inside. A *FatalError says that
	// the ring must be given up.
	//
	// The run token may be taken from a holder that hangs in here. Until he is
	// back, others leave the submission side alone (Push, Enter, TakeBack,
	// Unsubmitted), and may go on with the completion side.
	Enter() (int, error)

	// TakeBack removes from the queue what was pushed and not consumed, oldest
	// first; the kernel has seen nothing of it. It is valid only while no
	// Enter is under way.
	TakeBack(func(UserData))

	// Peek copies the oldest completion; Advance gives its place back to the
	// kernel. A CQE that was peeked and not advanced is seen again.
	Peek() (CQE, bool)
	Advance()

	// Backlog reports whether there is something to Peek, or something that
	// only an Enter will bring: completions on the kernel's overflow list, or
	// task work that waits for the caller's thread.
	Backlog() bool

	// Mask stops the kernel from signalling completions while a runner looks
	// at the queue anyway; Unmask lets it again. After Unmask the queue must
	// be looked at once more.
	Mask()
	Unmask()

	// Wait blocks its goroutine, and no thread, until the kernel signals a
	// completion, calls ready, and goes on waiting; it returns when the Kernel
	// is closed. It may call ready without a cause. It is for one goroutine of
	// its own, beside the holder of the run token.
	//
	// It may instead return at once and have ready called from elsewhere, until
	// the Kernel is closed: a simulation, which has no goroutines, does.
	Wait(ready func())

	// Enters is how many times the kernel has been entered (io_uring_enter).
	Enters() uint64

	// Supports reports whether this kernel has the operation.
	Supports(Code) bool

	// Close gives the ring up. It is no barrier: the caller has seen the
	// terminal CQE of every request, or keeps the memory of those it has not
	// until AwaitGone says that it is free. Closing twice is allowed.
	Close() error

	// AwaitGone blocks its goroutine, and no thread, until the kernel has let go
	// of every request of a Kernel that was closed, then calls gone, once. It may
	// instead return at once and have gone called later, from elsewhere. What
	// the requests would have brought, a descriptor for instance, is lost.
	//
	// Whoever closes a Kernel with requests outstanding asks, once, before or
	// after Close; nobody else needs to.
	AwaitGone(gone func())
}
