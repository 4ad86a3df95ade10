package simulation

// deeds are what a step can be. The first is the plainest.
var deeds = []struct {
	name   string
	weight int
	// cornered is the weight while a thread of a cornered history hangs.
	cornered int
	do       func(*history)
}{
	{"submit", 40, 10, (*history).doSubmit},
	{"batch", 8, 0, (*history).doBatch},
	{"cancel", 9, 30, (*history).doCancel},
	{"cancel-other", 2, 0, (*history).doCancelOther},
	{"cancel-owner", 2, 10, (*history).doCancelOwner},
	{"cancel-handle", 3, 0, (*history).doCancelHandle},
	{"spawn-op", 7, 0, (*history).doSpawnOp},
	{"end-op", 3, 5, (*history).doEndOp},
	{"future", 3, 0, (*history).doFuture},
	{"bad", 3, 0, (*history).doBad},
	{"crash", 5, 0, (*history).doCrash},
	{"storm", 1, 0, (*history).doStorm},
	{"die", 3, 10, (*history).doDie},
	{"impostor", 2, 0, (*history).doImpostor},
	{"enter", 2, 0, (*history).doEnter},
	{"inspect", 3, 0, (*history).doInspect},
	{"pass", 8, 0, (*history).doPass},
	{"rest", 2, 0, (*history).doRest},
	{"flood", 1, 0, (*history).doFlood},
	{"no-ring", 1, 0, (*history).doNoRing},
	{"thaw", 1, 0, (*history).doThaw},
}

// step takes one step. It reports false when there is none left, or no use in
// another.
func (h *history) step() bool {
	if h.plan = h.script.step(); h.plan == nil {
		return false
	}
	weights := func(i int) int { return deeds[i].weight }
	if h.cornered && h.world.Hangs() { // what can still happen to operations that are given up
		weights = func(i int) int { return deeds[i].cornered }
	}
	total := 0
	for i := range deeds {
		total += weights(i)
	}
	pick := h.plan.Pick(total)
	for i, d := range deeds {
		if pick -= weights(i); pick < 0 {
			h.coverage.deed(d.name)
			h.world.Note("step " + d.name)
			d.do(h)
			break
		}
	}
	h.breathe()
	return !h.world.Failed()
}

// breathe lets the world run for a while between two steps.
func (h *history) breathe() {
	switch n := h.plan.Pick(4); n {
	case 0: // until there is nothing to do at this moment
		h.settle(stepsMax)
	case 1:
		h.run(h.plan.Pick(4))
	default:
		h.run(h.plan.Pick(24))
	}
}

// stepsMax bounds how long the world may be busy without time passing.
const stepsMax = 20_000

// settle runs the world while there is something to do at this moment.
func (h *history) settle(most int) {
	for range most {
		if h.world.Idle() {
			return
		}
		if !h.world.Step() {
			return
		}
	}
	h.world.Violate("the world did not come to rest within %d steps", most)
}

// run lets the world take so many steps.
func (h *history) run(steps int) {
	for range steps {
		if !h.world.Step() {
			return
		}
	}
}
