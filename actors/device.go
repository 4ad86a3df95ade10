package actors

import (
	"maps"
	"strings"
	"sync/atomic"

	"github.com/ringmaster-io/ringmaster/ring"
)

// device is one file system that operations go to, and what was learned of it.
// It is judged by what it answers: to ask it what it is may hang with it.
//
// Only so many operations of one device are issued at a time that may occupy a
// kernel worker: there are Config.Workers of them, and those of a device that hangs
// do not come back. The others wait for their turn outside the kernel, where a
// cancellation and a deadline reach them.
//
// Where a path leads that is absolute nobody can tell without asking. What begins
// with the same two names counts as of one device.
type device struct {
	// noNowait: a read of its files cannot be told not to wait.
	noNowait bool
	issued   int
	past     int // of them those that are past saving
	waiting  queue
	// calls and closes are its jobs in the blocking lane and in the closer, and jobs
	// is how many both have; their workers count them out.
	calls, closes ring.Group
	jobs          atomic.Int32
	// files is how many handles there are to its files.
	files int
}

// idle reports whether nothing is on its way there and nothing may come that
// knows it.
func (d *device) idle() bool {
	return d.issued == 0 && d.waiting.head == nil && d.jobs.Load() == 0 && d.files == 0
}

// deviceBound is how many of a device are issued at a time, as long as workers are
// not scarce; when those of several devices have taken so many of them, each gets
// deviceLeast more.
func (c *Config) deviceBound() int { return c.Workers / 8 }
func (c *Config) deviceLeast() int { return max(c.Workers/64, 1) }
func (c *Config) scarce() int      { return c.Workers * 5 / 8 }

func newDevice() *device { return &device{waiting: queue{id: inDevice}} }

func (e *engine) deviceOf(number uint64) *device {
	d := e.devices[number]
	if d == nil {
		d = newDevice()
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
	if !e.admits(d) {
		d.waiting.push(p)
		return false
	}
	d.issued++
	e.occupied++
	p.issued = true
	return true
}

// admits reports whether one more may be issued of a device.
func (e *engine) admits(d *device) bool {
	if e.occupied >= e.config.scarce() {
		return d.issued < e.config.deviceLeast()
	}
	return d.issued-d.past < e.config.deviceBound()
}

// pastSaving is for an operation that was to end, and that its kernel says it
// cannot stop. On io_uring it does end then, if it only waits, as an open does
// for the other end of a FIFO; calls of the portable backend do not. It goes on
// to occupy a worker, but holds up the others of its device no longer: a few
// FIFOs would stop a whole file system. That goes well only until workers are
// scarce: then a device with so many of them waits, and the others go on.
func (e *engine) pastSaving(p *operation) {
	if !p.issued || p.past || p.link == nil || !p.link.portable {
		return
	}
	p.past = true
	d := e.deviceFor(p)
	d.past++
	e.admitWaiting(d)
}

// deviceFor is where an operation goes, as far as that is known.
func (e *engine) deviceFor(p *operation) *device {
	if p.file != nil {
		return p.file.Payload.device
	}
	return e.region(p.region())
}

// region stands for the device of an absolute path.
func (e *engine) region(name []byte) *device {
	d := e.regions[string(name)]
	if d == nil {
		if len(e.regions) >= max(regionsKept, e.regionsMost) {
			e.forgetRegions()
		}
		d = newDevice()
		e.regions[string(name)] = d
	}
	return d
}

// region is that of an operation's path. In the blocking lane a path counts with
// its directory: of many names in one the lane would otherwise know nothing.
func (p *operation) region() []byte {
	if p.class == classLane {
		path := p.extra.job.Path
		return regionOf([]byte(path[:strings.LastIndexByte(path, '/')]))
	}
	return regionOf(p.request.Location())
}

// regionOf is what two paths have in common that may lead to one device: their
// first two names.
func regionOf(path []byte) []byte {
	names := 0
	for i := 1; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		if names++; names == 2 {
			return path[:i]
		}
	}
	return path
}

// dismiss ends an operation's claim to a worker, and issues the next one. Those
// whose owner has no place for them wait elsewhere, and one after them is next.
func (e *engine) dismiss(p *operation) {
	if !p.issued {
		return
	}
	p.issued = false
	d := e.deviceFor(p)
	d.issued--
	e.occupied--
	if p.past {
		p.past = false
		d.past--
	}
	e.admitWaiting(d)
	if e.occupied == e.config.scarce()-1 {
		e.noLongerScarce()
	}
}

// noLongerScarce issues what has waited for want of workers: of a device that
// hangs nothing may end that would have it looked at.
func (e *engine) noLongerScarce() {
	for _, d := range e.devices {
		e.admitWaiting(d)
	}
	for _, d := range e.regions {
		e.admitWaiting(d)
	}
}

// admitWaiting issues what waits and may be issued now.
func (e *engine) admitWaiting(d *device) {
	for next := d.waiting.head; next != nil && e.admits(d); next = d.waiting.head {
		d.waiting.remove(next)
		e.enqueue(next)
	}
}

// regionsKept is how many regions there may be until it is looked which of them are
// idle; when most are not, it is looked again when there are twice as many.
const regionsKept = 1024

// forgetRegions drops those regions of which nothing is to be known.
func (e *engine) forgetRegions() {
	maps.DeleteFunc(e.regions, func(_ string, d *device) bool { return d.idle() })
	e.regionsMost = 2 * len(e.regions)
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
