package main

import (
	"context"
	"fmt"

	"github.com/ringmaster-io/ringmaster/test/simulation"
)

// runSimulation is `chaos --sim`: no real file is touched, and the same seeds
// give the same histories.
func runSimulation(ctx context.Context, g *globals, o chaosOptions) error {
	report := simulation.Simulate(ctx, o.seed, o.seeds, nil)
	if o.shrink {
		report.Shorten(ctx)
	}
	if _, err := fmt.Fprintln(g.stdout, report); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	switch {
	case len(report.Failures) > 0:
		return fmt.Errorf("the promise was broken; again: example chaos --sim --seed %d --seeds 1", report.Failures[0].Seed)
	case ctx.Err() != nil:
		return errInterrupted
	}
	return nil
}
