package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/spf13/cobra"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// copyOptions are the flags of the command.
type copyOptions struct {
	crashEvery time.Duration
	seed       uint64
	verify     bool
	overwrite  bool
	json       bool
}

func copyCommand(g *globals) *cobra.Command {
	var o copyOptions
	cmd := &cobra.Command{
		Use:   "copy SRC DST",
		Short: "Copy a file or a tree to DST, which becomes the copy",
		Long: "Copies a file, or a tree of files, directories and symbolic links, with modes and\n" +
			"modification times. DST is the name of the copy, not a directory to put it in, and\n" +
			"must not exist unless --overwrite is given: then the source is laid over what is\n" +
			"there. SRC may be a symbolic link, which is followed; links within it are copied as\n" +
			"links. Devices, pipes and sockets are skipped with a warning, where cp would make\n" +
			"them anew. Owners, access lists and further attributes are not copied.",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("crash-every") && o.crashEvery <= 0 {
				return fmt.Errorf("--crash-every %s: must be more than nothing", o.crashEvery)
			}
			return runCopy(cmd.Context(), g, o, args[0], args[1])
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&o.crashEvery, "crash-every", 0, "make the ring owner panic this often, at one point after the other")
	flags.Uint64Var(&o.seed, "seed", rand.Uint64(), "what the order of the crash points is drawn from")
	flags.BoolVar(&o.verify, "verify", false, "compare source and copy afterwards")
	flags.BoolVar(&o.overwrite, "overwrite", false, "replace what is there, but keep what is not in the source")
	flags.BoolVar(&o.json, "json", false, "print the report as one JSON object")
	cmd.Flag("seed").DefValue = "random"
	return cmd
}

// copying is one run of the command.
type copying struct {
	*stage
	globals  *globals
	options  copyOptions
	saboteur *saboteur // nil without --crash-every
	tally    tally
	took     time.Duration
}

func runCopy(ctx context.Context, g *globals, o copyOptions, source, target string) error {
	c := &copying{globals: g, options: o}
	var options []supervisor.Option
	if o.crashEvery > 0 {
		c.saboteur = newSaboteur(o.seed, o.crashEvery)
		options = append(options, supervisor.WithFailpoint(c.saboteur.hook))
	}
	stage, err := start(g, options...)
	if err != nil {
		return err
	}
	c.stage = stage
	err = c.run(ctx, source, target)
	report, stopErr := c.stop()
	if err == nil {
		err = errors.Join(stopErr, c.print(report))
	}
	return err
}

// run does what was asked for, between the start of the subsystem and its end.
func (c *copying) run(ctx context.Context, source, target string) error {
	plan, err := survey{ctx, c.client}.plan(source, target, c.options.overwrite)
	if err != nil {
		return err
	}
	if c.saboteur != nil {
		c.saboteur.begin()
	}
	if err := c.copy(ctx, plan); err != nil {
		return fmt.Errorf("%w%s", err, c.leftovers(plan))
	}
	if !c.options.verify {
		return nil
	}
	differences, err := newVerifier(ctx, c.client, plan).compare()
	if err != nil {
		return fmt.Errorf("comparing %s with its copy: %w", source, err)
	}
	return differences.say(c.globals.stderr)
}

// copy runs the actors.
func (c *copying) copy(ctx context.Context, plan *plan) error {
	began := time.Now()
	defer func() { c.took = time.Since(began) }()
	progress := newProgress(c.globals.stderr, &c.tally)
	job := &copyJob{
		plan:   *plan,
		client: c.client,
		owner:  c.subsystem.PID(),
		warn:   func(text string) { fmt.Fprintln(progress, "example:", oneLine(text)) },
		tally:  &c.tally,
		done:   make(chan error, 1),
	}
	progress.measure(ctx, c.client, plan)
	director := c.system.Root.Spawn(newDirector(job))
	err := c.waitFor(ctx, director, job.done)
	progress.end(err == nil)
	return err
}

// waitFor waits for the director's last word, and passes an interruption on.
func (c *copying) waitFor(ctx context.Context, director *actor.PID, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		if c.saboteur != nil {
			c.saboteur.end() // nothing should hold up the end now
		}
		c.system.Root.Send(director, &stopDirecting{errInterrupted})
		return <-done
	}
}

// leftovers says what a failed copy leaves behind.
func (c *copying) leftovers(p *plan) string {
	t := &c.tally
	if t.files.Load()+t.dirs.Load()+t.symlinks.Load() == 0 {
		return ""
	}
	return fmt.Sprintf("; an incomplete copy is left at %s (%d files, %d directories, %d links)",
		p.target, t.files.Load(), t.dirs.Load(), t.symlinks.Load())
}

// stop ends the subsystem. If crashes were asked for, the last of them strike
// while it stops, and so that there is something in flight then, an operation
// is begun that only the shutdown's cancellation can end.
func (c *copying) stop() (supervisor.Report, error) {
	ctx := context.Background()
	if c.saboteur == nil {
		return c.stage.stop(ctx)
	}
	c.saboteur.end()
	c.saboteur.finale()
	c.system.Root.Send(c.subsystem.PID(), &messages.Submit{
		Op: &messages.Timeout{After: time.Hour},
		ID: messages.OpID{Owner: c.client.Owner()},
	})
	// Messages are taken in order: when this one is answered, that one has been
	// accepted.
	if _, err := c.client.Inspect(ctx); err != nil {
		return supervisor.Report{}, err
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	return c.stage.stop(ended)
}
