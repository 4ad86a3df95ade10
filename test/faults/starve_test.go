//go:build linux

package faults

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/messages"
)

// starving is how many operations hang on one device at once: more than there
// are kernel workers.
const starving = 600

// TestIoWqStarve has hundreds of opens and reads hang on one device (T28), which
// would take all of the kernel's workers. Only so many are with the kernel; the
// others wait where a cancellation and a deadline reach them, and are counted.
// Operations elsewhere go on, in so far as it is known that they are elsewhere:
// their handles tell, absolute paths do not.
func TestIoWqStarve(t *testing.T) {
	for _, c := range []struct{ name, kind string }{
		{"lookups", "lookup"}, {"lookups by absolute path", "lookup"}, {"opens", "open"}, {"reads", "read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mountFUSE(t)
			o := start(t)
			p, r := newPulse(o), o.requester()
			dir := m.open(o, "dir", os.O_RDONLY)
			file := m.open(o, "raw", os.O_RDONLY)
			m.hang(c.kind)
			ask := func(k int) messages.Op {
				switch c.name {
				case "reads":
					return &messages.Read{Handle: file, Buf: make([]byte, 10)}
				case "lookups by absolute path":
					return &messages.Open{Path: m.path(fmt.Sprint(k)), Flags: os.O_RDONLY}
				default:
					return &messages.Open{Dir: dir, Path: fmt.Sprint(k), Flags: os.O_RDONLY}
				}
			}
			var all []*entry
			for k := range starving {
				all = append(all, r.submit(ask(k)))
			}
			m.hung(c.kind, 1)
			p.regular(m)
			in := o.inspect()
			require.Equal(t, starving, in.Queued+in.InFlight, "each is counted")
			require.Positive(t, in.Queued, "some wait outside the kernel")
			t.Logf("%d with the kernel, %d wait", in.InFlight, in.Queued)

			last := all[starving-1] // it waits, and so it is answered at once
			require.Equal(t, messages.Cancelled, r.cancel(last).wait(r).Outcome)
			require.ErrorIs(t, last.err(), context.Canceled)
			late := r.entry(ask(starving))
			r.send(late, &messages.Submit{Op: late.op, ID: late.id, Deadline: time.Now().Add(10 * time.Millisecond)})
			require.ErrorIs(t, late.err(), context.DeadlineExceeded)

			m.serve()
			r.settled()
			for _, e := range all[:starving-1] {
				require.NoError(t, e.err())
			}
		})
	}
}

// TestDevicesThatHang has several devices hang at once, each with more
// operations than it may issue.
func TestDevicesThatHang(t *testing.T) {
	const devices = 2
	var mounts []*fuseMount
	for range devices {
		mounts = append(mounts, mountFUSE(t))
	}
	o := start(t)
	p, r := newPulse(o), o.requester()
	for _, m := range mounts {
		dir := m.open(o, "dir", os.O_RDONLY)
		m.hang("lookup")
		for k := range starving {
			r.submit(&messages.Open{Dir: dir, Path: fmt.Sprint(k), Flags: os.O_RDONLY})
		}
		m.hung("lookup", 1)
	}
	p.regular(mounts[0])
	for _, m := range mounts {
		m.serve()
	}
	r.settled()
}

// TestLaneStarve has operations that io_uring has no code for hang: as many as
// the blocking lane has workers, and more. What needs no worker of it goes on;
// what does is neither lost nor silent: it is counted, and can be cancelled.
func TestLaneStarve(t *testing.T) {
	m := mountFUSE(t)
	o := start(t)
	r := o.requester()
	m.hang("readlink")
	var all []*entry
	for range 20 {
		all = append(all, r.submit(&messages.ReadLink{Path: m.path("link")}))
	}
	m.hung("readlink", 1)
	elsewhere := r.submit(&messages.ReadLink{Path: "/proc/self/exe"})
	for range beats {
		do(o, &messages.Stat{Path: "/proc/self/exe"})
	}
	in := o.inspect()
	require.Equal(t, 21, in.Queued+in.InFlight)
	if elsewhere.whileOpen(func() {}) {
		t.Log("what needs the blocking lane waits for the device that hangs")
		r.cancel(elsewhere).wait(r)
		require.ErrorIs(t, elsewhere.err(), context.Canceled)
	}
	m.serve()
	r.settled()
	for _, e := range all {
		require.NoError(t, e.err())
	}
}
