//go:build linux

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// spoiler is a ring into which some requests are pushed spoilt: the kernel
// refuses them already when it takes them from the queue, which no operation
// that gets past our own checks can bring about. The rest is the kernel's own.
type spoiler struct {
	ring.Kernel
}

// spoilt marks a path to be spoilt.
const spoilt = "spoilt"

// Push implements ring.Kernel.
func (s spoiler) Push(name ring.UserData, req *ring.Request) bool {
	if path, _ := req.Paths(); !strings.Contains(path, spoilt) {
		return s.Kernel.Push(name, req)
	}
	bad := ring.PrepMkdir(ring.NoDir, "too long, since it has a \x00 in it", 0o700)
	*req = bad // the slot keeps what the kernel sees
	return s.Kernel.Push(name, req)
}

// withSpoiler has the subsystem run on one.
func withSpoiler(c *actors.Config) {
	open := c.OpenKernel
	c.OpenKernel = func(c actors.Config) (ring.Kernel, error) {
		kernel, err := open(c)
		if err != nil {
			return nil, err
		}
		return spoiler{kernel}, nil
	}
}

// TestPartialSubmit submits batches in which the kernel refuses some entries
// when it takes them, which without SUBMIT_ALL would end the batch there (T11).
// Each of these is answered with the kernel's reason, the others happen, and
// none is left in the queue: one call takes all.
func TestPartialSubmit(t *testing.T) {
	for _, every := range []int{2, 3, 30, 1} {
		t.Run(fmt.Sprintf("one in %d", every), func(t *testing.T) {
			g := newGate(actors.FailAfterEnter)
			o := start(t, withSpoiler, supervisor.WithFailpoint(g.hook))
			o.needsRing("what the kernel takes from a submission queue")
			r := o.requester()
			dir := t.TempDir()
			const count = 60 // of one device: more would wait
			var ops []messages.Op
			for k := range count {
				name := "good"
				if k%every == 0 {
					name = spoilt
				}
				ops = append(ops, &messages.Mkdir{Path: filepath.Join(dir, fmt.Sprintf("%s-%d", name, k)), Mode: 0o700})
			}
			before := theRing(o).SqHead
			g.arm(t)
			submitted := make(chan []*entry, 1)
			go func() { submitted <- r.submitBatch(ops...) }()
			open := g.wait(t)
			require.EqualValues(t, count, theRing(o).SqHead-before, "one call takes all")
			open()
			entries := <-submitted
			r.settled()
			bad := 0
			for k, e := range entries {
				if k%every != 0 {
					require.NoError(t, e.err())
					continue
				}
				bad++
				require.ErrorIs(t, e.err(), unix.ENAMETOOLONG)
				require.NotErrorIs(t, e.err(), messages.ErrRefused)
			}
			names, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, names, count-bad)
			require.EqualValues(t, bad, o.inspect().Failed)
		})
	}
}
