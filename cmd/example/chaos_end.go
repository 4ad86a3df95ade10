package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/ringmaster-io/ringmaster/messages"
)

// settle ends the run: nothing may be left of it. What it was held against
// before is before.
func (c *chaos) settle(before census) *balance {
	if c.saboteur != nil {
		c.saboteur.end()
	}
	if c.injector != nil {
		c.injector.Stop()
	}
	now := c.awaitQuiet()
	b := &balance{handles: now.Handles, rings: now.Draining}
	report, err := c.stop()
	if err != nil {
		c.ledger.broke("%v", err)
	}
	b.Report = report
	after := awaitCensus(before, c.options.patience)
	b.descriptors = max(after.descriptors-before.descriptors, 0)
	b.goroutines = max(after.goroutines-before.goroutines, 0)
	if b.files, err = c.removeRoot(); err != nil {
		c.ledger.broke("%v", err)
	}
	b.judge(&c.ledger)
	return b
}

// awaitQuiet waits until nothing is in flight, or open, or being drained: what
// the killed have left ends by itself.
func (c *chaos) awaitQuiet() *messages.Inspection {
	ctx, cancel := context.WithTimeout(context.Background(), c.options.patience)
	defer cancel()
	now := &messages.Inspection{}
	for {
		next, err := c.client.Inspect(ctx)
		if err != nil {
			return now
		}
		if now = next; now.InFlight+now.Queued+now.Handles+now.Draining == 0 {
			return now
		}
		if _, err := await(ctx, c.client, &messages.Timeout{After: time.Millisecond}); err != nil {
			return now
		}
	}
}

// removeRoot removes the directory of the run. The files in it, which should
// be none, are counted and left.
func (c *chaos) removeRoot() (files int, err error) {
	entries, err := os.ReadDir(c.root)
	if err != nil {
		return 0, fmt.Errorf("looking for what is left: %w", err)
	}
	if len(entries) > 0 {
		return len(entries), nil
	}
	if err := os.Remove(c.root); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("removing what is left: %w", err)
	}
	return 0, nil
}

// census counts what a process could leak.
type census struct{ descriptors, goroutines int }

// primeCensus has the runtime open the descriptors of its own, and a first
// subsystem the one that stays as long as the process.
func primeCensus(ctx context.Context, g *globals) error {
	if reader, writer, err := os.Pipe(); err == nil {
		_ = reader.SetReadDeadline(time.Time{})
		_, _ = reader.Close(), writer.Close()
	}
	first, err := start(g)
	if err != nil {
		return err
	}
	_, err = first.stop(ctx)
	first.system.Shutdown()
	return err
}

func takeCensus() census {
	c := census{goroutines: runtime.NumGoroutine()}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		c.descriptors = len(fds)
	}
	return c
}

// censusEvery is how often the census is repeated while it is too high.
const censusEvery = 5 * time.Millisecond

// awaitCensus gives goroutines that are about to end the time to do so.
func awaitCensus(before census, patience time.Duration) census {
	tick := time.NewTicker(censusEvery)
	defer tick.Stop()
	for over := time.After(patience); ; {
		now := takeCensus()
		if now.descriptors <= before.descriptors && now.goroutines <= before.goroutines {
			return now
		}
		select {
		case <-tick.C:
		case <-over:
			return now
		}
	}
}
