package portable

import "time"

// crew are the workers that make calls which may block, and what waits for one.
// All of it is under Kernel.mu.
//
// A worker is there only while there is a call for it. One that takes a call
// has the next one hired first, if more wait: so there are as many as the
// scheduler has processors for and as hang in calls, and calls that end at once
// bring few of them about.
//
// A worker whose call has lasted for stallAfter is stuck, and does not count
// against limit, only against most: a file that hangs does not stop the others
// until so many calls hang. This is looked into only while something waits for
// a worker and there may be no more.
type crew struct {
	limit, most int
	start       func() // Kernel.work, bound once

	queue   list // wait for a worker
	running list // are in a call, those that began first in front

	alive, starting, stuck int

	stall     *time.Timer
	stallSoon bool // the timer is running
}

// stallAfter is far more than a disk needs, and little for who waits behind a
// file that hangs.
const stallAfter = 10 * time.Millisecond

func (c *crew) init(options Options, start func()) {
	c.limit, c.most, c.start = options.Workers, options.WorkersMax, start
}

func (c *crew) forget() {
	c.queue = list{}
	if c.stall != nil {
		c.stall.Stop()
	}
}

func (c *crew) room() bool { return c.alive-c.stuck < c.limit && c.alive < c.most }

// takeStuck counts a goroutine that hangs with an operation as a worker.
func (c *crew) takeStuck(o *operation) {
	o.begun, o.stuck = time.Now(), true
	c.running.push(o)
	c.alive++
	c.stuck++
}

// enqueue has a worker go on with an operation.
// REQUIRES: k.mu, and k is not closed.
func (k *Kernel) enqueue(o *operation) {
	o.place = placeQueue
	k.pending[o.name] = o
	k.crew.queue.push(o)
	k.hire()
}

// hire starts a worker if one is wanted and there may be one more.
// REQUIRES: k.mu.
func (k *Kernel) hire() {
	c := &k.crew
	if c.queue.length == 0 || c.starting > 0 {
		return
	}
	if !c.room() {
		k.watchStall()
		return
	}
	if k.presence.enter() {
		c.alive++
		c.starting++
		go c.start()
	}
}

// work is a worker's life. presence counts it.
func (k *Kernel) work() {
	defer k.presence.leave()
	if o := k.workFirst(); o != nil {
		res, v := k.run(o)
		k.workOn(o, res, v)
	}
}

// workOn settles an operation, and goes on with what waits for a worker.
func (k *Kernel) workOn(o *operation, res int32, v verdict) {
	for {
		next, open := k.workNext(o, res, v)
		if !open {
			o.undo(res)
		}
		if next == nil {
			return
		}
		o = next
		res, v = k.run(o)
	}
}

func (k *Kernel) workFirst() *operation {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.crew.starting--
	return k.workTake()
}

// workNext settles an operation and takes the next. It reports false when the
// result of the former is nobody's.
func (k *Kernel) workNext(o *operation, res int32, v verdict) (next *operation, open bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.crew.running.remove(o)
	if o.stuck {
		o.stuck = false
		k.crew.stuck--
	}
	open = k.settle(o, res, v)
	return k.workTake(), open
}

// workTake takes the oldest call that waits, or has the worker leave.
// REQUIRES: k.mu.
func (k *Kernel) workTake() *operation {
	o := k.crew.queue.pop()
	if o == nil {
		k.crew.alive--
		return nil
	}
	o.place, o.begun = placeCall, time.Now()
	k.crew.running.push(o)
	k.hire()
	return o
}

// watchStall looks again when the oldest call that is not stuck may be.
// REQUIRES: k.mu.
func (k *Kernel) watchStall() {
	c := &k.crew
	if c.stallSoon || c.alive == c.most {
		return // who is looking, looks; and the last bound is the last
	}
	o := c.running.first
	for o != nil && o.stuck {
		o = o.next
	}
	if o == nil {
		return // they are on their way
	}
	c.stallSoon = true
	d := max(time.Until(o.begun.Add(stallAfter)), 0)
	if c.stall == nil {
		c.stall = time.AfterFunc(d, k.stalled)
		return
	}
	c.stall.Reset(d)
}

// stalled finds the calls that are stuck.
func (k *Kernel) stalled() {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := &k.crew
	c.stallSoon = false
	now := time.Now()
	for o := c.running.first; o != nil && now.Sub(o.begun) >= stallAfter; o = o.next {
		if !o.stuck {
			o.stuck = true
			c.stuck++
		}
	}
	k.hire()
}
