package actors_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/fake"
)

// answerAll completes whatever Nop is consumed, and counts by name.
func answerAll(r *rig, k *fake.Kernel) {
	k.OnTaken(func(taken *fake.Taken) {
		if taken.Code == ring.CodeNop {
			k.Complete(taken.Name, 0, 0)
			return
		}
		r.oblige(k, taken)
	})
}

// batch posts n Nops in one message, and gives their numbers' sum.
func (q *requester) batch(n int) {
	submits := make([]*messages.Submit, n)
	for i := range submits {
		q.seq++
		submits[i] = &messages.Submit{Op: &messages.Nop{}, ID: messages.OpID{Owner: q.pid, Seq: q.seq}}
	}
	q.r.system.Root.Send(q.r.pid, &messages.SubmitBatch{Submits: submits})
}

// answers waits for n terminal answers and asserts that no operation has two.
func (q *requester) answers(n int) map[uint64]any {
	q.r.t.Helper()
	got := map[uint64]any{}
	for len(got) < n {
		var seq uint64
		m := q.next()
		switch m := m.(type) {
		case *messages.Completion:
			seq = m.ID.Seq
		case *messages.Refused:
			seq = m.ID.Seq
		default:
			q.r.t.Fatalf("unexpected %T", m)
		}
		require.NotContains(q.r.t, got, seq, "answered twice")
		got[seq] = m
	}
	q.silent()
	return got
}

// TestBusyKernel: nothing is lost or done twice, and the kernel is not pestered.
func TestBusyKernel(t *testing.T) {
	const ops, refusals = 20, 25
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	answerAll(r, k)
	for range refusals {
		k.Script(fake.Enter{Err: ring.ErrBusy})
	}
	q.batch(ops)
	k.Await(t, 1)
	r.glass.Look()
	require.Zero(t, k.Pushed(), "what stays pushed would be published by whoever enters next")
	answers := q.answers(ops)
	for seq, m := range answers {
		require.NoError(t, m.(*messages.Completion).Err, seq)
	}
	require.Len(t, k.Consumed(), ops, "each was done once")
	require.LessOrEqual(t, k.Enters(), uint64(refusals+ops/4+4), "it spins")
	order := k.Consumed()
	for n := 1; n < len(order); n++ {
		require.Less(t, order[n-1].Name.Slot(), order[n].Name.Slot(), "taken back and issued again in order")
	}
}

func TestPartialConsumption(t *testing.T) {
	const ops = 20
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	answerAll(r, k)
	for range 10 {
		k.Script(fake.Enter{Consume: 1, Err: ring.ErrBusy}, fake.Enter{Consume: 0, Err: ring.ErrBusy})
	}
	q.batch(ops)
	q.answers(ops)
	require.Len(t, k.Consumed(), ops)
}

// TestSmallQueue: more operations than the submission queue holds.
func TestSmallQueue(t *testing.T) {
	r := newRig(t, func(r *rig, c *actors.Config) { r.entries, c.InFlight = 2, 32 })
	q := r.requester()
	answerAll(r, r.kernel(1))
	q.batch(100)
	q.answers(100)
	require.Len(t, r.kernel(1).Consumed(), 100)
}

// TestBusyWithPinnedWork: what only the pinned thread may issue is taken back
// as well, and issued by it alone.
func TestBusyWithPinnedWork(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	in, _ := q.pipe()
	k.Script(fake.Enter{Err: ring.ErrBusy}, fake.Enter{Err: ring.ErrBusy})
	id := q.send(&messages.Read{Handle: in, Buf: make([]byte, 4)})
	k.CompleteRead(k.Next(t, ring.CodeRead), "abcd")
	q.succeeds(id)
	require.Len(t, k.Consumed(), 1)
}

// TestBusyCancel: a cancel that the kernel did not take is asked for again.
func TestBusyCancel(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	id := q.send(&messages.Nop{})
	op := k.Next(t, ring.CodeNop)
	k.Script(fake.Enter{Err: ring.ErrBusy}, fake.Enter{Err: ring.ErrBusy})
	q.cancel(id)
	cancel := k.Next(t, ring.CodeCancel)
	require.EqualValues(t, op.Name, cancel.Off)
	requireCancelled(t, q.cancelled(id))
	require.Len(t, k.Consumed(), 2)
}

// TestCompletionWhileTheRunnerLeaves: what completes between the runner's last
// look and its Unmask is not signalled. However often that happens in a row,
// the runner must not leave it lying.
func TestCompletionWhileTheRunnerLeaves(t *testing.T) {
	const ops = 12
	r := newRig(t)
	q := r.requester()
	k := r.kernel(1)
	q.batch(ops)
	for range ops {
		k.Next(t, ring.CodeNop)
	}
	r.glass.Look()
	k.OnUnmask(func() {
		if flying := k.InFlight(); len(flying) > 0 {
			k.Complete(flying[0].Name, 0, 0)
		}
	})
	r.glass.Look() // wakes the runner once; nothing else will
	q.answers(ops)
	k.OnUnmask(nil)
}

// TestLostRing: a fatal enter gives the ring up. What it has consumed still
// completes; what it has not goes to the next ring, once.
func TestLostRing(t *testing.T) {
	const ops, taken = 20, 7
	r := newRig(t)
	q := r.requester()
	old := r.kernel(1)
	lost := &ring.FatalError{Doing: "io_uring_enter"}
	old.Script(fake.Enter{Consume: taken, Err: lost})
	q.batch(ops)
	young := r.kernel(2)
	consumed := old.Consumed()
	require.Len(t, consumed, taken)
	for range ops - taken {
		young.Complete(young.Next(t, ring.CodeNop).Name, 0, 0)
	}
	first := q.answers(ops - taken)
	old.Hold()
	for _, op := range consumed {
		old.Complete(op.Name, -5, 0)
	}
	old.Release()
	rest := q.answers(taken)
	for seq, m := range rest {
		require.NotContains(t, first, seq)
		require.Error(t, m.(*messages.Completion).Err, "the answer is the old ring's")
	}
	old.AwaitClosed(t)
	require.Len(t, old.Consumed(), taken)
	require.Len(t, young.Consumed(), ops-taken)
	in := r.inspect()
	require.EqualValues(t, 1, in.Restarts)
	require.EqualValues(t, 2, in.Epoch)
	require.Zero(t, in.Draining)
}

// TestLostRingThatIsCancelled: the ring that is drained is lost for cancels too.
func TestLostRingThatIsCancelled(t *testing.T) {
	r := newRig(t, config(func(c *actors.Config) { c.Policy = actors.CancelInFlight }))
	q := r.requester()
	old := r.kernel(1)
	id := q.send(&messages.Nop{})
	op := old.Next(t, ring.CodeNop)
	lost := &ring.FatalError{Doing: "io_uring_enter"}
	old.Script(fake.Enter{Err: lost}, fake.Enter{Err: lost}, fake.Enter{Err: lost})
	second := q.send(&messages.Nop{})
	young := r.kernel(2)
	young.Complete(young.Next(t, ring.CodeNop).Name, 0, 0)
	q.succeeds(second)
	old.Complete(op.Name, 0, 0)
	require.NoError(t, q.completion(id).Err, "the true result")
	old.AwaitClosed(t)
}
