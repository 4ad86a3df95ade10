package actors_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/fake"
)

func manyInFlight(c *actors.Config) { c.InFlight, c.Queue = 4096, 4096 }

// TestDeviceThatHangs: of the operations on one device only so many are with
// the kernel; the others can be cancelled, and those of other devices go on.
func TestDeviceThatHangs(t *testing.T) {
	r := newRig(t, config(manyInFlight))
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	hung := q.directory()
	for n := range actors.DeviceBound {
		q.send(&messages.Mkdir{Dir: hung, Path: fmt.Sprint(n)})
	}
	for range actors.DeviceBound {
		k.Next(t, ring.CodeMkdir)
	}
	one := q.send(&messages.Unlink{Dir: hung, Path: "one"})
	two := q.send(&messages.Unlink{Dir: hung, Path: "two"})
	q.silent()
	require.Equal(t, 2, r.inspect().Queued)
	q.cancel(one)
	require.NotNil(t, q.cancelled(one).Op)

	id := other.send(&messages.Open{Path: "/elsewhere", Flags: os.O_RDONLY})
	fd, _ := r.descriptor()
	k.Complete(k.Next(t, ring.CodeOpen).Name, fd, 0)
	other.succeeds(id)

	first := k.InFlight()[0]
	k.Complete(first.Name, 0, 0) // the device moves
	expect[*messages.Completion](q)
	k.Complete(k.Next(t, ring.CodeUnlink).Name, 0, 0)
	q.succeeds(two)
	for _, taken := range k.InFlight() {
		k.Complete(taken.Name, 0, 0)
	}
	q.answers(actors.DeviceBound - 1)
}

// TestDeadlineBehindADeviceThatHangs ends what waits for its turn.
func TestDeadlineBehindADeviceThatHangs(t *testing.T) {
	r := newRig(t, config(manyInFlight))
	q := r.requester()
	k := r.kernel(1)
	hung := q.directory()
	for n := range actors.DeviceBound {
		q.send(&messages.Mkdir{Dir: hung, Path: fmt.Sprint(n)})
	}
	late := q.by(time.Now().Add(time.Hour), &messages.Unlink{Dir: hung, Path: "late"})
	r.glass.Look() // it is taken
	r.clock.pass(time.Hour)
	c := q.completion(late)
	require.ErrorIs(t, c.Err, context.DeadlineExceeded)
	require.NotNil(t, c.Op)
	for _, taken := range k.InFlight() {
		k.TryComplete(taken.Name, 0, 0)
	}
	q.answers(actors.DeviceBound)
}

// TestDevicesThatHang: paths that begin alike count as of one device, and when
// many have taken most of the workers each gets few.
func TestDevicesThatHang(t *testing.T) {
	const devices = 8
	r := newRig(t, config(manyInFlight))
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	for d := range devices {
		for n := range 2 * actors.DeviceBound {
			q.send(&messages.Mkdir{Path: fmt.Sprintf("/mnt/%d/%d", d, n)})
		}
	}
	q.silent()
	perDevice := map[string]int{}
	for _, taken := range k.InFlight() {
		path, _ := taken.Paths()
		perDevice[path[:len("/mnt/0")]]++
	}
	require.Len(t, perDevice, devices, "one has nothing")
	require.Equal(t, actors.DeviceBound, perDevice["/mnt/0"])
	require.Less(t, perDevice["/mnt/7"], actors.DeviceBound)

	id := other.send(&messages.Mkdir{Path: "/srv/elsewhere"})
	r.until("it is with the kernel", func() bool {
		for _, taken := range k.InFlight() {
			if path, _ := taken.Paths(); path == "/srv/elsewhere" {
				k.Complete(taken.Name, 0, 0)
				return true
			}
		}
		return false
	})
	other.succeeds(id)
	r.until("all are answered", func() bool {
		for _, taken := range k.InFlight() {
			k.TryComplete(taken.Name, 0, 0)
		}
		return len(q.inbox) == 2*devices*actors.DeviceBound
	})
	q.answers(2 * devices * actors.DeviceBound)
}

// regions has operations under way in more regions than are kept for nothing, and
// gives what ends them.
func (q *requester) regions(k *fake.Kernel) (end func()) {
	q.r.t.Helper()
	var all []*fake.Taken
	for n := range actors.RegionsKept + 1 {
		q.send(&messages.Mkdir{Path: fmt.Sprintf("/some/%d/dir", n)})
		all = append(all, k.Next(q.r.t, ring.CodeMkdir))
	}
	return func() {
		for _, taken := range all {
			k.Complete(taken.Name, 0, 0)
			require.NoError(q.r.t, expect[*messages.Completion](q).Err)
		}
	}
}

// TestRegionOfAFileIsKept: a file that was just created is where its path leads, and
// counts with what goes there by path, however many other paths are used.
func TestRegionOfAFileIsKept(t *testing.T) {
	r := newRig(t, config(manyInFlight))
	k := r.kernel(1)
	q, other := r.requester(), r.requester()
	id := q.send(&messages.Open{Path: "/none/hung/new", Flags: os.O_CREATE | os.O_EXCL | os.O_WRONLY})
	fd, _ := r.descriptor()
	k.Complete(k.Next(t, ring.CodeOpen).Name, fd, 0)
	file := q.succeeds(id).Handle
	inUse := other.regions(k)
	makes := func() { other.send(&messages.Mkdir{Path: "/none/hung/dir"}) }
	makes()
	k.Complete(k.Next(t, ring.CodeMkdir).Name, 0, 0)
	require.NoError(t, expect[*messages.Completion](other).Err)
	inUse()

	for range actors.DeviceBound {
		q.send(&messages.Fsync{Handle: file})
		k.Next(t, ring.CodeFsync)
	}
	makes()
	require.Equal(t, 1, r.inspect().Queued, "the device has got more than its share")
	k.Complete(k.InFlight()[0].Name, 0, 0)
	k.Complete(k.Next(t, ring.CodeMkdir).Name, 0, 0)
	for _, taken := range k.InFlight() {
		k.Complete(taken.Name, 0, 0)
	}
	q.answers(actors.DeviceBound)
}

// TestPastSaving: what was to end and cannot be stopped holds up the others of
// its device no longer, on the portable backend, until workers are scarce. On a
// ring it ends, sooner or later.
func TestPastSaving(t *testing.T) {
	for _, backend := range []actors.Backend{actors.BackendRing, actors.BackendPortable} {
		t.Run(backend.String(), func(t *testing.T) {
			r := newRig(t, config(manyInFlight), config(func(c *actors.Config) {
				c.Backend, c.OpenFallback = backend, c.OpenKernel
			}))
			q, other := r.requester(), r.requester()
			k := r.kernel(1)
			k.OnTaken(func(taken *fake.Taken) {
				if taken.Code != ring.CodeCancel {
					r.oblige(k, taken)
					return
				}
				k.TryComplete(taken.Name, already, 0)
			})
			issued := 0
			wave := func() {
				q := r.requester() // each may have so many only
				for n := range actors.DeviceBound {
					id := q.send(&messages.Mkdir{Path: fmt.Sprint("/mnt/hung/", n)})
					k.Next(t, ring.CodeMkdir)
					q.cancel(id)
					issued++
				}
			}
			wave()
			if backend == actors.BackendPortable {
				for issued < actors.Scarce {
					wave()
				}
			}
			last := q.send(&messages.Unlink{Path: "/mnt/hung/waits"})
			q.silent()
			require.Equal(t, 1, r.inspect().Queued)

			beside := other.send(&messages.Mkdir{Path: "/elsewhere"})
			k.Complete(k.Next(t, ring.CodeMkdir).Name, 0, 0)
			other.succeeds(beside)

			for _, taken := range k.InFlight() { // the device moves
				k.TryComplete(taken.Name, 0, 0)
			}
			k.Complete(k.Next(t, ring.CodeUnlink).Name, 0, 0)
			q.succeeds(last)
		})
	}
}

// TestScarceNoMore: what waits because workers are scarce is issued when they are
// not any more, though nothing of its own device ends.
func TestScarceNoMore(t *testing.T) {
	r := newRig(t, config(manyInFlight), config(func(c *actors.Config) {
		c.Backend, c.OpenFallback = actors.BackendPortable, c.OpenKernel
	}))
	k := r.kernel(1)
	k.OnTaken(func(taken *fake.Taken) {
		if taken.Code != ring.CodeCancel {
			r.oblige(k, taken)
			return
		}
		k.TryComplete(taken.Name, already, 0)
	})
	q := r.requester()
	const hung = 10 // more than a device has when workers are scarce
	for n := range hung {
		id := q.send(&messages.Mkdir{Path: fmt.Sprint("/mnt/hung/", n)})
		k.Next(t, ring.CodeMkdir)
		q.cancel(id)
	}
	var busy []*fake.Taken
	for d := 0; hung+len(busy) < actors.Scarce; d++ {
		other := r.requester()
		for n := 0; n < actors.DeviceBound && hung+len(busy) < actors.Scarce; n++ {
			other.send(&messages.Mkdir{Path: fmt.Sprintf("/srv%d/x/%d", d, n)})
			busy = append(busy, k.Next(t, ring.CodeMkdir))
		}
	}
	last := q.send(&messages.Unlink{Path: "/mnt/hung/waits"})
	q.silent()
	require.Equal(t, 1, r.inspect().Queued)
	for _, b := range busy {
		k.Complete(b.Name, 0, 0)
	}
	k.Complete(k.Next(t, ring.CodeUnlink).Name, 0, 0)
	q.succeeds(last)
}
