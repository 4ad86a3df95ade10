package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

func sumCommand(g *globals) *cobra.Command {
	var stats bool
	command := &cobra.Command{
		Use:   "sum PATH...",
		Short: "Print SHA-256 checksums as sha256sum does",
		Long: "Prints the SHA-256 checksum of each file in the format of sha256sum. A directory is\n" +
			"walked, and its regular files are printed in the order of their paths; links within\n" +
			"it are not followed. What cannot be read is named on standard error, and makes the\n" +
			"exit status 1, but the rest is done.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runSum(cmd.Context(), g, args, stats) },
	}
	command.Flags().BoolVar(&stats, "stats", false, "say on standard error what did it, and what was counted")
	return command
}

func runSum(ctx context.Context, g *globals, paths []string, stats bool) error {
	s, err := start(g)
	if err != nil {
		return err
	}
	job := &sumJob{
		owner: s.subsystem.PID(),
		list:  newListing(g, paths),
		done:  make(chan error, 1),
	}
	indexer := s.system.Root.Spawn(newIndexer(job))
	select {
	case err = <-job.done:
	case <-ctx.Done():
		s.system.Root.Send(indexer, &stopIndexing{errInterrupted})
		err = <-job.done
	}
	// Something is in flight only after an interruption. A read, unlike a
	// write, need not end for things to be in order: it is cancelled.
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	report, stopErr := s.stop(ended)
	if err == nil {
		err = stopErr
	}
	if err == nil && stats {
		err = sumStats(report).print(g.stderr)
	}
	return err
}

func sumStats(r supervisor.Report) *page {
	var p page
	p.line("operations", "%s submitted = %s completed + %s refused",
		group(int64(r.Submitted)), group(int64(r.Completed)), group(int64(r.Refused)))
	p.line("backend", "%s", r.Backend)
	if r.Why != nil {
		p.line("", "since %s", oneLine(r.Why.Error()))
	}
	return &p
}

// sumLine is a line of the output. A name with a backslash, a newline or a
// carriage return in it is escaped, and a backslash at the start says so.
func sumLine(line []byte, sum [sha256.Size]byte, name string) []byte {
	if strings.ContainsAny(name, "\\\n\r") {
		line = append(line, '\\')
		name = strings.NewReplacer("\\", "\\\\", "\n", "\\n", "\r", "\\r").Replace(name)
	}
	return fmt.Appendf(line, "%x  %s\n", sum, name)
}

// cause is the reason of a failure without the name it is about, which the
// line says in the user's own words.
func cause(err error) error {
	if failure, ok := errors.AsType[*messages.OpError](err); ok {
		return failure.Err
	}
	return err
}
