//go:build linux

package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap/zapcore"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// bent is a kernel some of whose completions are bent.
type bent struct {
	ring.Kernel
	bend   *bend
	pushed map[ring.UserData]*ring.Request
	seen   ring.UserData // may be seen again, and is bent only once
	lost   []ring.CQE    // shown when they are found
	forged bool          // what was peeked last is not in the kernel's queue
}

// bend says what becomes of completions of operations of some kind, from the
// hundredth on.
type bend struct {
	code ring.Code
	how  func(*ring.Request, *ring.CQE)
	// Of the hundredth only: lose has it not be shown until it is found, and
	// forge has what how makes of it shown besides.
	lose, forge bool

	count  atomic.Int64
	enough context.CancelFunc // called when so many have come that it must be seen
	found  atomic.Bool
	mu     sync.Mutex
	wakers []func()
}

// bendAt is the first completion that is bent, and bendEnough the one after which
// a run may end: on its way to its end there will be more.
const (
	bendAt     = 100
	bendEnough = bendAt + 3
)

// Push implements ring.Kernel.
func (k *bent) Push(name ring.UserData, r *ring.Request) bool {
	k.pushed[name] = r
	return k.Kernel.Push(name, r)
}

// Peek implements ring.Kernel.
func (k *bent) Peek() (ring.CQE, bool) {
	if len(k.lost) > 0 && k.bend.found.Load() {
		k.forged = true
		return k.lost[0], true
	}
	k.forged = false
	cqe, ok := k.Kernel.Peek()
	r := k.pushed[cqe.UserData]
	if !ok || cqe.UserData == k.seen || r == nil || r.Code != k.bend.code || cqe.Res <= 0 && k.bend.code == ring.CodeRead {
		return cqe, ok
	}
	k.seen = cqe.UserData
	n := k.bend.count.Add(1)
	if n >= bendEnough {
		k.bend.enough()
	}
	if n < bendAt || n > bendAt && (k.bend.lose || k.bend.forge) {
		return cqe, true
	}
	if k.bend.lose {
		k.lost = append(k.lost, cqe)
		k.Kernel.Advance()
		return k.Peek()
	}
	k.bend.how(r, &cqe)
	k.forged = k.bend.forge
	return cqe, true
}

// Advance implements ring.Kernel.
func (k *bent) Advance() {
	switch {
	case !k.forged:
		k.Kernel.Advance()
	case len(k.lost) > 0:
		k.lost = k.lost[1:]
	}
}

// Wait implements ring.Kernel.
func (k *bent) Wait(ready func()) {
	k.bend.mu.Lock()
	k.bend.wakers = append(k.bend.wakers, ready)
	k.bend.mu.Unlock()
	k.Kernel.Wait(ready)
}

// find shows what was lost, so that nothing is left of it in this process.
func (b *bend) find() {
	b.found.Store(true)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, wake := range b.wakers {
		wake()
	}
}

func (b *bend) option(c *actors.Config) {
	open := c.OpenKernel
	c.OpenKernel = func(c actors.Config) (ring.Kernel, error) {
		k, err := open(c)
		if err != nil {
			return nil, err
		}
		return &bent{Kernel: k, bend: b, pushed: make(map[ring.UserData]*ring.Request)}, nil
	}
}

// TestChaosSees has runs on kernels that break a promise: the exit status must
// be 1, and the reason be said.
func TestChaosSees(t *testing.T) {
	for _, test := range []struct {
		name string
		bend *bend
		want []string
	}{
		{"a read that brings something else", &bend{code: ring.CodeRead, how: func(r *ring.Request, cqe *ring.CQE) {
			r.Buf[cqe.Res/2] ^= 1
		}}, []string{"byte"}},
		{"a write that is one byte short", &bend{code: ring.CodeWrite, how: func(_ *ring.Request, cqe *ring.CQE) {
			cqe.Res--
		}}, []string{"bytes"}},
		{"an unlink that fails", &bend{code: ring.CodeUnlink, how: func(_ *ring.Request, cqe *ring.CQE) {
			cqe.Res = -5
		}}, []string{"input/output error"}},
		{"a completion that is lost", &bend{code: ring.CodeStat, lose: true}, []string{
			"actors wait for answers that do not come", "waits for stat #", "unknown at the end: 1", "1 operations abandoned",
		}},
		{"a completion of nothing", &bend{code: ring.CodeStat, forge: true, how: func(_ *ring.Request, cqe *ring.CQE) {
			cqe.UserData ^= 1 << 41
		}}, []string{"stale at the end: 1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, enough := context.WithTimeout(t.Context(), bendWithin)
			defer enough()
			test.bend.enough = enough
			patience := chaosPatience
			if test.bend.lose {
				patience = confessAfter // since the answer never comes
			}
			wantBroken(ctx, t, patience, test.want, test.bend.option)
			if n := test.bend.count.Load(); n < bendAt {
				t.Errorf("nothing was bent: %d completions", n)
			}
			test.bend.find()
		})
	}
}

// TestChaosSeesLeaks leaves something behind when a ring is opened. What is about
// to end of another run must not be there when it begins, or it would be
// taken for what is left.
func TestChaosSeesLeaks(t *testing.T) {
	for _, test := range []struct {
		want string
		leak func() (mend func())
	}{
		{"descriptors at the end: 1", func() func() {
			file, err := os.Open("/dev/null")
			check(t, err)
			return func() { file.Close() }
		}},
		{"goroutines at the end: 1", func() func() {
			quit := make(chan struct{})
			go func() { <-quit }()
			return func() { close(quit) }
		}},
	} {
		t.Run(test.want, func(t *testing.T) {
			awaitNobody(t)
			mend := func() {}
			defer func() { mend() }()
			var once sync.Once
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			wantBroken(ctx, t, confessAfter, []string{test.want}, func(c *actors.Config) {
				open := c.OpenKernel
				c.OpenKernel = func(c actors.Config) (ring.Kernel, error) {
					once.Do(func() { mend = test.leak() })
					return open(c)
				}
			})
		})
	}
}

// awaitNobody waits until no goroutine is left of what ran before.
func awaitNobody(t *testing.T) {
	t.Helper()
	for over := time.Now().Add(bendWithin); ; {
		err := goleak.Find() // which waits a little
		if err == nil {
			return
		}
		if time.Now().After(over) {
			t.Fatal(err)
		}
	}
}

// bendWithin bounds a run that is to end when something has happened, and
// confessAfter is the patience with what never comes, which takes that long.
const (
	bendWithin   = 30 * time.Second
	confessAfter = 3 * time.Second
)

// brokenRun are the options of a run that its context ends.
func brokenRun(dir string, patience time.Duration) chaosOptions {
	return chaosOptions{
		duration: time.Hour, actors: 8, dir: dir, seed: 1,
		crashEvery: 20 * time.Millisecond, patience: patience,
	}
}

// wantBroken runs a chaos that must break promises, and say which.
func wantBroken(ctx context.Context, t *testing.T, patience time.Duration, want []string, option supervisor.Option) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	g := &globals{stdout: &stdout, stderr: &stderr, level: zapcore.ErrorLevel}
	err := runChaos(ctx, g, brokenRun(t.TempDir(), patience), option, supervisor.WithShutdownGrace(100*time.Millisecond))
	if err == nil || !strings.Contains(err.Error(), "promises were broken; again: example chaos --seed 1 ") {
		t.Errorf("ends with %v", err)
	}
	for _, w := range want {
		if !strings.Contains(stderr.String(), w) {
			t.Errorf("no %q in:\n%s", w, stderr.String())
		}
	}
	if strings.Contains(stdout.String(), "broken      0\n") {
		t.Errorf("the books know nothing of it:\n%s", stdout.String())
	}
}
