//go:build linux

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
	"github.com/ringmaster-io/ringmaster/test/leak"
	"github.com/ringmaster-io/ringmaster/test/refuse"
)

// stormVariable, in the environment, is how long the storm lasts: 60s, for
// instance. The limits of time are checked then, for which the machine must have
// nothing else to do, and those of growth are narrow. Without it the storm is
// short: its times are printed, its books are checked, and what a ring leaves at
// each crash would be seen.
const (
	stormVariable = "RINGMASTER_STORM"
	stormShort    = 5 * time.Second
)

// The storm: how often the ring owner is crashed, and under what.
const (
	stormEvery      = 5 * time.Millisecond
	stormCalm       = time.Second // before it, for comparison
	stormRequesters = 8
	stormLanes      = 16 // of each: 128 operations in flight
	stormChunk      = 512
	stormChunks     = 1024
)

// The long storm's limits of time: the pause that a requester sees.
const (
	pauseMedianMax = time.Millisecond
	pause99Max     = 10 * time.Millisecond
)

// growth is by how much memory and descriptors may have grown between the second
// sixth of a storm and the last.
type growth struct {
	memory int64
	files  int
}

// A ring that is left at each crash would be some hundred descriptors in a short
// storm. How many are being drained just then depends on the machine.
var (
	growthLong  = growth{8 << 20, 8}
	growthShort = growth{64 << 20, 128}
)

// storm crashes a subsystem again and again.
type storm struct {
	o       *oracle
	file    messages.Handle
	path    string
	all     []*stormed
	calm    atomic.Bool // what is due is noted, and does not happen
	due     atomic.Bool // a crash
	over    atomic.Bool
	crashes atomic.Int64
}

// TestRestartStorm crashes the ring owner every five milliseconds under 128
// operations in flight (T24). Each is answered once, each byte is right, and what
// a requester sees of it is a short pause. The same is measured first when
// nothing crashes: that is what the load alone has a requester wait.
func TestRestartStorm(t *testing.T) {
	length, long := stormLength(t)
	s := &storm{path: filepath.Join(t.TempDir(), "file")}
	require.NoError(t, makeStormFile(s.path))
	before, err := os.ReadFile(s.path)
	require.NoError(t, err)
	s.o = start(t, supervisor.WithFailpoint(s.hook))
	s.file = do(s.o, &messages.Open{Path: s.path, Flags: os.O_RDWR})
	for range stormRequesters {
		s.all = append(s.all, s.stormed())
	}
	for _, a := range s.all {
		a.begin()
	}
	s.calm.Store(true)
	s.blow(stormCalm)
	s.take().log(t, "calm")
	s.calm.Store(false)
	samples := s.blow(length)
	seen := s.take()
	s.over.Store(true)
	for _, a := range s.all {
		a.r.settled()
	}
	requireContent(t, s.path, before)
	do(s.o, &messages.Close{Handle: s.file})
	s.judge(seen, samples, long)
}

func stormLength(t *testing.T) (length time.Duration, long bool) {
	text := os.Getenv(stormVariable)
	if text == "" {
		return stormShort, false
	}
	length, err := time.ParseDuration(text)
	require.NoError(t, err)
	return length, true
}

// hook is the failpoint: each crash is at another one, with the operations of
// all lanes in flight.
func (s *storm) hook(point actors.Failpoint, inFlight int) {
	if inFlight == 0 || !s.due.Load() || point != actors.Failpoint(s.crashes.Load()%int64(actors.FailStarted)) {
		return
	}
	s.due.Store(false)
	now := time.Now()
	for _, a := range s.all {
		a.crashed(now)
	}
	if !s.calm.Load() {
		panic(fmt.Errorf("injected at %s, crash %d", point, s.crashes.Add(1)))
	}
}

// sample is how the process was at some moment of the storm.
type sample struct {
	memory int64
	files  int
}

// blow is the storm itself, with ten samples a second.
func (s *storm) blow(length time.Duration) (samples []sample) {
	crash := time.NewTicker(stormEvery)
	defer crash.Stop()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for end := time.After(length); ; {
		select {
		case <-crash.C:
			s.due.Store(true)
		case <-look.C:
			samples = append(samples, sample{residentNow(s.o.t), len(leak.OpenFiles())})
		case <-end:
			s.due.Store(false)
			return samples
		}
	}
}

// take gives what all requesters have seen since the last time.
func (s *storm) take() *pauses {
	var all pauses
	for _, a := range s.all {
		all.add(a.take())
	}
	return &all
}

// worst is the worst of some samples.
func worst(samples []sample) (w sample) {
	for _, s := range samples {
		w.memory, w.files = max(w.memory, s.memory), max(w.files, s.files)
	}
	return w
}

// judge prints what the storm was like, and holds a long one to its limits.
func (s *storm) judge(seen *pauses, samples []sample, long bool) {
	t := s.o.t
	in := s.o.inspect()
	sixth := len(samples) / 6 // of a minute, ten seconds
	require.Positive(t, sixth, "the machine stands still")
	early, late := worst(samples[sixth:2*sixth]), worst(samples[len(samples)-sixth:])
	t.Logf("%d crashes, %d operations, %d refused and asked for again", s.crashes.Load(), in.Completed, in.Refused)
	seen.log(t, "storm")
	t.Logf("memory %d KiB early, %d KiB late; descriptors %d early, %d late", early.memory>>10, late.memory>>10, early.files, late.files)
	if refuse.ByMemlock(t) {
		require.GreaterOrEqual(t, int64(in.Failures), s.crashes.Load())
	} else {
		require.EqualValues(t, s.crashes.Load(), in.Failures)
	}
	require.Positive(t, s.crashes.Load())
	most := growthShort
	if long {
		most = growthLong
		require.Less(t, at(seen.silent, 0.5), pauseMedianMax)
		require.Less(t, at(seen.silent, 0.99), pause99Max)
	}
	require.LessOrEqual(t, late.memory-early.memory, most.memory, "memory grows")
	require.LessOrEqual(t, late.files-early.files, most.files, "descriptors grow")
}
