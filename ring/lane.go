package ring

import (
	"cmp"
	"context"
	"math/bits"
	"slices"
	"sync"
	"time"
)

// Lane runs jobs that block, on a bounded number of worker goroutines, in the
// order in which they were submitted. Jobs that hang must not hold up the
// others: while some wait and none has been taken for a while, further workers
// come, up to many times the bound; and of those of one [Group] only some are
// taken. It has a worker only while it has a job:
// an idle lane is no goroutine, and takes no CPU.
//
// Each submitted job is given back exactly once: to done when it has run, or
// by Withdraw or Close, and then it never runs. A call that hangs keeps its
// worker, and nothing else, until the kernel lets go of it.
//
// done is called on the worker's goroutine, with no lock held; it may call
// anything of the Lane but Join. It must not block: its worker takes no other
// job meanwhile. If it panics the lane counts the worker out, starts another
// for the jobs that wait, and lets the panic go on. The lane does not recover
// it: a job whose answer got lost is a broken promise, and nothing above a
// worker could mend it, so the program ends with the stack of the culprit.
//
// A Lane may be used by any number of goroutines.
type Lane struct {
	workers, backlog int
	done             func(*Job)
	// perform is Job.run; tests put a gate here.
	perform func(*Job, *scratch)
	// patience is hurryAfter, except in tests.
	patience time.Duration
	// start is l.work, bound once: a go statement without arguments allocates
	// nothing.
	start func()
	// scratches keeps the buffers of workers that left, until the next garbage
	// collection.
	scratches sync.Pool

	mu     sync.Mutex
	queue  jobQueue
	closed bool
	// alive is how many workers there are. Some are running a job, some were
	// started and have not looked at the queue yet; the others are in done.
	alive, running, starting int
	// left is what Left is to call.
	left func()
	// taken counts the jobs taken, and seen is how many had been when the hurry
	// timer was armed.
	taken, seen uint64
	hurrying    bool
	// idle is closed and dropped when the last worker leaves; nil if nobody
	// asked.
	idle chan struct{}
}

// NewLane makes an idle lane of so many workers at most, and so many jobs at
// most that wait for one. See [Lane] for done.
func NewLane(workers, backlog int, done func(*Job)) *Lane {
	if workers < 1 || backlog < 0 || done == nil {
		panic(&InvariantError{What: "a lane needs a worker, a backlog and somebody to give jobs to"})
	}
	l := &Lane{workers: workers, backlog: backlog, done: done, perform: (*Job).run, patience: hurryAfter}
	l.start = l.work
	l.scratches.New = func() any { return new(scratch) }
	l.queue.init(backlog)
	return l
}

// Submit takes the job and returns at once. It reports false, and leaves the
// job with the caller, when the lane is closed, or has as many unfinished jobs
// as it has workers and places to wait. A job counts as finished before done
// is called with it: whoever submits the next one on being told is not refused
// for the sake of the last.
func (l *Lane) Submit(j *Job) bool {
	l.mu.Lock()
	if j.waiting {
		l.mu.Unlock()
		panic(&InvariantError{What: "a job was submitted while it waits in a lane"})
	}
	if l.closed || l.running+l.queue.len+l.queue.held >= l.workers+l.backlog {
		l.mu.Unlock()
		return false
	}
	hire := !l.queue.push(j) && l.hire()
	if !hire {
		l.hurry()
	}
	l.mu.Unlock()
	if hire {
		go l.start()
	}
	return true
}

// hurryAfter is for how long no job may be taken, while some wait, until a
// further worker comes; and hurryFactor times the bound is how many there may be.
const (
	hurryAfter  = 10 * time.Millisecond
	hurryFactor = 64
)

// hurry has the lane looked at in a while, if jobs wait for workers that may all
// hang.
// REQUIRES: l.mu.
func (l *Lane) hurry() {
	if l.hurrying || l.queue.len <= l.starting || l.alive < l.workers || l.alive >= hurryFactor*l.workers {
		return
	}
	l.hurrying, l.seen = true, l.taken
	time.AfterFunc(l.patience, l.hurryNow)
}

func (l *Lane) hurryNow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hurrying = false
	if l.taken == l.seen && l.queue.len > l.starting && l.alive < hurryFactor*l.workers {
		l.alive++
		l.starting++
		go l.start()
	}
	l.hurry()
}

// Withdraw takes back a job that still waits: it reports true, the job will
// never run, and done is not called with it. It reports false when no job of
// that name waits; it may be running, or finished, or never have been.
func (l *Lane) Withdraw(u UserData) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	j := l.queue.find(u)
	if j == nil {
		return false
	}
	l.queue.remove(j)
	return true
}

// Waiting is how many jobs no worker has taken yet.
func (l *Lane) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queue.len + l.queue.held
}

// Running is how many jobs are in their call.
func (l *Lane) Running() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running
}

// Close refuses all further jobs, and gives back those that wait, oldest
// first. What runs goes on, and done is called with it; Idle and Join tell
// when. Closing twice is allowed.
func (l *Lane) Close() []*Job {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return l.queue.all()
}

// Idle gives a channel that is closed once the lane has no worker, so that
// done is not under way and all jobs submitted before have been given back. On
// a lane that is not closed, that moment may have passed when the caller hears
// of it.
func (l *Lane) Idle() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.idle == nil {
		l.idle = make(chan struct{})
	}
	idle := l.idle
	if l.alive == 0 {
		l.idleTell()
	}
	return idle
}

// Left calls left once no worker is there any more: from the last one's
// goroutine, or at once. It is for a lane that is closed, and may be called
// once.
func (l *Lane) Left(left func()) {
	l.mu.Lock()
	busy := l.alive > 0
	if busy {
		l.left = left
	}
	l.mu.Unlock()
	if !busy {
		left()
	}
}

// Join waits for [Lane.Idle], or for the context's end, whose error it returns
// then: a hung device may never let its worker go.
func (l *Lane) Join(ctx context.Context) error {
	select {
	case <-l.Idle():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hire reports whether a worker must be started now, and counts it in. A
// worker that is in done does not count on as one that will come for the job:
// it may be held up there.
// REQUIRES: l.mu.
func (l *Lane) hire() bool {
	if l.alive >= l.workers || l.queue.len <= l.starting {
		return false
	}
	l.alive++
	l.starting++
	return true
}

// work is a worker's life. The lane owns it: alive counts it, Idle joins it.
func (l *Lane) work() {
	defer l.leave()
	s := l.scratches.Get().(*scratch)
	for j := l.first(); j != nil; j = l.take() {
		l.perform(j, s)
		l.finished(j.Group)
		l.done(j)
	}
	// Not after a panic: s is simply lost then.
	l.scratches.Put(s)
}

func (l *Lane) first() *Job {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.starting--
	return l.takeLocked()
}

func (l *Lane) take() *Job {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.takeLocked()
}

func (l *Lane) takeLocked() *Job {
	j := l.queue.pop()
	if j != nil {
		l.running++
		l.taken++
	}
	return j
}

// finished is for a job that has run. The next one of its group that was held back
// is for another worker, if there may be one: this one may be held up in done.
func (l *Lane) finished(g *Group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	if !l.queue.left(g) {
		return
	}
	if l.hire() {
		go l.start()
		return
	}
	l.hurry()
}

// leave counts a worker out. A worker that found the queue empty may leave it
// filled again, and one whose done panicked or ended its goroutine leaves it as
// it is: in both cases another one must come.
func (l *Lane) leave() {
	if left := l.leaveLocked(); left != nil {
		left()
	}
}

func (l *Lane) leaveLocked() (left func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alive--
	if l.hire() {
		go l.start()
	}
	if l.alive > 0 {
		return nil
	}
	l.idleTell()
	left, l.left = l.left, nil
	return left
}

// idleTell tells who waits that there is no worker.
// REQUIRES: l.mu.
func (l *Lane) idleTell() {
	if l.idle != nil {
		close(l.idle)
		l.idle = nil
	}
}

// Group is jobs of one lane that may all hang together, those of one device. Only so
// many of them are among the jobs that workers take; the others are held back, and
// keep nobody else's waiting. The zero value is ready for use; it is the lane's.
type Group struct {
	admitted int // that wait for a worker, or have one
	held     jobList
}

// groupMost is how many jobs of one group may wait for a worker or have one.
const groupMost = 8

// full reports whether a job of the group is to be held back.
func (g *Group) full() bool { return g != nil && g.admitted >= groupMost }

// admit counts a job that is put among those that workers take.
func (g *Group) admit() {
	if g != nil {
		g.admitted++
	}
}

// leave is for one that has run or was withdrawn. It gives the one that may come in
// its place, or nil.
func (g *Group) leave() *Job {
	if g == nil {
		return nil
	}
	g.admitted--
	return g.held.first
}

// jobQueue holds the jobs that wait, in order of arrival, and finds them by
// their user data, those that are held back with their groups as well. Both are
// links inside the jobs.
type jobQueue struct {
	jobList
	held    int    // jobs held back
	arrived uint64 // jobs so far
	buckets []*Job // a power of two of them
	shift   uint
}

// bucketsMax keeps the index of a lane with a huge backlog small. Beyond it
// Withdraw looks at a few jobs more.
const bucketsMax = 1 << 14

func (q *jobQueue) init(jobs int) {
	n := min(max(jobs, 1), bucketsMax)
	width := uint(bits.Len(uint(n - 1)))
	q.buckets = make([]*Job, 1<<width)
	q.shift = 64 - width
}

// bucket spreads user data by Fibonacci hashing: consecutive slots fall far
// apart, and the upper bits of the product depend on all bits of u.
func (q *jobQueue) bucket(u UserData) **Job {
	return &q.buckets[uint64(u)*0x9e3779b97f4a7c15>>q.shift]
}

// push takes a job, and reports whether it is held back.
func (q *jobQueue) push(j *Job) (held bool) {
	j.waiting, j.arrival = true, q.arrived
	q.arrived++
	head := q.bucket(j.UserData)
	j.hashNext, *head = *head, j
	if j.hashNext != nil {
		j.hashNext.hashPrev = j
	}
	if j.held = j.Group.full(); j.held {
		q.held++
		j.Group.held.push(j)
		return true
	}
	j.Group.admit()
	q.jobList.push(j)
	return false
}

// left is for a job of a group that is not among those any more that workers take:
// the next one is, and it reports whether there was one.
func (q *jobQueue) left(g *Group) (more bool) {
	j := g.leave()
	if j == nil {
		return false
	}
	g.held.remove(j)
	q.held--
	j.held = false
	g.admit()
	q.jobList.push(j)
	return true
}

// pop takes the oldest job, or nil. It counts with its group still.
func (q *jobQueue) pop() *Job {
	j := q.first
	if j != nil {
		q.jobList.remove(j)
		q.forget(j)
	}
	return j
}

func (q *jobQueue) find(u UserData) *Job {
	j := *q.bucket(u)
	for j != nil && j.UserData != u {
		j = j.hashNext
	}
	return j
}

// remove takes a job out that waits.
func (q *jobQueue) remove(j *Job) {
	q.forget(j)
	if j.held {
		j.held = false
		q.held--
		j.Group.held.remove(j)
		return
	}
	q.jobList.remove(j)
	q.left(j.Group)
}

// forget has a job be found no more.
func (q *jobQueue) forget(j *Job) {
	if j.hashPrev != nil {
		j.hashPrev.hashNext = j.hashNext
	} else {
		*q.bucket(j.UserData) = j.hashNext
	}
	if j.hashNext != nil {
		j.hashNext.hashPrev = j.hashPrev
	}
	j.hashNext, j.hashPrev = nil, nil
	j.waiting = false
}

// all gives all jobs, and keeps none.
func (q *jobQueue) all() []*Job {
	jobs := make([]*Job, 0, q.len+q.held)
	for _, j := range q.buckets {
		for ; j != nil; j = j.hashNext {
			jobs = append(jobs, j)
		}
	}
	slices.SortFunc(jobs, func(a, b *Job) int { return cmp.Compare(a.arrival, b.arrival) })
	for _, j := range slices.Backward(jobs) { // the youngest first, so that none moves up
		q.remove(j)
	}
	return jobs
}

// jobList is a list of jobs through the links in them.
type jobList struct {
	len         int
	first, last *Job
}

func (l *jobList) push(j *Job) {
	j.prev, l.last = l.last, j
	if j.prev != nil {
		j.prev.next = j
	} else {
		l.first = j
	}
	l.len++
}

func (l *jobList) remove(j *Job) {
	if j.prev != nil {
		j.prev.next = j.next
	} else {
		l.first = j.next
	}
	if j.next != nil {
		j.next.prev = j.prev
	} else {
		l.last = j.prev
	}
	j.next, j.prev = nil, nil
	l.len--
}
