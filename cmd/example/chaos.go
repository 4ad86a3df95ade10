package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringmaster-io/ringmaster/actors"
)

const (
	performersMax = 4096
	// chaosPatience is how long what must come is waited for. A ring that has
	// failed takes ten seconds at most to end what it has.
	chaosPatience = 30 * time.Second
)

// chaosOptions are the flags of the command.
type chaosOptions struct {
	duration    time.Duration
	actors      int
	dir         string
	policy      actors.Policy
	seed        uint64
	crashEvery  time.Duration
	killEvery   time.Duration
	enterErrors int

	patience time.Duration

	sim    bool
	seeds  uint64
	shrink bool
}

func chaosCommand(g *globals) *cobra.Command {
	o := chaosOptions{patience: chaosPatience}
	var policy string
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Have many actors do I/O while everything fails, and check each answer",
		Long: "Has many actors work on real files and pipes while the ring owner is made to panic,\n" +
			"calls into the kernel fail, operations are cancelled and actors are stopped. Each\n" +
			"actor checks each of its answers: that it comes once, brings the buffer back, and is\n" +
			"true. At the end the books are printed, and the exit status is 1 if any promise was\n" +
			"broken. The seed decides what the actors do and what is done to them, but not when.\n" +
			"With --sim nothing is real, and a seed decides everything.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.policy, err = parsePolicy(policy); err != nil {
				return err
			}
			if err := o.check(); err != nil {
				return err
			}
			for _, name := range [...]string{"seeds", "shrink"} {
				if !o.sim && cmd.Flags().Changed(name) {
					return fmt.Errorf("--%s: is for --sim only", name)
				}
			}
			if o.sim {
				return runSimulation(cmd.Context(), g, o)
			}
			return runChaos(cmd.Context(), g, o)
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&o.duration, "duration", 20*time.Second, "for how long")
	flags.IntVar(&o.actors, "actors", 64, "how many actors work at once")
	flags.StringVar(&o.dir, "dir", "", "where to make the directory they work in, which is removed at the end")
	flags.StringVar(&policy, "policy", actors.Drain.String(), "what becomes of the operations in flight at a crash: drain or cancel")
	flags.Uint64Var(&o.seed, "seed", rand.Uint64(), "what all choices are drawn from")
	flags.DurationVar(&o.crashEvery, "crash-every", 20*time.Millisecond, "make the ring owner panic this often; 0 never")
	flags.DurationVar(&o.killEvery, "kill-every", 100*time.Millisecond, "stop an actor this often; 0 never")
	flags.IntVar(&o.enterErrors, "enter-errors", 1000, "have one in so many calls into the kernel fail; 0 none")
	flags.BoolVar(&o.sim, "sim", false, "simulate instead: whole histories in virtual time, on a simulated kernel; the flags above but --seed do not matter")
	flags.Uint64Var(&o.seeds, "seeds", 10_000, "how many histories to simulate, of the seeds from --seed on")
	flags.BoolVar(&o.shrink, "shrink", true, "look for the shortest history that breaks the promise, should one do so")
	cmd.Flag("seed").DefValue = "random"
	cmd.Flag("dir").DefValue = os.TempDir()
	return cmd
}

func parsePolicy(name string) (actors.Policy, error) {
	for _, p := range []actors.Policy{actors.Drain, actors.CancelInFlight} {
		if p.String() == name {
			return p, nil
		}
	}
	return 0, fmt.Errorf("--policy %q: must be drain or cancel", name)
}

func (o chaosOptions) check() error {
	switch {
	case o.duration <= 0:
		return fmt.Errorf("--duration %s: must be more than nothing", o.duration)
	case o.actors < 1 || o.actors > performersMax:
		return fmt.Errorf("--actors %d: must be 1 to %d", o.actors, performersMax)
	case o.crashEvery < 0:
		return fmt.Errorf("--crash-every %s: must not be negative", o.crashEvery)
	case o.killEvery < 0:
		return fmt.Errorf("--kill-every %s: must not be negative", o.killEvery)
	case o.enterErrors < 0:
		return fmt.Errorf("--enter-errors %d: must not be negative", o.enterErrors)
	}
	return nil
}

// String is the command that makes the same choices again.
func (o chaosOptions) String() string {
	return fmt.Sprintf("chaos --seed %d --duration %s --actors %d --policy %s --crash-every %s --kill-every %s --enter-errors %d",
		o.seed, o.duration, o.actors, o.policy, o.crashEvery, o.killEvery, o.enterErrors)
}
