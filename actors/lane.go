package actors

import (
	"sync"
	"sync/atomic"

	"github.com/ringmaster-io/ringmaster/ring"
)

// lane is the engine's side of the blocking lane: what has ended there waits
// here until the ring owner's runner takes it.
type lane struct {
	*ring.Lane
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
	return l
}

// done runs on a worker. A close that nobody waits for ends here.
func (l *lane) done(job *ring.Job) {
	if job.Call == ring.CallCloseFD {
		if l.closes.Add(-1) == 0 {
			l.wake()
		}
		return
	}
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
	if !l.Submit(job) {
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
