package actors

import "github.com/ringmaster-io/ringmaster/ring"

// device is one file system that operations go to, and what was learned of it.
// It is judged by what it answers: to ask it what it is may hang with it.
//
// Only so many operations of one device are issued at a time that may occupy a
// kernel worker: there are workersMax of them, and those of a device that hangs
// do not come back. The others wait for their turn outside the kernel, where a
// cancellation and a deadline reach them.
type device struct {
	// noNowait: a read of its files cannot be told not to wait.
	noNowait bool
	bound    int // how many are issued at a time
	issued   int
	waiting  queue
}

// Two devices can hang, and half of the workers are left. Operations whose
// device is not known, since their path is absolute, count as of one.
const (
	deviceBound  = workersMax / 4
	unknownBound = workersMax / 2
)

func newDevice(bound int) *device { return &device{bound: bound, waiting: queue{id: inDevice}} }

func (e *engine) deviceOf(number uint64) *device {
	d := e.devices[number]
	if d == nil {
		d = newDevice(deviceBound)
		e.devices[number] = d
	}
	return d
}

// admit has an operation issued that may occupy a kernel worker, or has it wait
// and reports false.
func (e *engine) admit(p *operation) bool {
	if p.issued || !p.occupies() {
		return true
	}
	d := e.deviceFor(p)
	if d.issued >= d.bound {
		d.waiting.push(p)
		return false
	}
	d.issued++
	p.issued = true
	return true
}

// deviceFor is where an operation goes, as far as that is known.
func (e *engine) deviceFor(p *operation) *device {
	if p.file != nil && p.file.Payload.device != nil {
		return p.file.Payload.device
	}
	return e.unknown
}

// dismiss ends an operation's claim to a worker, and issues the next one.
func (e *engine) dismiss(p *operation) {
	if !p.issued {
		return
	}
	p.issued = false
	d := e.deviceFor(p)
	d.issued--
	if next := d.waiting.head; next != nil {
		d.waiting.remove(next)
		e.enqueue(next)
	}
}

// occupies reports whether a kernel worker may have to perform it.
func (p *operation) occupies() bool {
	switch {
	case p.request.Code == ring.CodePoll || p.file != nil && p.file.Payload.kind == kindCharacter:
		return false // the worker leaves it armed, and goes
	case p.request.Async:
		return true
	case p.class != classAnywhere || p.request.NoWait:
		return false
	default:
		return p.request.Code != ring.CodeNop
	}
}
