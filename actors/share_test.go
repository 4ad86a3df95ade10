package actors_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/fake"
)

// The kernel has 64 places: 48 for anyone, 16 for owners that have none.
const (
	shareAll      = 64
	shareAnyones  = 48
	shareReserved = shareAll - shareAnyones
)

func share(c *actors.Config) { c.InFlight, c.Queue = shareAll, 1024 }

// idle submits timers that do not expire, and that can be told by their length.
func (q *requester) idle(n int, length time.Duration) (ids []messages.OpID) {
	for range n {
		ids = append(ids, q.send(&messages.Timeout{After: length}))
	}
	return ids
}

// has waits until the kernel has so many operations, and nothing more is on its
// way there.
func (r *rig) has(k *fake.Kernel, n int) {
	r.t.Helper()
	r.until(fmt.Sprintf("the kernel has %d operations", n), func() bool { return len(k.InFlight()) == n })
	p := r.glass.Look()
	require.Zero(r.t, p.Ready+p.Pinned)
	require.Len(r.t, k.InFlight(), n)
}

// does has a requester's operation performed.
func (q *requester) does(k *fake.Kernel) {
	q.r.t.Helper()
	id := q.send(&messages.Nop{})
	k.Complete(k.Next(q.r.t, ring.CodeNop).Name, 0, 0)
	q.succeeds(id)
}

// ends has the oldest operation of the kernel end.
func (r *rig) ends(k *fake.Kernel) { k.Complete(k.InFlight()[0].Name, timerRang, 0) }

// TestOneOwnerTakesAll: an owner of any number of operations that do not end
// leaves room for others, and so do several.
func TestOneOwnerTakesAll(t *testing.T) {
	r := newRig(t, config(share))
	k := r.kernel(1)
	greedy, other := r.requester(), r.requester()
	greedy.idle(3*shareAll, time.Hour)
	r.has(k, shareAnyones)
	require.Equal(t, 3*shareAll-shareAnyones, r.inspect().Queued)
	for range 100 {
		other.does(k)
	}
	for n := range shareReserved - 1 {
		r.requester().idle(10, time.Hour)
		r.has(k, shareAnyones+n+1)
		other.does(k)
	}
	greedy.silent()
}

// TestSharesAreNotForClose: what gives something up does not wait.
func TestSharesAreNotForClose(t *testing.T) {
	r := newRig(t, config(share))
	k := r.kernel(1)
	q := r.requester()
	file := q.regular()
	q.idle(shareAll, time.Hour)
	r.has(k, shareAnyones)
	q.succeeds(q.send(&messages.Close{Handle: file}))
}

// TestShareIsPassedOn: as soon as something ends of what an owner has, its next
// is issued.
func TestShareIsPassedOn(t *testing.T) {
	const ops = 2 * shareAll
	r := newRig(t, config(share))
	k := r.kernel(1)
	q := r.requester()
	ids := q.idle(ops, time.Hour)
	for n := range ops {
		r.has(k, min(shareAnyones, ops-n))
		r.ends(k)
		q.succeeds(ids[n])
	}
	require.Zero(t, r.glass.Look().Placed)
}

// TestSharesInTurn: of the owners that wait each is next in its turn, whatever
// the others have waiting. One that has nothing is not in their way.
func TestSharesInTurn(t *testing.T) {
	r := newRig(t, config(share))
	k := r.kernel(1)
	first, many, some, gone := r.requester(), r.requester(), r.requester(), r.requester()
	first.idle(shareAnyones, time.Hour)
	many.idle(100, 1*time.Second)
	some.idle(3, 2*time.Second)
	gone.idle(3, 3*time.Second)
	r.has(k, shareAnyones+3) // each has one
	for range shareAnyones + 3 {
		k.Next(t, ring.CodeTimeout)
	}
	gone.stop()
	r.has(k, shareAnyones+2)
	var turns []time.Duration
	for range 2 { // nobody is next: the reserve is not for them
		r.ends(k)
		expect[*messages.Completion](first)
	}
	r.has(k, shareAnyones)
	for range 5 {
		r.ends(k)
		expect[*messages.Completion](first)
		turns = append(turns, k.Next(t, ring.CodeTimeout).Duration()/time.Second)
		r.has(k, shareAnyones)
	}
	require.Equal(t, []time.Duration{1, 2, 1, 2, 1}, turns)
}

// TestEndedInWaiting: what waits with its owner is cancelled, and ends at its
// deadline, and with its owner, and moves to the next ring.
func TestEndedInWaiting(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option, config(share))
	k := r.kernel(1)
	q, other := r.requester(), r.requester()
	q.idle(shareAnyones, time.Hour)
	r.has(k, shareAnyones)
	require.Zero(t, r.glass.Look().Crowd)

	id := q.idle(1, time.Hour)[0]
	require.Equal(t, 1, r.glass.Look().Crowd)
	q.cancel(id)
	requireCancelled(t, q.cancelled(id))
	require.Zero(t, r.glass.Look().Crowd)

	late := q.by(time.Now().Add(time.Hour), &messages.Nop{})
	require.Equal(t, 1, r.glass.Look().Crowd)
	r.clock.pass(time.Hour)
	require.ErrorIs(t, q.completion(late).Err, context.DeadlineExceeded)
	require.Zero(t, r.glass.Look().Crowd)

	q.idle(5, time.Minute)
	crash.now(r, other)
	young := r.kernel(2)
	other.does(young)
	require.Empty(t, young.InFlight(), "the old ring still has what is the owner's share")
	r.ends(k)
	expect[*messages.Completion](q)
	require.Equal(t, time.Minute, young.Next(t, ring.CodeTimeout).Duration())
	require.Equal(t, 1, r.glass.Look().Crowd)
	q.stop()
	r.until("nothing is left of it", func() bool { r.letGo(); return r.glass.Look().Placed == 0 })
	require.Zero(t, r.glass.Look().Crowd)
}

// TestForfeitedShare: what a ring did not end in time is nobody's share any more.
func TestForfeitedShare(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option, manual, config(share), config(short))
	k := r.kernel(1)
	q, other := r.requester(), r.requester()
	q.idle(shareAnyones, time.Hour)
	r.has(k, shareAnyones)
	q.idle(2, time.Minute)
	crash.now(r, other)
	young := r.kernel(2)
	q.answers(shareAnyones) // as unknown
	for range 2 {
		young.Complete(young.Next(t, ring.CodeTimeout).Name, timerRang, 0)
		require.NoError(t, expect[*messages.Completion](q).Err)
	}
	r.until("the quarantine is over", func() bool { r.letGo(); return r.glass.Look().Quarantined == 0 })
}

// TestShareAndDevice: what waits with its owner occupies nothing of its device,
// and what waits for its device nothing of its owner's share.
func TestShareAndDevice(t *testing.T) {
	const all, anyones = 512, 384
	r := newRig(t, config(func(c *actors.Config) { c.InFlight, c.Queue = all, 4096 }))
	k := r.kernel(1)
	greedy, other := r.requester(), r.requester()
	dir := other.directory()
	for n := range 2 * actors.DeviceBound { // half of them wait for the device
		greedy.send(&messages.Mkdir{Dir: dir, Path: fmt.Sprint(n)})
	}
	r.has(k, actors.DeviceBound)
	greedy.idle(all, time.Hour)
	r.has(k, anyones)
	for range actors.DeviceBound { // their places go to the timers, not to the rest
		k.Complete(k.Next(t, ring.CodeMkdir).Name, 0, 0)
		expect[*messages.Completion](greedy)
		r.has(k, anyones)
	}
	id := other.send(&messages.Unlink{Dir: dir, Path: "other's"})
	k.Complete(k.Next(t, ring.CodeUnlink).Name, 0, 0)
	other.succeeds(id)
	r.until("everything is done", func() bool {
		for _, taken := range k.InFlight() {
			k.Complete(taken.Name, 0, 0)
		}
		return len(greedy.inbox) == actors.DeviceBound+all
	})
	greedy.answers(actors.DeviceBound + all)
	id = other.send(&messages.Open{Path: "/elsewhere", Flags: os.O_RDONLY})
	k.Complete(k.Next(t, ring.CodeOpen).Name, notFound, 0)
	require.Error(t, other.completion(id).Err)
}

// TestSlotsAreShared: an owner that may have as much open as there is leaves
// slots to others, too. It is refused, and told when it may go on.
func TestSlotsAreShared(t *testing.T) {
	const all, anyones, few = 1024, 768, 8
	r := newRig(t, config(func(c *actors.Config) { c.InFlight, c.Queue = shareAll, all-shareAll }))
	k := r.kernel(1)
	greedy, other := r.requester(), r.requester()
	greedy.idle(anyones, time.Hour)
	for range 3 {
		greedy.send(&messages.Nop{})
		require.ErrorIs(t, expect[*messages.Refused](greedy).Err, messages.ErrOverloaded)
	}
	other.does(k)
	ids := other.idle(few, time.Minute)
	other.send(&messages.Nop{})
	require.ErrorIs(t, expect[*messages.Refused](other).Err, messages.ErrOverloaded)
	other.cancel(ids[0])
	other.cancelled(ids[0])
	other.silent() // it has more than three quarters of its few
	other.cancel(ids[1])
	require.Equal(t, 1, other.readies(3))
	other.idle(1, time.Minute)
	other.silent()

	r.system.Root.Send(r.pid, &messages.CancelOwner{Owner: greedy.pid})
	require.Equal(t, 1, greedy.readies(anyones+2))
	greedy.silent()
	other.silent()
}

// TestRoomBesideIdle: who holds little is told of a slot that is free, whatever
// others keep for ever, and each that was refused is told of one.
func TestRoomBesideIdle(t *testing.T) {
	const all, anyones = 128, 96
	r := newRig(t, config(func(c *actors.Config) { c.InFlight, c.Queue = 64, all-64 }))
	r.requester().idle(anyones, time.Hour)
	var small []*requester
	for range all - anyones {
		s := r.requester()
		s.idle(1, time.Hour)
		small = append(small, s)
	}
	first, second := r.requester(), r.requester()
	for _, q := range []*requester{first, second} {
		q.send(&messages.Nop{})
		require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrOverloaded)
	}
	first.silent()
	small[0].stop()
	expect[*messages.Ready](first)
	r.clock.feed() // there was one slot, which the first does not take
	expect[*messages.Ready](second)
	first.silent()
	require.Zero(t, r.glass.Look().Starved)
}

// TestRoomIsForThoseWhoCome: an Await that is refused has its answer, and does not
// come back. The slot that is free then is for the actor that was refused after it.
func TestRoomIsForThoseWhoCome(t *testing.T) {
	const all, anyones = 128, 96
	r := newRig(t, config(func(c *actors.Config) { c.InFlight, c.Queue = all, 0 }))
	r.requester().idle(anyones, time.Hour)
	small := r.requester()
	small.idle(1, time.Hour)
	for range all - anyones - 1 {
		r.requester().idle(1, time.Hour)
	}
	r.has(r.kernel(1), all) // so that nothing follows in what ends
	_, err := actors.Await(t.Context(), r.rm.Client(), &messages.Nop{})
	require.ErrorIs(t, err, messages.ErrOverloaded)
	q := r.requester()
	q.send(&messages.Nop{})
	require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrOverloaded)
	small.stop()
	within(t, q.inbox, "a Ready") // without a look: that would be the next turn
}

// TestRoomInAQuota: who was refused for his quota is told at once when a quarter of
// it is free, and in a while of whatever there is: the rest may never end.
func TestRoomInAQuota(t *testing.T) {
	const quota = 8
	r := newRig(t, config(func(c *actors.Config) { c.OwnerQuota = quota }))
	q := r.requester()
	ids := q.idle(quota, time.Hour)
	refused := func() {
		q.send(&messages.Nop{})
		require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrQuota)
	}
	end := func() {
		q.cancel(ids[0])
		q.cancelled(ids[0])
		ids = ids[1:]
	}
	refused()
	end()
	q.silent()
	within(t, r.clock.feeds, "that it is told in a while")()
	expect[*messages.Ready](q)
	ids = append(ids, q.idle(1, time.Hour)...)
	refused()
	end()
	q.silent()
	q.cancel(ids[0])
	require.Equal(t, 1, q.readies(3))
	q.silent()
}

// TestRoomNotTaken: of two that hold their few the first is told of the one slot
// there is, and does not come. The second is told of it then.
func TestRoomNotTaken(t *testing.T) {
	const all, anyones = 128, 96
	r := newRig(t, config(func(c *actors.Config) { c.InFlight, c.Queue = 64, all-64 }))
	first, second, idler := r.requester(), r.requester(), r.requester()
	for _, q := range []*requester{first, second} {
		q.idle(1, time.Hour)
	}
	ids := idler.idle(anyones-2, time.Hour)
	for _, q := range []*requester{first, second} {
		q.send(&messages.Nop{})
		require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrOverloaded)
	}
	idler.cancel(ids[0])
	idler.cancelled(ids[0])
	r.clock.feed()
	expect[*messages.Ready](first)
	r.clock.feed()
	expect[*messages.Ready](second)
}

// TestRoomForMany: who holds much is told at once if there is plenty of room, and
// in a while of whatever there is.
func TestRoomForMany(t *testing.T) {
	const all, anyones, few = 1024, 768, 8
	r := newRig(t, config(func(c *actors.Config) { c.InFlight, c.Queue = shareAll, all-shareAll }))
	greedy, other := r.requester(), r.requester()
	ids := greedy.idle(anyones-few, time.Hour)
	free := func(n int) {
		for _, id := range ids[:n] {
			greedy.cancel(id)
			greedy.cancelled(id)
		}
		ids = ids[n:]
	}
	refused := func() {
		other.send(&messages.Nop{})
		require.ErrorIs(t, expect[*messages.Refused](other).Err, messages.ErrOverloaded)
	}
	other.idle(few, time.Hour)
	refused()
	free(1)
	other.silent()
	r.clock.feed()
	expect[*messages.Ready](other)
	other.idle(1, time.Hour)
	refused()
	free(anyones / 8)
	expect[*messages.Ready](other)
	other.silent()
}

// TestStarvedToDeath: owners that were refused, and have gone, leave nothing behind.
func TestStarvedToDeath(t *testing.T) {
	const all, anyones = 128, 96
	r := newRig(t, config(func(c *actors.Config) { c.InFlight, c.Queue = 64, all-64 }))
	r.requester().idle(anyones, time.Hour)
	for range 3 {
		s := r.requester()
		s.idle(1, time.Hour)
		s.send(&messages.Nop{})
		require.ErrorIs(t, expect[*messages.Refused](s).Err, messages.ErrOverloaded)
		require.Equal(t, 1, r.glass.Look().Starved)
		s.stop()
		r.until("it is gone", func() bool { return r.glass.Look().Live == anyones })
		p := r.glass.Look()
		require.Zero(t, p.Starved)
		require.Equal(t, 1, p.Parties)
	}
}

// TestStarvedFromBirth: nor do those of which nothing was ever accepted.
func TestStarvedFromBirth(t *testing.T) {
	r := newRig(t, config(func(c *actors.Config) { c.InFlight, c.Queue = 4, 0 }))
	r.requester().idle(3, time.Hour)
	r.requester().idle(1, time.Hour)
	s := r.requester()
	s.send(&messages.Nop{})
	require.ErrorIs(t, expect[*messages.Refused](s).Err, messages.ErrOverloaded)
	require.Equal(t, 1, r.glass.Look().Starved)
	s.stop()
	r.until("it is forgotten", func() bool { p := r.glass.Look(); return p.Starved == 0 && p.Parties == 2 })
}

// TestNoRoomForAClose: not even a Close is taken when the lifecycle map is full, and
// its owner is forgotten like everybody's of whom nothing was accepted.
func TestNoRoomForAClose(t *testing.T) {
	r := newRig(t, config(func(c *actors.Config) { c.InFlight, c.Queue = 1, 0 }))
	q := r.requester()
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	handles := make([]messages.Handle, actors.CloseReserve+1)
	for i := range handles {
		handles[i] = q.adopt(null)
	}
	k := r.kernel(1)
	first := q.send(&messages.Nop{})
	taken := k.Next(t, ring.CodeNop)
	for _, h := range handles[1:] {
		q.send(&messages.Close{Handle: h})
	}
	before := r.glass.Look()
	require.Equal(t, 1+actors.CloseReserve, before.Live)

	future := actor.NewFuture(r.system, patience)
	r.system.Root.Send(r.pid, &messages.Submit{
		Op: &messages.Close{Handle: handles[0]}, ID: messages.OpID{Owner: future.PID(), Seq: 1}, ReplyTo: q.pid,
	})
	require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrOverloaded)
	require.Equal(t, before.Parties, r.glass.Look().Parties, "somebody is kept of whom there is nothing")
	k.Complete(taken.Name, 0, 0)
	q.succeeds(first)
	q.answers(actors.CloseReserve)
	q.succeeds(q.send(&messages.Close{Handle: handles[0]}))
}

// readies counts the Readys among what the requester is sent next.
func (q *requester) readies(among int) (n int) {
	q.r.t.Helper()
	for range among {
		switch m := q.next().(type) {
		case *messages.Ready:
			n++
		case *messages.Completion, *messages.CancelResult:
		default:
			q.r.t.Fatalf("unexpected %T %+v", m, m)
		}
	}
	return n
}
