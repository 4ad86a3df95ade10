package main

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ringmaster-io/ringmaster/messages"
)

// times is a histogram of durations, to the microsecond, up to a minute.
type times struct{ *hdrhistogram.Histogram }

const timesMax = time.Minute

func newTimes() times { return times{hdrhistogram.New(1, timesMax.Microseconds(), 3)} }

// note records one.
func (t times) note(d time.Duration) {
	// Within these bounds it cannot fail.
	_ = t.RecordValue(min(max(d, time.Microsecond), timesMax).Microseconds())
}

func (t times) at(percentile float64) time.Duration {
	return time.Duration(t.ValueAtPercentile(percentile)) * time.Microsecond
}

func (t times) longest() time.Duration { return time.Duration(t.Max()) * time.Microsecond }

func (t times) write(p *page, label, what string) {
	p.line(label, "%s: median %s, 99 %% %s, longest %s (%s)", what, t.at(50), t.at(99), t.longest(), group(t.TotalCount()))
}

// pauses are what requesters see of the crashes: the time from one to the next
// answer, to an operation that was asked for after it. Those that were asked for
// before may have been answered already.
type pauses struct {
	epoch time.Time
	// crash is when the ring owner crashed, in time since the epoch; 0 if an
	// answer has come since.
	crash atomic.Int64

	mu    sync.Mutex
	times times
	// slowest is the longest that a requester waited for what ends by itself.
	slowest     time.Duration
	slowestDeed string
}

func (p *pauses) init() { p.epoch, p.times = time.Now(), newTimes() }

// crashed begins a pause, unless there is one.
func (p *pauses) crashed() { p.crash.CompareAndSwap(0, int64(time.Since(p.epoch))) }

// answered ends it, if the operation was asked for since.
func (p *pauses) answered(d *deed) {
	p.compare(d)
	crash := p.crash.Load()
	if crash == 0 || int64(d.began.Sub(p.epoch)) < crash || !p.crash.CompareAndSwap(crash, 0) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.times.note(time.Since(p.epoch) - time.Duration(crash))
}

// compare finds the slowest answer. The time that a timer is to take does not
// count.
func (p *pauses) compare(d *deed) {
	took := time.Since(d.began)
	if timer, ok := d.op.(*messages.Timeout); ok {
		took -= timer.After
	}
	if !d.prompt || took < slowLeast {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if took > p.slowest {
		p.slowest, p.slowestDeed = took, d.by.name+": "+d.op.Name()
	}
}

// slowLeast is what an answer may take without being looked at.
const slowLeast = time.Millisecond

func (p *pauses) longest() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.times.longest()
}

func (p *pauses) write(page *page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.times.write(page, "pause", "from a crash to the next answer")
	page.line("slowest", "%s, %s", p.slowest.Round(time.Microsecond), p.slowestDeed)
}

// probe is a performer that always has one small operation in flight. Its
// histograms are its own until it has ended.
type probe struct {
	nops, timers times
}

// probeEvery is how long the probe's timers take.
const probeEvery = time.Millisecond

func (p *probe) init() { p.nops, p.timers = newTimes(), newTimes() }

// perform takes turns between an operation that takes no time and a timer,
// which should take just its time.
func (p *probe) perform(s *script) error {
	for !s.curtain {
		began := time.Now()
		if _, err := do(s, &messages.Nop{}); err != nil {
			return err
		}
		p.nops.note(time.Since(began))
		began = time.Now()
		if _, err := do(s, &messages.Timeout{After: probeEvery}); err != nil {
			return err
		}
		p.timers.note(time.Since(began) - probeEvery)
	}
	return nil
}

func (p *probe) write(page *page) {
	p.nops.write(page, "probe", "latency of a nop")
	p.timers.write(page, "", "lateness of a timer")
}
