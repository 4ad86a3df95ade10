package actors

import (
	"sync"
	"sync/atomic"

	"github.com/ringmaster-io/ringmaster/ring"
)

// lane is the engine's side of the blocking lane: what has ended there waits
// here until the ring owner's runner takes it.
type lane struct {
	ring.Blocking
	// closer closes descriptors that nobody wants. It is a lane of its own: one
	// that hangs, on a network file system, holds no operation up.
	closer ring.Blocking
	// wake has the drive look; it is called on the workers' goroutines.
	wake func()

	mu     sync.Mutex
	ended  []*ring.Job
	spare  []*ring.Job
	length atomic.Int32
	closes atomic.Int32 // descriptors that are being closed
}

func newLane(host ring.Host, workers, backlog int, wake func()) *lane {
	l := &lane{wake: wake}
	l.Blocking = host.OpenLane(workers, backlog, l.done)
	l.closer = host.OpenLane(closeWorkers, backlog, l.closed)
	return l
}

// closeWorkers is how many descriptors are closed at once, not counting those that
// hang.
const closeWorkers = 4

// closed runs on a worker of the closer.
func (l *lane) closed(job *ring.Job) {
	deviceOfJob(job).jobs.Add(-1)
	if l.closes.Add(-1) == 0 {
		l.wake()
	}
}

// end ends both lanes, which have nothing left to do; house counts them until
// their last worker has left.
func (l *lane) end(house *household) {
	for _, lane := range [...]ring.Blocking{l.Blocking, l.closer} {
		house.enter()
		lane.Close()
		lane.Left(house.leave)
	}
}

// done runs on a worker.
func (l *lane) done(job *ring.Job) {
	deviceOfJob(job).jobs.Add(-1)
	l.mu.Lock()
	l.ended = append(l.ended, job)
	l.length.Store(int32(len(l.ended)))
	l.mu.Unlock()
	l.wake()
}

// call has a job performed that goes to a device.
func (l *lane) call(job *ring.Job, d *device) {
	job.Group, job.Context = &d.calls, d
	d.jobs.Add(1)
	if !l.Submit(job) {
		panic(&ring.InvariantError{What: "the blocking lane is closed before the engine"})
	}
}

// withdraw takes a job back, and reports false if it has begun.
func (l *lane) withdraw(u ring.UserData, job *ring.Job) bool {
	if !l.Withdraw(u) {
		return false
	}
	deviceOfJob(job).jobs.Add(-1)
	return true
}

func deviceOfJob(job *ring.Job) *device { return job.Context.(*device) }

// close closes a descriptor that nobody wants, of a device.
func (l *lane) close(fd int32, d *device) {
	l.closes.Add(1)
	d.jobs.Add(1)
	job := &ring.Job{Call: ring.CallCloseFD, FD: fd, Group: &d.closes, Context: d, UserData: ring.MakeUserData(ring.KindInternal, 0, 0)}
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
