package actors_test

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/fake"
)

// step completes the oldest operation in flight on each ring.
func (r *rig) step() {
	for _, k := range r.all() {
		for _, taken := range k.InFlight() {
			if taken.Code != ring.CodeCancel {
				k.TryComplete(taken.Name, 0, 0)
				break
			}
		}
	}
}

// answered completes operations, one after the other, until so many messages
// have come.
func (q *requester) answered(n int) map[uint64]any {
	q.r.t.Helper()
	q.r.until("all are answered", func() bool { q.r.step(); return len(q.inbox) >= n })
	return q.answers(n)
}

// TestCrashAtEachFailpoint has the ring owner fail at each of its worst moments
// with operations in flight, queued and in hand.
func TestCrashAtEachFailpoint(t *testing.T) {
	const batch = 8
	for _, policy := range [...]actors.Policy{actors.Drain, actors.CancelInFlight} {
		for _, point := range actors.Failpoints() {
			if point == actors.FailStopping || point == actors.FailStopped {
				continue // see TestCrashWhileStopping
			}
			for _, after := range [...]int{0, 3} {
				t.Run(policy.String()+"/"+point.String(), func(t *testing.T) {
					crashOnce(t, policy, point, after, batch)
				})
			}
		}
	}
}

func crashOnce(t *testing.T, policy actors.Policy, point actors.Failpoint, after, batch int) {
	crash, first := newCrash(), newCrash()
	r := newRig(t, config(func(c *actors.Config) {
		c.Policy = policy
		c.Failpoint = func(p actors.Failpoint, n int) { crash.pass(p, n); first.pass(p, n) }
	}))
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	q.batch(batch)
	for range batch {
		k.Next(t, ring.CodeNop)
	}
	if point == actors.FailStarted || point == actors.FailRestarting {
		crash.arm(point, 0)
		first.now(r, other)
	} else {
		crash.arm(point, after)
	}
	q.batch(batch)
	r.system.Root.Send(r.pid, &messages.Cancel{ID: messages.OpID{Owner: other.pid, Seq: 99}, ReplyTo: q.pid})
	answers := q.answeredBut(2*batch, 1)

	require.EqualValues(t, 1, crash.hits.Load(), "the failpoint was not met")
	refused := 0
	for seq, m := range answers {
		switch m := m.(type) {
		case *messages.Refused:
			refused++
			require.ErrorIs(t, m.Err, messages.ErrRestarted, "%d", seq)
			require.NotNil(t, m.Op)
		case *messages.Completion:
			require.NotNil(t, m.Op)
			if m.Err != nil {
				require.ErrorIs(t, m.Err, messages.ErrRingLost, "%d", seq)
				require.Equal(t, actors.CancelInFlight, policy)
			}
		}
	}
	switch point {
	case actors.FailTaken:
		require.Equal(t, batch-after, refused, "the one in hand, and those behind it in its message")
	case actors.FailRegistered:
		require.Equal(t, batch-after-1, refused, "those behind it in its message")
	default:
		require.Zero(t, refused)
	}
	if point != actors.FailRestarting { // a failure there is logged, and the restart goes on
		require.NotZero(t, r.inspect().Failures)
	}
}

// answeredBut is answered, with so many CancelResults among the messages.
func (q *requester) answeredBut(n, results int) map[uint64]any {
	q.r.t.Helper()
	q.r.until("all are answered", func() bool { q.r.step(); return len(q.inbox) >= n+results })
	var kept []any
	for range n + results {
		m := q.next()
		if _, ok := m.(*messages.CancelResult); ok {
			results--
			continue
		}
		kept = append(kept, m)
	}
	require.Zero(q.r.t, results)
	for _, m := range kept {
		q.inbox <- m
	}
	return q.answers(n)
}

// TestCrashWhileStopping: the last moments of an incarnation.
func TestCrashWhileStopping(t *testing.T) {
	for _, point := range [...]actors.Failpoint{actors.FailStopping, actors.FailStopped, actors.FailDelivering, actors.FailAfterEnter} {
		t.Run(point.String(), func(t *testing.T) {
			crash := newCrash()
			r := newRig(t, crash.option)
			q := r.requester()
			q.batch(4)
			for range 4 {
				r.kernel(1).Next(t, ring.CodeNop)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // at once: what is in flight is cancelled
			crash.arm(point, 0)
			report, err := r.rm.Shutdown(ctx)
			require.NoError(t, err)
			r.over = true
			require.EqualValues(t, 1, crash.hits.Load())
			requireBalance(t, report.Counters)
			for seq, m := range q.answers(4) {
				require.ErrorIs(t, m.(*messages.Completion).Err, messages.ErrStopped, seq)
			}
		})
	}
}

// TestCancelAfterACrash: a Completion that was to travel with others, and was put
// aside for them when the ring owner failed, is not overtaken by the answer to a
// Cancel, whoever gets that one.
func TestCancelAfterACrash(t *testing.T) {
	var q, canceller *requester
	var r *rig
	var one messages.OpID
	deliveries := 0
	release := make(chan struct{})
	r = newRig(t, config(func(c *actors.Config) {
		c.Failpoint = func(p actors.Failpoint, _ int) {
			if p != actors.FailDelivering {
				return
			}
			switch deliveries++; deliveries {
			case 2: // the first has been put aside
				r.system.Root.Send(r.pid, &messages.Cancel{ID: one, ReplyTo: canceller.pid})
				panic("injected")
			case 3:
				<-release
			}
		}
	}))
	defer close(release)
	q, canceller = r.requester(), r.requester()
	k := r.kernel(1)
	k.Hold()
	one = q.post(&messages.Submit{Op: &messages.Nop{}, Batched: true})
	two := q.post(&messages.Submit{Op: &messages.Nop{}, Batched: true})
	for range 2 {
		k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	}
	k.Release()
	require.Equal(t, messages.AlreadyDone, expect[*messages.CancelResult](canceller).Outcome)
	batch := within(t, q.inbox, "the Completion").(*messages.CompletionBatch)
	require.Len(t, batch.Completions, 1)
	require.Equal(t, one, batch.Completions[0].ID)
	release <- struct{}{}
	batch = expect[*messages.CompletionBatch](q)
	require.Len(t, batch.Completions, 1)
	require.Equal(t, two, batch.Completions[0].ID)
}

// TestCrashesInARow: the owner fails again and again before it has achieved
// anything.
func TestCrashesInARow(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option)
	q := r.requester()
	q.batch(3)
	for range 3 {
		r.kernel(1).Next(t, ring.CodeNop)
	}
	for range 5 {
		crash.now(r, q)
	}
	q.answered(3)
	require.EqualValues(t, 5, r.inspect().Failures)
	require.Zero(t, r.inspect().Draining)
}

// TestRingThatCannotBeOpened: while there is none, what is open stays open, and
// what comes is refused or waits; afterwards all goes on.
func TestRingThatCannotBeOpened(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option)
	q := r.requester()
	old := r.kernel(1)
	held := q.send(&messages.Nop{})
	taken := old.Next(t, ring.CodeNop)
	r.refuse.Store(3)
	crash.arm(actors.FailEncoded, 0)
	queued := q.send(&messages.Nop{})
	young := r.kernel(2)
	young.Complete(young.Next(t, ring.CodeNop).Name, 0, 0)
	q.succeeds(queued)
	old.Complete(taken.Name, 0, 0)
	q.succeeds(held)
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Equal(t, 5, r.tries)
}

// TestStoppedWithoutARing: the subsystem is shut down while it has no ring and
// gets none. A Close that waits for one must not hold it up.
func TestStoppedWithoutARing(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option, config(func(c *actors.Config) { c.ShutdownGrace = quickly }))
	q := r.requester()
	handle, isOpen := q.opened()
	r.refuse.Store(1 << 30)
	crash.arm(actors.FailRegistered, 0)
	closing := q.send(&messages.Close{Handle: handle})
	r.until("it has tried again", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.tries > 3 })
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, _ = r.rm.Shutdown(ctx)
	}()
	q.completion(closing)
	r.until("the descriptor is closed", func() bool { return !isOpen() })
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the shutdown hangs")
	}
	r.over = true
}

// TestDrainTimeout: what a failed ring does not end in time is answered once,
// as unknown and without its memory; the late completion releases that, and
// reaches nobody.
func TestDrainTimeout(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option, manual, config(func(c *actors.Config) { c.DrainTimeout, c.ShutdownGrace = quickly, quickly }))
	q := r.requester()
	old := r.kernel(1)
	file := q.regular()
	write := q.send(&messages.Write{Handle: file, Buf: []byte("precious")})
	writing := old.Next(t, ring.CodeWrite)
	open := q.send(&messages.Open{Path: "/slow", Flags: os.O_RDONLY})
	opening := old.Next(t, ring.CodeOpen)
	crash.now(r, q)

	for n, m := range q.answers(2) {
		c := m.(*messages.Completion)
		require.ErrorIs(t, c.Err, messages.ErrOutcomeUnknown, n)
		require.NotErrorIs(t, c.Err, messages.ErrRefused)
		require.Nil(t, c.Op, "its memory is forfeited")
		require.NotEmpty(t, c.Err.Error())
	}
	p := r.glass.Look()
	require.Equal(t, 2, p.Quarantined)
	require.Equal(t, ring.Quarantined, p.Slots[writing.Name.Slot()])
	in := r.inspect()
	require.Equal(t, 2, in.Quarantined)
	require.EqualValues(t, 2, in.Unknown)
	require.Equal(t, 1, in.Draining)
	require.False(t, old.Closed(), "a ring with something in flight is not closed")

	q.cancel(write)
	require.Equal(t, messages.AlreadyDone, expect[*messages.CancelResult](q).Outcome)
	q.cancel(open)
	require.Equal(t, messages.AlreadyDone, expect[*messages.CancelResult](q).Outcome)
	closing := q.send(&messages.Close{Handle: file})
	q.silent() // the kernel may still write to the file

	fd, isOpen := r.descriptor()
	old.Complete(opening.Name, fd, 0)
	r.until("the late descriptor is closed", func() bool { return !isOpen() })
	old.Complete(writing.Name, 8, 0)
	q.succeeds(closing)
	r.until("the quarantine is over", func() bool {
		for _, taken := range old.InFlight() { // the cancels that the drain asked for
			old.TryComplete(taken.Name, notFound, 0)
		}
		p := r.glass.Look()
		return p.Live == 0 && p.Quarantined == 0
	})
	old.AwaitClosed(t)
	q.silent()
	require.EqualValues(t, 1, r.inspect().LateClosed)
}

// TestCancelPolicy: what is in flight is asked to stop, on the ring that has
// it; it says why.
func TestCancelPolicy(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option, manual, config(func(c *actors.Config) { c.Policy = actors.CancelInFlight }))
	q, other := r.requester(), r.requester()
	old := r.kernel(1)
	first := q.send(&messages.Nop{})
	one := old.Next(t, ring.CodeNop)
	second := q.send(&messages.Nop{})
	two := old.Next(t, ring.CodeNop)
	crash.now(r, other)
	young := r.kernel(2)
	for _, taken := range [...]*fake.Taken{one, two} {
		cancel := old.Next(t, ring.CodeCancel)
		require.EqualValues(t, taken.Name, cancel.Off)
		old.Complete(cancel.Name, already, 0)
	}
	q.silent()
	old.Complete(one.Name, 0, 0)
	require.NoError(t, q.completion(first).Err, "it succeeded in spite of it")
	old.Complete(two.Name, canceled, 0)
	c := q.completion(second)
	require.ErrorIs(t, c.Err, messages.ErrRingLost)
	require.NotErrorIs(t, c.Err, messages.ErrRefused)
	r.until("the old ring is closed", func() bool {
		for _, taken := range old.InFlight() { // it may have been asked again
			old.TryComplete(taken.Name, notFound, 0)
		}
		return old.Closed()
	})
	require.Empty(t, young.Consumed(), "nothing is silently repeated")
}

// TestCancelDuringADrain reaches the ring that has the operation.
func TestCancelDuringADrain(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option)
	q := r.requester()
	old := r.kernel(1)
	id := q.send(&messages.Nop{})
	old.Next(t, ring.CodeNop)
	crash.now(r, q)
	young := r.kernel(2)
	q.cancel(id)
	requireCancelled(t, q.cancelled(id))
	old.AwaitClosed(t)
	require.Empty(t, young.Consumed())
}

// TestOwnerDiesDuringARestart: the Terminated comes when nobody runs, or is
// lost in the failure; nothing of the owner may stay.
func TestOwnerDiesDuringARestart(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option)
	q, other := r.requester(), r.requester()
	old := r.kernel(1)
	handle, isOpen := q.opened()
	id := other.send(&messages.Fsync{Handle: handle})
	sync := old.Next(t, ring.CodeFsync)
	q.send(&messages.Nop{})
	old.Next(t, ring.CodeNop)
	r.refuse.Store(2)
	crash.arm(actors.FailTaken, 0)
	q.send(&messages.Nop{})
	q.stop()
	r.kernel(2)
	r.until("its handle is closed to others", func() bool {
		other.send(&messages.Stat{Dir: handle})
		m := other.next()
		if refused, ok := m.(*messages.Refused); ok {
			require.ErrorIs(t, refused.Err, messages.ErrHandleClosed)
			return true
		}
		return false
	})
	require.True(t, isOpen())
	old.Complete(sync.Name, 0, 0)
	other.succeeds(id)
	r.until("the descriptor is closed", func() bool { return !isOpen() })
}

// TestPosterIsUnharmed: the ring owner fails on its poster's stack, and the
// poster does not notice; and what the poster's own code does is its own.
func TestPosterIsUnharmed(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option)
	q := r.requester()
	for _, point := range [...]actors.Failpoint{actors.FailTaken, actors.FailRegistered, actors.FailBeforeEnter} {
		crash.arm(point, 0)
		require.NotPanics(t, func() { q.send(&messages.Nop{}) })
		q.answeredOne()
	}

	failed := make(chan any, 1)
	poster := r.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if m, ok := ctx.Message().(*messages.Submit); ok {
			defer func() { failed <- recover() }()
			ctx.Send(r.pid, m)
			panic("the poster's own")
		}
	}))
	before := r.inspect().Restarts
	id := messages.OpID{Owner: q.pid, Seq: 1 << 20}
	r.system.Root.Send(poster, &messages.Submit{Op: &messages.Nop{}, ID: id})
	require.Equal(t, "the poster's own", <-failed)
	q.answeredOne()
	require.Equal(t, before, r.inspect().Restarts)
	require.NoError(t, r.system.Root.StopFuture(poster).Wait())
}

func (q *requester) answeredOne() { q.answered(1) }

// TestNothingIsDoneTwice: whatever fails and wherever, an operation that a
// kernel has consumed is consumed by no other.
func TestNothingIsDoneTwice(t *testing.T) {
	for _, point := range actors.Failpoints()[:actors.FailStarted] {
		crash := newCrash()
		r := newRig(t, crash.option)
		q := r.requester()
		file := q.regular()
		crash.arm(point, 2)
		const ops = 8
		for n := range ops {
			q.send(&messages.Write{Handle: file, Buf: []byte{byte(n)}, Offset: int64(n)})
		}
		r.until("all are answered", func() bool { r.step(); return len(q.inbox) >= ops })
		q.answers(ops)
		var offsets []uint64
		for _, k := range r.all() {
			for _, taken := range k.Consumed() {
				if taken.Code == ring.CodeWrite {
					require.NotContains(t, offsets, taken.Off, "written twice, at %s", point)
					offsets = append(offsets, taken.Off)
				}
			}
		}
		slices.Sort(offsets)
		require.GreaterOrEqual(t, len(offsets), ops-1, "at %s", point)
	}
}
