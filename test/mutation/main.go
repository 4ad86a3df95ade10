package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	seeds := flag.Int("seeds", 10_000, "how many histories may be searched for each guard")
	only := flag.String("only", "", "only the guards whose description contains this")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	missed, err := run(ctx, *seeds, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(2)
	}
	if missed > 0 {
		fmt.Printf("%d guards can be missing and nobody notices\n", missed)
		os.Exit(1)
	}
}

// run tries each mutant in turn and counts those that were not found.
func run(ctx context.Context, seeds int, only string) (missed int, err error) {
	dir, err := os.MkdirTemp("", "ringmaster-mutation-")
	if err != nil {
		return 0, fmt.Errorf("making room for the copy: %w", err)
	}
	defer os.RemoveAll(dir)
	copied := filepath.Join(dir, "module")
	if err := copyModule(copied); err != nil {
		return 0, err
	}
	if found, err := search(ctx, copied, seeds/10); err != nil || found != "" {
		return 0, fmt.Errorf("without any mutation the simulation must find nothing, but: %s %w", found, err)
	}
	for _, m := range mutants {
		if !strings.Contains(m.name, only) {
			continue
		}
		began := time.Now()
		found, err := m.try(ctx, copied, seeds)
		if err != nil {
			return missed, fmt.Errorf("%s: %w", m.name, err)
		}
		if found == "" {
			found = "NOT FOUND"
			missed++
		}
		fmt.Printf("%-66s %-28s %v\n", m.name, found, time.Since(began).Round(100*time.Millisecond))
	}
	return missed, nil
}

// copyModule copies the module's Go files from the working directory.
func copyModule(to string) error {
	if _, err := os.Stat("go.mod"); err != nil {
		return fmt.Errorf("to be run from the module's root: %w", err)
	}
	if err := os.CopyFS(to, os.DirFS(".")); err != nil {
		return fmt.Errorf("copying the module: %w", err)
	}
	return nil
}

// try mutates the copy, searches it, and puts it right again.
func (m mutant) try(ctx context.Context, dir string, seeds int) (found string, err error) {
	path := filepath.Join(dir, m.file)
	source, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading what is to be mutated: %w", err)
	}
	if n := bytes.Count(source, []byte(m.old)); n != 1 {
		return "", fmt.Errorf("%s has the text of the guard %d times: this mutation must be brought up to date", m.file, n)
	}
	mutated := bytes.Replace(source, []byte(m.old), []byte(m.new), 1)
	if err := os.WriteFile(path, mutated, 0o600); err != nil {
		return "", fmt.Errorf("mutating: %w", err)
	}
	found, err = search(ctx, dir, seeds)
	return found, errors.Join(err, os.WriteFile(path, source, 0o600))
}

// search runs the simulation in the copy, and says by which history it has
// found a violation, if it has.
func search(ctx context.Context, dir string, seeds int) (found string, err error) {
	program := filepath.Join(dir, "example.mutant")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/example")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building: %w\n%s", err, out)
	}
	simulate := exec.CommandContext(ctx, program, "chaos", "--sim", "--seed", "1", "--seeds", fmt.Sprint(seeds), "--shrink=false")
	out, err := simulate.CombinedOutput()
	var status *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case errors.As(err, &status) && status.ExitCode() == 1:
		return violation(out), nil
	default:
		return "", fmt.Errorf("running the simulation: %w\n%s", err, out)
	}
}

// violation picks the line of a report that names the history.
func violation(report []byte) string {
	for line := range strings.Lines(string(report)) {
		if strings.Contains(line, "seed") {
			return strings.TrimSpace(line)
		}
	}
	return "found"
}
