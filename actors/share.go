package actors

// An owner may have any number of operations that never end: timers, polls, reads
// of idle streams. So that these do not keep everybody else's from being issued,
// the last quarter of the kernel's places is not for everyone: an owner takes one
// of them only while it holds few. The same goes for the slots of the lifecycle map.
//
// What finds no place waits with its owner, outside the kernel and outside the
// queues that others wait in, where a cancellation and a deadline reach it. Nothing
// waits there that might be issued: it waits because too much of its owner's has
// been, and one of that ends before it is next.

const (
	// reservedPart of all places is only for owners that hold few,
	reservedPart = 4
	// which is less than this part of all. Beside those that took the others there
	// is room for 32 owners that take as much as they can get.
	fewPart = 128
)

// fair reports whether an owner that holds some may have one more of all places,
// of which so many are taken. Three are not worth dividing.
func fair(taken, all, held int) bool {
	return taken < anyones(all) || held < few(all)
}

// anyones is how many of all places are not reserved.
func anyones(all int) int { return all - all/reservedPart }

func few(all int) int { return max(1, all/fewPart) }

// mayTake reports whether an operation may be brought before the kernel. A Close
// always may: it ends, and gives something up.
func (e *engine) mayTake(p *operation) bool {
	return p.placed || p.isClose() || fair(e.placed, e.config.InFlight, p.owner.placed)
}

// take gives an operation its place. It keeps it when it is issued again.
func (e *engine) take(p *operation) {
	if !p.placed && !p.isClose() {
		p.placed = true
		p.owner.placed++
		e.placed++
	}
}

// wait has an operation wait with its owner.
func (e *engine) wait(p *operation) {
	o := p.owner
	if o.waiting.head == nil {
		e.crowd.push(o)
	}
	o.waiting.push(p)
}

// waitNoMore takes an operation away that waits with its owner.
func (e *engine) waitNoMore(p *operation) {
	o := p.owner
	o.waiting.remove(p)
	if o.waiting.head == nil {
		e.crowd.remove(o)
	}
}

// vacate gives up an operation's place, and has those issued that it is for. It
// is called when the operation has ended, or was given up for unknown.
func (e *engine) vacate(p *operation) {
	if !p.placed {
		return
	}
	p.placed = false
	e.placed--
	if p.owner != nil {
		e.relieve(p.owner)
	}
	for e.crowd.head != nil && e.placed < anyones(e.config.InFlight) {
		next := e.crowd.head
		e.crowd.remove(next)
		e.crowd.push(next) // each in its turn
		e.advance(next)
	}
}

// relieve has an owner hold one place less: of what has ended, or of what it does
// not wait for any more, which takes its place in nobody's name.
func (e *engine) relieve(o *party) {
	o.placed--
	for o.waiting.head != nil && o.placed < few(e.config.InFlight) {
		e.advance(o)
	}
}

// advance brings the first operation on its way that waits with an owner. It takes
// a place, or waits for something else.
func (e *engine) advance(o *party) {
	p := o.waiting.head
	e.waitNoMore(p)
	e.enqueue(p)
}

// crowd is the owners with whom operations wait, in turn.
type crowd struct{ head, tail *party }

func (c *crowd) push(o *party) {
	o.ahead, o.behind = c.tail, nil
	if c.tail == nil {
		c.head = o
	} else {
		c.tail.behind = o
	}
	c.tail = o
}

func (c *crowd) remove(o *party) {
	if o.ahead == nil {
		c.head = o.behind
	} else {
		o.ahead.behind = o.behind
	}
	if o.behind == nil {
		c.tail = o.ahead
	} else {
		o.behind.ahead = o.ahead
	}
	o.ahead, o.behind = nil, nil
}
