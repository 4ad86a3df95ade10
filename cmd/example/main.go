package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap/zapcore"

	"github.com/ringmaster-io/ringmaster/supervisor"
)

// Exit statuses.
const (
	statusFailed      = 1
	statusInterrupted = 130 // as a shell reports a program that SIGINT ended
)

var (
	// errInterrupted: a signal asked the program to end.
	errInterrupted = errors.New("interrupted")
	// errSaid: what went wrong has been said already; only the status is left.
	errSaid = errors.New("failed")
)

// globals are what all commands share.
type globals struct {
	stdout, stderr io.Writer
	level          zapcore.Level
	further        []supervisor.Option // of the subsystem: tests have some
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program without its process, so that tests can call it.
func run(args []string, stdout, stderr io.Writer, further ...supervisor.Option) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal ends the work in good order, a second one at once.
	context.AfterFunc(ctx, stop)

	root := rootCommand(&globals{stdout: stdout, stderr: stderr, further: further})
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && !errors.Is(err, errSaid) {
		fmt.Fprintln(stderr, "example:", oneLine(err.Error()))
	}
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		return statusInterrupted
	default:
		return statusFailed
	}
}

// oneLine keeps an error on one line whatever names are in it.
func oneLine(text string) string {
	return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(text)
}

func rootCommand(g *globals) *cobra.Command {
	level := "error"
	root := &cobra.Command{
		Use:   "example",
		Short: "I/O through Ringmaster: a tour, a copy of a tree, checksums, chaos",
		Long: "Shows Ringmaster, an I/O subsystem for actors, at work. Without a command it gives\n" +
			"a tour: what the subsystem promises, and what was counted.",
		Args:               cobra.NoArgs,
		SilenceUsage:       true,
		SilenceErrors:      true,
		DisableSuggestions: true, // an error is one line
		CompletionOptions:  cobra.CompletionOptions{DisableDefaultCmd: true},
		PersistentPreRunE: func(*cobra.Command, []string) (err error) {
			g.level, err = zapcore.ParseLevel(level)
			return err
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return tour(cmd.Context(), g) },
	}
	root.SetOut(g.stdout)
	root.SetErr(g.stderr)
	root.PersistentFlags().StringVar(&level, "log-level", level, "what to log on standard error: debug, info, warn or error")
	root.AddCommand(copyCommand(g), sumCommand(g), chaosCommand(g))
	return root
}
