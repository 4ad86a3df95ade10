package main

import (
	"fmt"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// screen shows on a terminal how the run goes, and nothing elsewhere.
type screen struct {
	chaos *chaos
	began time.Time
	bars  *mpb.Progress // nil when there is no terminal
	bar   *mpb.Bar
	quit  chan struct{}
	ended chan struct{} // closed by the goroutine that moves the bar
}

func newScreen(c *chaos) *screen {
	s := &screen{chaos: c, began: time.Now(), quit: make(chan struct{}), ended: make(chan struct{})}
	if !isTerminal(c.globals.stderr) {
		close(s.ended)
		return s
	}
	s.bars = mpb.New(mpb.WithOutput(c.globals.stderr), mpb.WithWidth(12), mpb.WithRefreshRate(refreshEvery))
	s.bar = s.bars.AddBar(c.options.duration.Milliseconds(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return s.clock() })),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return s.counters() })),
	)
	go s.follow()
	return s
}

// follow moves the bar with the time.
func (s *screen) follow() {
	defer close(s.ended)
	ticker := time.NewTicker(refreshEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-ticker.C:
			s.bar.SetCurrent(min(time.Since(s.began), s.chaos.options.duration-1).Milliseconds())
		}
	}
}

func (s *screen) clock() string {
	return fmt.Sprintf("%4.0fs / %s", time.Since(s.began).Seconds(), s.chaos.options.duration)
}

func (s *screen) counters() string {
	l := &s.chaos.ledger
	var crashes, errs uint64
	if s.chaos.saboteur != nil {
		crashes = s.chaos.saboteur.total()
	}
	if s.chaos.injector != nil {
		errs = s.chaos.injector.Total()
	}
	return fmt.Sprintf(" %d broken, %s answers, %d crashes, %d errors, %d killed, pause %s",
		l.brokenCount(), group(int64(l.answers())), crashes, errs, l.killed.Load(),
		s.chaos.pauses.longest().Round(time.Millisecond))
}

// end takes the bar off the terminal's last line before anything else is said.
func (s *screen) end() {
	close(s.quit)
	<-s.ended
	if s.bars == nil {
		return
	}
	s.bar.Abort(false)
	s.bars.Wait()
}
