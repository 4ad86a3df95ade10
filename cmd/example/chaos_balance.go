package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ringmaster-io/ringmaster/supervisor"
)

// balance is what the books say at the end.
type balance struct {
	supervisor.Report
	// What is left of what the run made.
	handles, rings                 int
	descriptors, goroutines, files int
}

// nought is a number that must be zero.
type nought struct {
	name string
	n    int64
}

func (b *balance) noughts() []nought {
	return []nought{
		{"unanswered", int64(b.Submitted) - int64(b.Completed) - int64(b.Refused)},
		{"in flight", int64(b.InFlight + b.Queued)},
		{"unknown", int64(b.Unknown)},
		{"quarantined", int64(b.Quarantined)},
		{"stale", int64(b.Stale)},
		{"lost", int64(b.Lost)},
		{"strange", int64(b.Strange)},
		{"handles", int64(b.handles)},
		{"rings", int64(b.rings)},
		{"descriptors", int64(b.descriptors)},
		{"goroutines", int64(b.goroutines)},
		{"files", int64(b.files)},
	}
}

// judge notes what is not zero.
func (b *balance) judge(l *ledger) {
	for _, z := range b.noughts() {
		if z.n != 0 {
			l.broke("%s at the end: %d", z.name, z.n)
		}
	}
}

// print reports the run.
func (c *chaos) print(b *balance) error {
	if _, err := io.WriteString(c.globals.stderr, c.ledger.said()); err != nil {
		return fmt.Errorf("writing what was broken: %w", err)
	}
	var p page
	p.line("performed", "%s by %d actors, on %s, policy %s", c.took.Round(time.Millisecond), c.options.actors, b.Backend, c.options.policy)
	if b.Why != nil {
		p.line("", "since %s", oneLine(b.Why.Error()))
	}
	c.ledger.write(&p, b)
	if c.saboteur != nil {
		p.line("crashes", "%d: %s", c.saboteur.total(), c.saboteur)
	}
	if c.injector != nil {
		p.line("errors", "%d of io_uring_enter: %s", c.injector.Total(), c.injector)
	}
	p.line("restarts", "%d", b.Restarts)
	c.pauses.write(&p)
	c.probe.write(&p)
	b.write(&p)
	p.line("broken", "%d", c.ledger.brokenCount())
	return p.print(c.globals.stdout)
}

// write writes what was done, as the subsystem and as its requesters have
// counted it.
func (l *ledger) write(p *page, b *balance) {
	p.line("acts", "%s", l.actsDone())
	p.line("submitted", "%s = %s completed + %s refused", group(int64(b.Submitted)), group(int64(b.Completed)), group(int64(b.Refused)))
	p.line("completed", "%s ok, %s failed as expected, %s cancelled",
		group(int64(b.Completed-b.Failed-b.Cancelled-b.Unknown)), group(int64(b.Failed)), group(int64(b.Cancelled)))
	p.line("answers", "%s checked by those who asked, %s of them to ask again", group(int64(l.answers())), group(int64(l.again.Load())))
	p.line("cancels", "%s asked for, each answered after what it was about", group(int64(l.cancels.Load())))
	p.line("killed", "%s requesters; %s operations orphaned, %s late descriptors closed, %s handles refused",
		group(int64(l.killed.Load())), group(int64(b.Orphaned)), group(int64(b.LateClosed)), group(int64(l.closed.Load())))
}

// actsDone lists the acts.
func (l *ledger) actsDone() string {
	all := make([]string, len(acts))
	for i, a := range acts {
		all[i] = group(int64(l.acts[i].Load())) + " " + a.name
	}
	return strings.Join(all, ", ")
}

// write writes the numbers that must be zero, on two lines.
func (b *balance) write(p *page) {
	var all []string
	for _, z := range b.noughts() {
		all = append(all, fmt.Sprintf("%s %d", z.name, z.n))
	}
	half := (len(all) + 1) / 2
	p.line("zero", "%s,", strings.Join(all[:half], ", "))
	p.line("", "%s", strings.Join(all[half:], ", "))
}
