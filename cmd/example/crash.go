package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringmaster-io/ringmaster/actors"
)

// injected is what the saboteur panics with.
type injected struct{ point actors.Failpoint }

func (e injected) Error() string { return "injected crash at " + e.point.String() }

// nowhere is no failpoint: nothing is to be struck.
const nowhere = -1

// saboteur makes the ring owner panic, once in every period, at one failpoint
// after the other in a random order that its seed determines.
//
// Its ticker chooses the point and its hook, which runs inside the ring owner,
// strikes there when the owner comes by with something in flight, and has
// achieved something since the last crash: an owner that can do nothing is
// restarted later and later, and at last given up. A point that the owner did
// not pass within a period gives way to the next one. Started and Restarting
// are passed in a restart only, so they are chosen together with another point
// that causes one.
type saboteur struct {
	seed  uint64
	every time.Duration

	target atomic.Int32 // the point to strike next
	second atomic.Int32 // the point to strike in the restart that follows
	last   atomic.Bool  // strike when the owner stops
	counts []atomic.Uint64
	// due counts the answers that were due since the last crash. It is the
	// hook's: whoever runs the owner does so alone.
	due int

	order  *rand.Rand
	points []actors.Failpoint // what is left of this round

	ticking sync.WaitGroup // the ticker's goroutine
	quit    context.CancelFunc
}

func newSaboteur(seed uint64, every time.Duration) *saboteur {
	s := &saboteur{
		seed:   seed,
		every:  every,
		counts: make([]atomic.Uint64, len(actors.Failpoints())),
		order:  rand.New(rand.NewPCG(seed, seed)),
		quit:   func() {},
	}
	s.target.Store(nowhere)
	s.second.Store(nowhere)
	return s
}

// begin starts the ticker's goroutine, which end joins.
func (s *saboteur) begin() {
	ctx, quit := context.WithCancel(context.Background())
	s.quit = quit
	s.ticking.Go(func() {
		ticker := time.NewTicker(s.every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				s.arm()
			case <-ctx.Done():
				return
			}
		}
	})
}

// end lets the owner live, but for what is passed when it stops; see finale.
func (s *saboteur) end() {
	s.quit()
	s.ticking.Wait()
	s.target.Store(nowhere)
	s.second.Store(nowhere)
}

// finale has the points struck that the owner passes when it stops.
func (s *saboteur) finale() { s.last.Store(true) }

// arm chooses the next point.
func (s *saboteur) arm() {
	point := s.choose()
	if duringRestart(point) {
		s.second.Store(int32(point))
		point = actors.Failpoint(s.order.IntN(int(actors.FailDelivering) + 1))
	}
	s.target.Store(int32(point))
}

// choose goes round all points that are passed while the owner lives, in a new
// order each time.
func (s *saboteur) choose() actors.Failpoint {
	if len(s.points) == 0 {
		for _, p := range actors.Failpoints() {
			if !whenStopping(p) {
				s.points = append(s.points, p)
			}
		}
		s.order.Shuffle(len(s.points), func(i, j int) { s.points[i], s.points[j] = s.points[j], s.points[i] })
	}
	point := s.points[0]
	s.points = s.points[1:]
	return point
}

func duringRestart(p actors.Failpoint) bool {
	return p == actors.FailStarted || p == actors.FailRestarting
}

func whenStopping(p actors.Failpoint) bool {
	return p == actors.FailStopping || p == actors.FailStopped
}

// hook is what the subsystem calls at each failpoint.
func (s *saboteur) hook(point actors.Failpoint, inFlight int) {
	if point == actors.FailDelivering {
		s.due++
	}
	if inFlight > 0 && s.strikes(point) {
		s.due = 0
		s.counts[point].Add(1)
		panic(injected{point})
	}
}

func (s *saboteur) strikes(point actors.Failpoint) bool {
	switch {
	case whenStopping(point):
		return s.last.Load() && s.counts[point].Load() == 0
	case duringRestart(point):
		return s.second.CompareAndSwap(int32(point), nowhere)
	default:
		// When a second answer is due, the first one has been sent.
		return s.due > 1 && s.target.Load() == int32(point) && s.target.CompareAndSwap(int32(point), nowhere)
	}
}

// total is how often the owner was made to panic.
func (s *saboteur) total() (n uint64) {
	for i := range s.counts {
		n += s.counts[i].Load()
	}
	return n
}

// String lists the crashes at each point.
func (s *saboteur) String() string {
	var text strings.Builder
	for _, p := range actors.Failpoints() {
		if p > 0 {
			text.WriteString(", ")
		}
		fmt.Fprintf(&text, "%s %d", p, s.counts[p].Load())
	}
	return text.String()
}
