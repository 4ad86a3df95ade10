package actors

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/ringmaster-io/ringmaster/ring"
)

// lane is the engine's side of the blocking lane: what has ended there waits
// here until the ring owner's runner takes it.
type lane struct {
	*ring.Lane
	// closer closes descriptors that nobody wants. It is a lane of its own: one
	// that hangs, on a network file system, holds no operation up.
	closer *ring.Lane
	// wake has the drive look; it is called on the workers' goroutines.
	wake func()

	mu     sync.Mutex
	ended  []*ring.Job
	spare  []*ring.Job
	length atomic.Int32
	closes atomic.Int32 // descriptors that are being closed
}

func newLane(workers, backlog int, wake func()) *lane {
	l := &lane{wake: wake}
	l.Lane = ring.NewLane(workers, backlog, l.done)
	l.closer = ring.NewLane(closeWorkers, backlog, l.closed)
	return l
}

// closeWorkers is how many descriptors are closed at once.
const closeWorkers = 16

// closed runs on a worker of the closer.
func (l *lane) closed(*ring.Job) {
	if l.closes.Add(-1) == 0 {
		l.wake()
	}
}

// end ends both lanes, which have nothing left to do.
func (l *lane) end() {
	l.Lane.Close()
	l.closer.Close()
}

// join waits for the last worker.
func (l *lane) join() {
	_ = l.Lane.Join(context.Background())
	_ = l.closer.Join(context.Background())
}

// done runs on a worker.
func (l *lane) done(job *ring.Job) {
	l.mu.Lock()
	l.ended = append(l.ended, job)
	l.length.Store(int32(len(l.ended)))
	l.mu.Unlock()
	l.wake()
}

// close closes a descriptor that nobody wants.
func (l *lane) close(fd int32) {
	l.closes.Add(1)
	job := &ring.Job{Call: ring.CallCloseFD, FD: fd, UserData: ring.MakeUserData(ring.KindInternal, 0, 0)}
	if !l.closer.Submit(job) {
		// The lane is sized for every operation there can be, and closed only
		// when no descriptor is left.
		panic(&ring.InvariantError{What: "the blocking lane refuses to close a descriptor"})
	}
}

// take gives what has ended since. The slice is good until the next call.
func (l *lane) take() []*ring.Job {
	if l.length.Load() == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	batch := l.ended
	l.ended = l.spare[:0]
	l.spare = batch
	l.length.Store(0)
	return batch
}
