package portable

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/ring"
)

// A completion signals, unless that is masked.
func TestMask(t *testing.T) {
	g := newRig(t, Options{})
	g.Mask()
	first := g.start(ring.PrepStat(ring.NoDir, "/", 0))
	g.until("it to end", func(k *Kernel) bool { return len(k.pending) == 0 })
	select {
	case <-g.signal:
		t.Fatal("signalled what is masked")
	case <-time.After(20 * time.Millisecond):
	}
	g.Unmask()
	require.True(t, g.Backlog(), "one looks once more")
	require.Zero(t, g.await(first))

	second := g.start(ring.PrepStat(ring.NoDir, "/", 0))
	within(t, signalled(g), "a completion")
	require.Zero(t, g.await(second))
}

func signalled(g *rig) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		<-g.signal
		close(done)
	}()
	return done
}

// No completion is missed by one who works with the mask on, takes it off, looks
// once more, and waits.
func TestMaskRaces(t *testing.T) {
	g := newRig(t, Options{})
	r, w := newPipe(t)
	buf := make([]byte, 1)
	for i := range 2000 {
		deadline := time.After(patience)
		g.Mask()
		var name ring.UserData
		switch i % 3 {
		case 0:
			name = g.start(ring.PrepStat(ring.NoDir, "/", 0))
		case 1:
			name = g.start(ring.PrepTimeout(time.Duration(i%50) * time.Microsecond))
		case 2:
			name = g.start(ring.PrepRead(r, buf, ring.StreamOffset))
			go writeAll(t, w, "x")
		}
		for {
			g.reap()
			if _, ended := g.got[name]; ended {
				break
			}
			g.Unmask()
			if g.Backlog() {
				g.Mask()
				continue
			}
			select {
			case <-g.signal:
				g.Mask()
			case <-deadline:
				t.Fatalf("round %d: a completion was missed", i)
			}
		}
	}
}
