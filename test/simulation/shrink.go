package simulation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Failure is a history with a violation, and the shortest that was found in its
// stead, if it was looked for.
type Failure struct {
	Result   // of the seed
	Shortest *Result
}

// shortenFor bounds how long the search for a shorter history may take.
const shortenFor = 20 * time.Second

// shorten looks for a shorter history that ends in the same kind of violation.
// Steps are left out, and decisions made plain, as long as that holds.
func (f *Failure) shorten(ctx context.Context, options Options) {
	s := &shortening{ctx: ctx, options: options, until: time.Now().Add(shortenFor), kind: kindOf(f.Violation), best: f.Result.Tape.clone()}
	for steps := -1; steps != len(s.best.Steps) && s.goesOn(); {
		steps = len(s.best.Steps)
		s.cut()
	}
	s.plain()
	shortest := s.run(s.best, f.Seed, true)
	f.Shortest = &shortest
}

type shortening struct {
	ctx     context.Context
	machine Machine
	options Options
	until   time.Time
	kind    string
	best    *Tape
}

func (s *shortening) goesOn() bool { return s.ctx.Err() == nil && time.Now().Before(s.until) }

// kindOf is a violation without its numbers.
func kindOf(err error) string {
	if err == nil {
		return ""
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, first)
}

func (s *shortening) run(t *Tape, seed uint64, log bool) Result {
	options := s.options
	options.Tape, options.Log = t, log
	return s.machine.Run(seed, options)
}

// fails runs a tape, and takes what it did as the best if that fails as well.
func (s *shortening) fails(t *Tape, seed uint64) bool {
	r := s.run(t, seed, false)
	if r.Violation == nil || kindOf(r.Violation) != s.kind {
		return false
	}
	s.best = &r.Tape
	return true
}

// rerolls is how many other orders and fates are tried for steps that do not
// fail with the given ones: what was left out moves all that follow.
const rerolls = 8

// cut leaves out steps, many at a time first.
func (s *shortening) cut() {
	for part := (len(s.best.Steps) + 1) / 2; part >= 1; part /= 2 {
		for at := len(s.best.Steps) - part; at >= 0 && s.goesOn(); at -= part {
			if at+part > len(s.best.Steps) {
				continue
			}
			t := s.best.clone()
			t.Steps = slices.Delete(t.Steps, at, at+part)
			s.failsSomehow(t)
		}
	}
}

func (s *shortening) failsSomehow(t *Tape) bool {
	if s.fails(t, 0) {
		return true
	}
	t.Order, t.Fate = nil, nil
	for seed := range uint64(rerolls) {
		if s.fails(t, seed) {
			return true
		}
	}
	return false
}

// plain makes decisions plain, many at a time first.
func (s *shortening) plain() {
	for i := 0; i < len(s.best.lists()); i++ {
		for part := len(*s.best.lists()[i]); part >= 1; part /= 2 {
			for at := 0; s.goesOn() && s.plainPart(i, at, part); at += part {
			}
		}
	}
}

// plainPart makes a part of one list plain. It reports false when there is no
// such part: what was made plain before may have made the tape shorter.
func (s *shortening) plainPart(i, at, part int) bool {
	t := s.best.clone()
	if i >= len(t.lists()) || at >= len(*t.lists()[i]) {
		return false
	}
	list := *t.lists()[i]
	some := list[at:min(at+part, len(list))]
	if slices.ContainsFunc(some, func(v uint32) bool { return v != 0 }) {
		clear(some)
		s.fails(t, 0)
	}
	return true
}

// String tells what was broken, how to see it again, and the shortest history.
func (f Failure) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %v\n", f.Seed, f.Violation)
	if f.Shortest == nil {
		return b.String()
	}
	fmt.Fprintf(&b, "the shortest history found has %d of %d steps and %d of %d events; its tape:\n  %s\n",
		len(f.Shortest.Tape.Steps), len(f.Tape.Steps), f.Shortest.Events, f.Events, f.Shortest.Tape.String())
	for _, line := range f.Shortest.Log {
		b.WriteString("  " + line + "\n")
	}
	fmt.Fprintf(&b, "  violated: %v\n", f.Shortest.Violation)
	return b.String()
}
