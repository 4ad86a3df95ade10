package simulation

import (
	"time"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/ring/sim"
)

// Each history has some of the behaviours, and not the others, so that each
// pair of them is seen together as well as apart. The plan decides; 0 leaves
// one out.

// some is a rate that is left out, or low, or high.
func some(plan *sim.Choices, low, high int) int {
	switch plan.Pick(5) {
	case 3:
		return low
	case 4:
		return high
	default:
		return 0
	}
}

// profile decides what the simulated system of a history is like.
func profile(plan *sim.Choices) sim.Profile {
	p := sim.Profile{
		Disorder:    []int{0, 200, 600}[plan.Pick(3)],
		Early:       []int{0, 10, 60}[plan.Pick(3)],
		Preempt:     some(plan, 20, 200),
		Spurious:    some(plan, 20, 200),
		Entries:     []int{64, 2, 3, 8}[plan.Pick(4)],
		Completions: []int{128, 2, 4, 16}[plan.Pick(4)],

		Soon:   []int{0, 300, 900}[plan.Pick(3)],
		Late:   []int{0, 200, 600}[plan.Pick(3)],
		Async:  some(plan, 200, 800),
		Waits:  some(plan, 100, 500),
		Hangs:  some(plan, 100, 500),
		Delay:  []int{1, 10, 200}[plan.Pick(3)],
		Touch:  some(plan, 200, 800),
		Update: some(plan, 200, 700),

		Short:     some(plan, 100, 500),
		Errno:     some(plan, 30, 200),
		Again:     some(plan, 50, 400),
		Interrupt: some(plan, 30, 200),
		NoMemory:  some(plan, 20, 100),
		Withdraw:  some(plan, 50, 300),

		Busy:      some(plan, 50, 300),
		HangEnter: some(plan, 8, 50),
		HangFor:   []int{10, 100, 5000}[plan.Pick(3)],

		CancelBlind:  some(plan, 100, 500),
		CancelDeaf:   some(plan, 100, 500),
		CancelOutrun: some(plan, 100, 500),

		LaneLate: some(plan, 200, 700),
		LaneErr:  some(plan, 30, 150),
	}
	p.Repeat = some(plan, 5, 50)
	if plan.Pick(4) == 3 { // such a ring does not live long
		p.Fatal = 1 + plan.Pick(30)
	}
	if plan.Pick(5) == 4 {
		p.Lose = 1 + plan.Pick(20)
	}
	return p
}

// cornered has everything happen at once that makes a ring owner give operations
// up: its rings hang, what is on them does not end, and there is little time. A
// few histories are so: what comes up only then would not be seen often enough.
func cornered(p *sim.Profile, c *actors.Config) {
	p.HangEnter, p.HangFor, p.Preempt = 200, 50, 200
	p.Early, p.Disorder = 100, 600
	p.Waits, p.Hangs, p.Update = 300, 400, 900
	p.CancelBlind, p.CancelDeaf = 300, 300
	p.Late, p.Delay, p.Busy = 300, 50, 200
	p.Fatal, p.Lose = 0, 0
	c.DrainTimeout, c.ShutdownGrace, c.StuckAfter = 5*time.Millisecond, 5*time.Millisecond, 10*time.Millisecond
	c.InFlight, c.Queue, c.OwnerQuota = 16, 32, 64
	c.QuarantineMax, c.Inline = 1024, true
}

// configure decides how the subsystem of a history is built.
func configure(plan *sim.Choices, c *actors.Config) {
	c.InFlight = []int{32, 1, 2, 4, 8}[plan.Pick(5)]
	c.Queue = []int{64, 0, 1, 4, 16}[plan.Pick(5)]
	c.OwnerQuota = []int{128, 1, 3, 10}[plan.Pick(4)]
	c.BlockingWorkers = []int{4, 1, 2}[plan.Pick(3)]
	c.Policy = []actors.Policy{actors.Drain, actors.CancelInFlight}[plan.Pick(2)]
	c.DrainTimeout = []time.Duration{10 * time.Second, 5 * time.Millisecond, 300 * time.Millisecond}[plan.Pick(3)]
	c.ShutdownGrace = []time.Duration{40 * time.Millisecond, time.Millisecond, 10 * time.Millisecond}[plan.Pick(3)]
	c.StuckAfter = []time.Duration{time.Second, 20 * time.Millisecond}[plan.Pick(2)]
	c.RestartLimit = []int{12, 1, 3}[plan.Pick(3)]
	c.RingRetry = []time.Duration{5 * time.Second, 50 * time.Millisecond}[plan.Pick(2)]
	c.QuarantineMax = []int{1024, 1, 3}[plan.Pick(3)]
	c.Inline = plan.Pick(4) != 3
}
