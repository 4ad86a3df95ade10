package main

import (
	"context"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// refreshEvery is how often the bar looks at the tally.
const refreshEvery = 100 * time.Millisecond

// progress is a bar on a terminal, and nothing elsewhere. What is written to it
// appears above the bar.
type progress struct {
	io.Writer
	tally *tally
	bars  *mpb.Progress // nil when there is no terminal
	bar   *mpb.Bar
	quit  context.CancelFunc
	// running are the goroutines that look ahead and move the bar.
	running sync.WaitGroup
}

func newProgress(out io.Writer, t *tally) *progress {
	p := &progress{Writer: out, tally: t, quit: func() {}}
	if !isTerminal(out) {
		return p
	}
	p.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(60), mpb.WithRefreshRate(refreshEvery))
	p.bar = p.bars.AddBar(0,
		mpb.PrependDecorators(decor.CountersKiloByte("% .1f / % .1f")),
		mpb.AppendDecorators(
			decor.AverageSpeed(decor.SizeB1000(0), "% .1f"),
			decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO, decor.WC{W: 6}), " done"),
		),
	)
	p.Writer = p.bars
	return p
}

// isTerminal asks about an open descriptor: the only file the program looks at
// without the subsystem is the one that it prints to.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}

// measure has the bar move, and its total grow, ahead of the copy, by a walk of
// the source that only looks at sizes. Its goroutines are joined by end.
func (p *progress) measure(ctx context.Context, c *actors.Client, plan *plan) {
	if p.bars == nil {
		return
	}
	ctx, p.quit = context.WithCancel(ctx)
	p.running.Go(func() { p.follow(ctx) })
	if plan.attributes.Mode.IsRegular() {
		p.tally.total.Add(plan.attributes.Size)
		return
	}
	s := scout{progress: p, ctx: ctx, client: c, seats: make(chan struct{}, scouts)}
	p.running.Go(func() { s.walk(plan.source) })
}

func (p *progress) follow(ctx context.Context) {
	ticker := time.NewTicker(refreshEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			copied := p.tally.bytes.Load()
			p.bar.SetCurrent(copied)
			p.bar.SetTotal(max(p.tally.total.Load(), copied+1), false)
		}
	}
}

// scout adds up the sizes in a tree. Errors are the copy's to report.
type scout struct {
	*progress
	ctx    context.Context
	client *actors.Client
	seats  chan struct{} // one for each directory that is looked at
}

// scouts bounds the directories that are looked at at once. Fewer would not be
// ahead of the copiers, whose operations wait in the same queues of the kernel.
const scouts = 128

func (s scout) walk(path string) {
	s.seats <- struct{}{}
	defer func() { <-s.seats }()
	entries, err := listDir(s.ctx, s.client, messages.Handle{}, path)
	if err != nil {
		return
	}
	for _, e := range entries {
		below := joinPath(path, e.Name)
		if e.Type.IsDir() {
			s.running.Go(func() { s.walk(below) })
			continue
		}
		a, err := await(s.ctx, s.client, &messages.Stat{Path: below, NoFollow: true})
		if err == nil && a.Mode.IsRegular() {
			s.tally.total.Add(a.Size)
		}
	}
}

// end takes the bar off the terminal's last line before anything else is said.
func (p *progress) end(complete bool) {
	p.quit()
	p.running.Wait()
	if p.bars == nil {
		return
	}
	if complete {
		p.bar.SetCurrent(p.tally.bytes.Load())
		p.bar.SetTotal(p.tally.bytes.Load(), true)
	} else {
		p.bar.Abort(false)
	}
	p.bars.Wait()
}
