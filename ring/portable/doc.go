// Package portable is a [ring.Kernel] of ordinary system calls. It serves where
// io_uring is forbidden or is not to be had: in containers, on gVisor, on macOS
// and FreeBSD. What drives it need not know.
//
//   - kernel.go and enter.go are the seam: what is pushed, consumed, and told.
//   - operation.go is a request that did not end at once; timer.go, stream.go,
//     watch.go, tell.go, crew.go and await.go are the things that it may be doing
//     then.
//   - epoll_linux.go and pollset.go tell when descriptors are ready.
//   - calls.go and its platforms' files are the system calls.
//
// # Invariant
//
// A request that was consumed is, at any time, in exactly one place: it has
// ended, and its completion is in the queue; or it is an operation that waits
// for a worker, for readiness or for time, and can be cancelled; or it is in a
// call, and nothing stops it. Each ends once. Its memory is referred to until
// then, and not longer.
//
// # How requests are performed
//
// What never waits is performed by Enter, on its caller's thread: a Nop, a
// Cancel, the start of a timer, a transfer that is told not to wait, the first
// attempt at a stream. What can only be done by waiting in a call goes to a
// worker (see crew). A pipe or a socket on which nothing can be moved, and a
// Poll of one, wait for readiness; that occupies no thread on Linux, and one for
// all of them elsewhere. Who tells of it tries what waited; if he hangs in that,
// another goes on (see teller). An idle kernel has one parked goroutine on Linux, none
// elsewhere, and no timer.
//
// Everything else, terminals among it, is asked whether it is ready by a worker,
// which waits for it too: a driver or a file system's server may hang when it is
// asked, and Go's netpoller with it if it has such a file to look into.
//
// # Who may call
//
// See [Kernel]. Which thread enters does not matter, as it does for io_uring:
// nothing has to be done by the thread that issued it. Every goroutine that a
// kernel starts is counted, and [Kernel.AwaitGone] tells when the last has left.
//
// Descriptors must stay open until their requests have ended, as the seam's
// user sees to: they are looked up when a call is made.
//
// # What differs from io_uring
//
// Results are those of io_uring, which the tests compare, but for these:
//
//	a call that has begun      io_uring interrupts some calls that wait, such as the
//	                           opening of a FIFO that has no other end. Go gives no way
//	                           to do so: the cancel answers EALREADY, however often it
//	                           is asked, the call goes on to its true result, and its
//	                           worker and a thread with it.
//	waiting for a device       polls of terminals, other devices, files, directories and
//	                           epoll instances, and reads and writes of such devices,
//	                           occupy a worker each while they wait, and a descriptor. A
//	                           cancel answers EALREADY, and wakes them to end with
//	                           ECANCELED, unless they hang.
//	hung calls                 Options.WorkersMax of them, and of those that wait for a
//	                           device, stop everything that needs a worker: path
//	                           operations, syncs, and transfers on files that may wait.
//	                           The rest goes on, unless a stream's transfer hangs then,
//	                           too: that stops those that wait for readiness.
//	a poll                     io_uring's ends when its descriptor is ready, be it for a
//	                           moment. Here it goes on waiting if somebody takes what
//	                           there was before it is told of, unless that is a transfer
//	                           of this kernel's on the same descriptor. Through another
//	                           descriptor of the same open file it goes unnoticed; and,
//	                           where a worker waits, in any case.
//	polling what tells nobody  a poll of a file that never tells of what it is asked
//	                           for (most of /proc, for priority data) is refused by
//	                           io_uring with EINVAL. Here it waits to be cancelled.
//	closing a descriptor       io_uring lets what waits for its readiness go on, on the
//	                           file that it was. Here it waits to be cancelled; if the
//	                           number comes to mean another file that is waited for, or
//	                           the old file has other descriptors, it may be told of
//	                           either, and then is a transfer on what the number means
//	                           by then. So nobody is to do that: see above. The engine
//	                           keeps each descriptor until nothing waits for it, and no
//	                           message meets this.
//	opening a FIFO to read     without Async io_uring does not wait for a writer; here
//	                           the opening always does.
//	a NoWait write to a file   where the file system cannot be told so, the answer may
//	                           be EOPNOTSUPP instead of EAGAIN.
//	StreamOffset on a file     the result may be short where only part is in memory.
//	something with positions   a transfer with an offset on what has positions and waits
//	that is neither file nor   all the same (a few devices) occupies a worker.
//	stream
//	streams without NOWAIT     FIFOs and terminals, before Linux 6.4 and on gVisor pipes
//	                           too: readiness is asked for first, and then a plain call
//	                           is made by a worker. If somebody else has read or written
//	                           in between, the worker waits in that call, and cannot be
//	                           cancelled. A write to a FIFO may be shorter than need be.
//	                           What is non-blocking is not asked: a worker makes the
//	                           call at once. A FIFO that was opened so, and is blocking
//	                           since, is not at its end before there was a writer.
//	a write to an eventfd      whose value does not fit yet is made by a worker, which
//	                           waits in it and cannot be cancelled: an eventfd is ready
//	                           when 1 fits, and its writes cannot be told not to wait.
//	transfers of nothing       on what is neither a file nor a socket they end with 0,
//	                           and the file is not asked: an eventfd, for instance,
//	                           would say EINVAL.
//	a socket's error queue     while nobody reads it, a transfer that waits for the same
//	                           socket occupies a worker.
//	no /proc                   what has no name (an eventfd, a timer, an inotify, an epoll
//	                           instance) is not told apart: a read, a write or a poll
//	                           of any that waits occupies a worker, and a descriptor.
//	no openat2                 RESOLVE_* bits are refused with EOPNOTSUPP (gVisor, Linux
//	                           before 5.6, old filters of system calls).
//	no statx                   Stat gives no time of birth, no mount and no attributes,
//	                           and to ask what a descriptor is may hang with its file
//	                           system's server (Linux before 4.11, old filters).
//	no preadv2                 nothing can be told not to wait: NoWait is refused with
//	                           EOPNOTSUPP, and pipes are streams without NOWAIT, see
//	                           above (Linux before 4.6, old filters).
//
// And on macOS and FreeBSD:
//
//	NoWait                     is refused with EOPNOTSUPP, whatever the file.
//	RESOLVE_* bits             are refused with EOPNOTSUPP.
//	Allocate                   is not supported; nor is Advise on macOS.
//	Rename with flags          macOS has RENAME_NOREPLACE and RENAME_EXCHANGE, FreeBSD
//	                           neither: EINVAL.
//	pipes                      are streams without NOWAIT, see above. Sockets are not,
//	                           but for the next.
//	writes to sockets          on macOS ask for room first, and are then made by a worker
//	                           that, if there is too little, waits and cannot be
//	                           cancelled: MSG_DONTWAIT does not hold for sends there.
//	vectors on such streams    only the first buffer that has room is used.
//	terminals on macOS         cannot be polled there: a read of one occupies a worker
//	                           until there is something, and a Poll answers EINVAL.
//	expiry of a timeout        is ETIMEDOUT on FreeBSD, which has no ETIME.
//	Fsync                      on macOS flushes to the medium (F_FULLFSYNC), as on Linux.
package portable
