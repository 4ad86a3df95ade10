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
//   - an outbox for each requester whose mailbox may block its sender.
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
// thread.
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
// Deadlines stand in a heap, and the nearest one has a kernel timer. A link
// timeout for each operation would cost two more entries in each queue, and
// could not end what the kernel has not seen yet.
package actors
