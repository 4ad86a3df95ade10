//go:build linux

package main

import (
	"slices"
	"testing"
	"time"

	"github.com/ringmaster-io/ringmaster/actors"
)

// chosen is what a saboteur chooses in its first n periods.
func chosen(seed uint64, n int) []actors.Failpoint {
	s := newSaboteur(seed, time.Hour)
	points := make([]actors.Failpoint, n)
	for i := range points {
		points[i] = s.choose()
	}
	return points
}

func TestSaboteurGoesRound(t *testing.T) {
	const alive = int(actors.FailRestarting) + 1
	points := chosen(1, 5*alive)
	for round := range slices.Chunk(points, alive) {
		slices.Sort(round)
		for i, p := range round {
			if int(p) != i {
				t.Fatalf("a round is %v", round)
			}
		}
	}
}

func TestSaboteurReplays(t *testing.T) {
	if !slices.Equal(chosen(7, 100), chosen(7, 100)) {
		t.Error("one seed gives two orders")
	}
	if slices.Equal(chosen(7, 100), chosen(8, 100)) {
		t.Error("two seeds give one order")
	}
}

// strikes says whether the hook panics.
func strikes(t *testing.T, s *saboteur, p actors.Failpoint, inFlight int) (struck bool) {
	t.Helper()
	defer func() {
		if reason := recover(); reason != nil {
			if reason != any(injected{p}) {
				t.Errorf("panics with %v", reason)
			}
			struck = true
		}
	}()
	s.hook(p, inFlight)
	return false
}

// achieve has the owner send an answer, and be about to send another.
func achieve(t *testing.T, s *saboteur) {
	t.Helper()
	armed := s.target.Swap(nowhere)
	for range 2 {
		if strikes(t, s, actors.FailDelivering, 1) {
			t.Fatal("strikes unarmed")
		}
	}
	s.target.Store(armed)
}

func TestSaboteurStrikes(t *testing.T) {
	s := newSaboteur(1, time.Hour)
	for _, p := range actors.Failpoints() {
		if strikes(t, s, p, 1) {
			t.Errorf("strikes at %s unarmed", p)
		}
	}
	s.due = 0
	s.target.Store(int32(actors.FailReaping))
	if strikes(t, s, actors.FailReaping, 1) {
		t.Error("strikes an owner that has achieved nothing")
	}
	achieve(t, s)
	steps := []struct {
		point    actors.Failpoint
		inFlight int
		want     bool
	}{
		{actors.FailReaping, 0, false}, // nothing in flight
		{actors.FailEncoded, 1, false}, // not the point
		{actors.FailReaping, 1, true},
		{actors.FailReaping, 1, false}, // once
	}
	for i, step := range steps {
		if got := strikes(t, s, step.point, step.inFlight); got != step.want {
			t.Errorf("step %d: %t", i, got)
		}
	}
	if s.total() != 1 || s.counts[actors.FailReaping].Load() != 1 {
		t.Errorf("counted %s", s)
	}
}

func TestSaboteurStrikesDuringRestart(t *testing.T) {
	s := newSaboteur(1, time.Hour)
	for !duringRestart(actors.Failpoint(s.second.Load())) {
		s.arm()
	}
	first, second := actors.Failpoint(s.target.Load()), actors.Failpoint(s.second.Load())
	if duringRestart(first) || whenStopping(first) {
		t.Fatalf("%s is to cause a restart", first)
	}
	achieve(t, s)
	if !strikes(t, s, first, 1) || !strikes(t, s, second, 1) || strikes(t, s, second, 1) {
		t.Errorf("struck at %s", s)
	}
}

func TestSaboteurFinale(t *testing.T) {
	s := newSaboteur(1, time.Hour)
	s.arm()
	s.end()
	s.finale()
	for _, p := range actors.Failpoints() {
		if got := strikes(t, s, p, 1); got != whenStopping(p) {
			t.Errorf("%s: %t", p, got)
		}
	}
}
