// Package actors holds the ring owner, the operation actors, and the helpers
// for goroutines that are no actors.
//
// # Its job
//
// A ring owner is a protoactor actor (see [RingOwner]). It takes the messages
// of package messages, has a ring or the blocking lane perform the operations,
// and answers. What it knows lives in its engine, which outlives each
// incarnation of the actor: the lifecycle map, the handles, the rings.
//
// # Its invariant
//
// Each Submit that the ring owner takes is at any moment in exactly one of
// these places, and each place leads to an answer: in hand (afterPanic refuses
// it), in a slot of the lifecycle map (whose state says what is to be done
// next; repair puts it back on its way), or answered.
//
// # Who runs it
//
// Anybody may send to the ring owner. Its mailbox is of our own making (see
// drive): who posts to it while it is idle runs it, for one burst, on the
// poster's own stack. Only what is safe there happens there: no system
// message, nobody's code, no operation that would end by task work of the
// poster's thread. The goroutines are few and each has an owner that joins it:
//
//   - the runner, parked until a burst is handed to it;
//   - a watcher for each ring, parked on its eventfd;
//   - a pinned thread for each ring that needs one (see pinnedThread);
//   - the workers of the blocking lane, while there is work;
//   - an outbox for each requester whose mailbox may block its sender;
//   - a herald, while there is news (see messages.RingOpenedEvent and others).
//
// They come from a [Crew], as do the clock and the timers; what the engine asks
// of the operating system goes through a ring.Kernel and a ring.Host. So a
// simulation can put a world of its own below it, and decide what comes next.
//
// # When it fails
//
// A panic is caught by whoever runs. The ring is fenced at once: what its kernel
// has not consumed is taken back, the rest is reaped beside whatever comes next.
// The Submit in hand, and those behind it in its batch, are refused. Then the
// supervisor is told. Until it has restarted the actor the engine goes on by
// itself: it takes what is posted, answers what ends, and serves what needs no
// ring. It can do so since the actor is but a face; what it could not survive
// is a failure without an end, so after many it rests until the actor is back.
//
// A call into the kernel may hang, in the driver of a device. A watchdog takes
// the token from a holder that does not come back, and goes on in his place. He
// still holds his ring, of which nobody touches the submission queue until he
// returns; then he touches nothing, and what was not consumed is taken back.
//
// A pipe's lock is the likeliest thing to hang on: a peer keeps it while he moves to
// that pipe what a socket has yet to bring, or faults on the memory of a hung file
// server. A read that was waiting is performed by the pinned thread when it is
// parked, where no watchdog looks, and then whatever else waits on that ring waits,
// until somebody enters it: a submission, a cancellation, a deadline. To have
// workers read pipes would make each transfer three to four times as slow.
//
// What a ring does not end in time is forfeited: answered as unknown, its memory
// in quarantine until the kernel is known to be done with it (see quarantine.go).
//
// # How an operation is issued
//
// A buffered read of a regular file is issued at once, on any thread, and told
// not to wait. If it would have had to, the pinned thread issues it again; if
// its file system cannot be told so, a kernel worker performs it, and the next
// ones of that device at once: a device is judged by what it answers, since
// asking what it is may hang with it. Writes, path operations and syncs go to
// kernel workers from the start, which is where the kernel would take most of
// them anyway. Pipes, sockets, polls, timers and O_DIRECT belong to the pinned
// thread. Nothing is issued whose submission may wait for a device: what is no
// pipe or socket is told not to wait, or goes to a kernel worker (see
// neverWaiting).
//
// A thread that ends has its kernel cancel what it submitted, as a poster or when
// the runner was on it; that is issued again, by the pinned thread. One thing
// nobody here can help: an open that waits for a FIFO's other end may escape this
// cancellation, and then the thread does not come to its end before the open does,
// and nothing else that it submitted is completed. A program whose goroutines end
// locked to their threads should open FIFOs with O_NONBLOCK.
//
// # Where this differs from the first design
//
// One lifecycle map serves all rings, where the design gave each ring its own.
// User data never repeat, so a completion of a ring that is being drained
// finds its slot as any other; nothing has to be moved when a ring is lost,
// and handles, identities and the order on streams hold across it for free.
//
// A state Due stands between a result and its answer. A failure in between
// finds the answer still owed, and only the sending itself is not repeated: it
// is marked first, and cannot fail.
//
// Nothing stays published in a submission queue that the kernel did not take:
// it is taken back. Otherwise the next thread to enter, whichever it is, would
// publish what only the pinned one may.
//
// A burst that is one batch of its poster's own may copy 512 KiB on the poster's
// stack, where the design allowed 64. To hand it to another thread costs two
// wake-ups and cold buffers, which was more than the copying.
//
// What a drained ring has at its deadline is asked to stop before it is given
// up: an idle read would wait for ever, and ends at once when told to.
//
// While the actor is down its mailbox does not only serve Cancels but takes
// Submits too: they wait for the next ring, where the design had the mailbox
// itself refuse what is beyond its bound. There is one bound less to explain,
// and a restart is not seen by those who submit.
//
// A stuck ring is not asked to cancel anything while its holder hangs, since
// that would hang as well; a Cancel waits for him, or for the drain's deadline.
//
// A device that hangs is known by its number, not by a mount: a bound on what is
// issued to one keeps it from taking all kernel workers (see device), or all of
// the blocking lane's (see ring.Group).
//
// A quota for each owner is not enough for nobody to be blocked: one of operations
// that never end may take all of the kernel's places within it. The last of them
// are for owners that hold few (see share.go).
//
// Deadlines stand in a heap, and one timer of the Go runtime is set for the nearest,
// where the design asked the kernel. A link timeout for each operation would cost
// two more entries in each queue, and could not end what the kernel has not seen
// yet. A kernel timer ends by task work of the pinned thread, and that may hang: in
// a read of a pipe whose other end is held by a writer that faults on the memory
// of a hung file server. It waits with a busy ring, and there may be no ring.
package actors
