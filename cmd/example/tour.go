package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

const (
	// tourLimit ends a tour that hangs: that, too, is a broken promise.
	tourLimit = time.Minute
	// tourCrashEvery is short enough for several crashes during a small copy.
	tourCrashEvery = 20 * time.Millisecond
)

// guide leads a tour. Each stop prints what was promised and what was counted.
type guide struct {
	*copying
	ctx    context.Context
	dir    string // temporary; the only thing made without the subsystem
	broken int
}

// tour shows the promises and fails when one is broken.
func tour(ctx context.Context, globals *globals) error {
	ctx, cancel := context.WithTimeoutCause(ctx, tourLimit, errors.New("the tour took too long"))
	defer cancel()
	dir, err := os.MkdirTemp("", "ringmaster-tour-")
	if err != nil {
		return fmt.Errorf("making a temporary directory: %w", err)
	}
	defer os.RemoveAll(dir)
	g := &guide{ctx: ctx, dir: dir, copying: &copying{
		globals:  globals,
		options:  copyOptions{verify: true},
		saboteur: newSaboteur(uint64(time.Now().UnixNano()), tourCrashEvery),
	}}
	if g.stage, err = start(globals, supervisor.WithFailpoint(g.saboteur.hook)); err != nil {
		return err
	}
	return g.lead()
}

// lead goes through the stops. The subsystem is shut down whatever happens,
// and counted at the end.
func (g *guide) lead() error {
	err := g.stops()
	report, stopErr := g.copying.stop()
	if err == nil {
		err = stopErr
	}
	if err == nil {
		g.books(report)
	}
	switch {
	case err != nil:
		return err
	case g.broken > 0:
		return fmt.Errorf("%d promises were broken", g.broken)
	}
	g.say("\nEvery promise was kept.")
	return nil
}

func (g *guide) stops() error {
	now, err := g.client.Inspect(g.ctx)
	if err != nil {
		return err
	}
	g.say("The backend is %s", now.Backend)
	if now.Why != nil {
		g.say("  since %s", oneLine(now.Why.Error()))
	}
	for _, stop := range []func() error{g.makeTree, g.copyTree, g.cancelAll, g.stopReader} {
		if err := stop(); err != nil {
			return err
		}
	}
	return nil
}

func (g *guide) say(format string, args ...any) {
	fmt.Fprintf(g.globals.stdout, format+"\n", args...)
}

// promised prints one promise with its count, and notes whether it was kept.
func (g *guide) promised(kept bool, promise, format string, args ...any) {
	verdict := "kept"
	if !kept {
		verdict = "BROKEN"
		g.broken++
	}
	g.say("  %-52s %s: %s", promise, fmt.Sprintf(format, args...), verdict)
}

// copyTree copies with crashes and compares.
func (g *guide) copyTree() error {
	g.say("\nCopying it while the ring owner panics every %s", tourCrashEvery)
	plan, err := survey{g.ctx, g.client}.plan(g.path("source"), g.path("copy"), false)
	if err != nil {
		return err
	}
	g.saboteur.begin()
	if err := g.copy(g.ctx, plan); err != nil {
		return err
	}
	differences, err := newVerifier(g.ctx, g.client, plan).compare()
	if err != nil {
		return err
	}
	g.saboteur.end()
	now, err := g.client.Inspect(g.ctx)
	if err != nil {
		return err
	}
	g.say("  crashed at %s", g.saboteur)
	g.promised(g.saboteur.total() > 0, "the owner crashes, and is restarted", "%d crashes, %d restarts", g.saboteur.total(), now.Restarts)
	g.promised(g.tally.files.Load() == treeFiles, "every file is copied", "%d of %d", g.tally.files.Load(), treeFiles)
	g.promised(differences.count == 0, "the copy is the same, to the nanosecond", "%d differences", differences.count)
	return nil
}

// books is the last stop: what the subsystem itself has counted.
func (g *guide) books(r supervisor.Report) {
	g.say("\nShutting down with an operation in flight, crashing twice more")
	g.say("  crashed at %s", g.saboteur)
	g.promised(r.Submitted == r.Completed+r.Refused, "each operation has exactly one answer",
		"%d submitted, %d completed, %d refused", r.Submitted, r.Completed, r.Refused)
	g.promised(r.Unknown == 0, "no outcome is unknown", "%d", r.Unknown)
	g.promised(r.Stale == 0, "the kernel answers nothing that is not known", "%d stale completions", r.Stale)
	g.promised(r.InFlight+r.Queued+r.Quarantined == 0, "nothing is left in flight", "%d", r.InFlight+r.Queued+r.Quarantined)
}

func (g *guide) path(name string) string { return filepath.Join(g.dir, name) }

// until waits for a condition. Its clock is the subsystem's own.
func (g *guide) until(holds func(*messages.Inspection) bool) (*messages.Inspection, error) {
	for {
		now, err := g.client.Inspect(g.ctx)
		if err != nil || holds(now) {
			return now, err
		}
		if _, err := await(g.ctx, g.client, &messages.Timeout{After: time.Millisecond}); err != nil {
			return nil, err
		}
	}
}
