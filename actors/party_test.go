package actors_test

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/fake"
)

// TestConsumersThatBlock: neither a mailbox that blocks its sender nor one that
// runs its actor on the sender's stack holds up the ring or another actor.
func TestConsumersThatBlock(t *testing.T) {
	for name, option := range map[string]actor.PropsOption{
		"bounded":      actor.WithMailbox(actor.Bounded(2)), // one of 1 loses messages
		"synchronized": actor.WithDispatcher(actor.NewSynchronizedDispatcher(300)),
	} {
		t.Run(name, func(t *testing.T) {
			const ops = 8
			r := newRig(t)
			blocked := r.spawn("", make(chan struct{}), option)
			q := r.requester()
			k := r.kernel(1)
			answerAll(r, k)
			blocked.batch(ops)
			for range 5 {
				q.succeeds(q.send(&messages.Nop{}))
			}
			require.EqualValues(t, ops+5, r.inspect().Completed, "completed, though not received")
			require.Empty(t, blocked.inbox)
			blocked.open()
			seqs := map[uint64]bool{}
			for range ops {
				c := expect[*messages.Completion](blocked)
				require.NoError(t, c.Err)
				require.False(t, seqs[c.ID.Seq])
				seqs[c.ID.Seq] = true
			}
			blocked.silent()
		})
	}
}

// TestNothingOvertakes: a requester that nothing is kept of may be slow to take
// its answers, and gets them in order all the same.
func TestNothingOvertakes(t *testing.T) {
	const refused = 8
	r := newRig(t)
	blocked := r.spawn("", make(chan struct{}), actor.WithMailbox(actor.Bounded(2)))
	for seq := range uint64(refused) {
		blocked.post(&messages.Submit{ID: messages.OpID{Owner: blocked.pid, Seq: seq + 1}})
		r.inspect() // it has been refused, and forgotten
	}
	blocked.open()
	for seq := range uint64(refused) {
		require.Equal(t, seq+1, expect[*messages.Refused](blocked).ID.Seq)
	}
}

// TestBlockedConsumerDies: its outbox ends, and the ring owner learns of it.
func TestBlockedConsumerDies(t *testing.T) {
	r := newRig(t)
	blocked := r.spawn("", make(chan struct{}), actor.WithMailbox(actor.Bounded(2)))
	k := r.kernel(1)
	blocked.batch(4)
	for range 4 {
		k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	}
	r.inspect()
	r.system.Root.Stop(blocked.pid)
	blocked.open()
	blocked.stop()
	r.until("it is forgotten", func() bool { return r.glass.Look().Empty() })
}

// TestNewActorUnderAnOldName gets nothing that is the old one's: no completion,
// no operation to cancel, no handle.
func TestNewActorUnderAnOldName(t *testing.T) {
	const name = "phoenix"
	r := newRig(t, manual)
	k := r.kernel(1)
	old := r.spawn(name, nil)
	handle, isOpen := old.opened()
	id := old.post(&messages.Submit{Op: &messages.Nop{}, ID: messages.OpID{Owner: old.pid, Seq: 7}})
	late := k.Next(t, ring.CodeNop)
	old.stop()
	young := r.spawn(name, nil)
	require.Equal(t, old.pid.Id, young.pid.Id)
	young.cancel(messages.OpID{Owner: young.pid, Seq: id.Seq})
	require.Equal(t, messages.NotFound, expect[*messages.CancelResult](young).Outcome)
	young.post(&messages.Submit{Op: &messages.Nop{}, ID: messages.OpID{Owner: young.pid, Seq: 7}})
	mine := k.Next(t, ring.CodeNop)
	r.until("the old one's handle is closed", func() bool { return !isOpen() })
	young.send(&messages.Stat{Dir: handle})
	require.ErrorIs(t, expect[*messages.Refused](young).Err, messages.ErrHandleClosed)

	k.Complete(late.Name, 0, 0)
	young.silent()
	k.Complete(mine.Name, 0, 0)
	young.succeeds(messages.OpID{Seq: 7})
	r.until("the cancel is done", func() bool { r.letGo(); return r.glass.Look().Live == 0 })
	young.silent()
}

// TestNewActorByTheOldPointer: a PID that was known to mean an actor means the next
// one of that name as soon as there is one, while the first is on its way out. The
// first one's operations are its own still.
func TestNewActorByTheOldPointer(t *testing.T) {
	for name, inline := range map[string]bool{"inline": true, "queued": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, manual, config(func(c *actors.Config) { c.Inline = inline }))
			k := r.kernel(1)
			leave := make(chan struct{})
			old, err := r.system.Root.SpawnNamed(actor.PropsFromFunc(func(ctx actor.Context) {
				if _, ok := ctx.Message().(*actor.Stopped); ok {
					<-leave
				}
			}), "reused")
			require.NoError(t, err)
			pid := actor.NewPID(old.Address, old.Id) // that somebody keeps
			submit := func(seq uint64, replyTo *actor.PID) {
				r.system.Root.Send(r.pid, &messages.Submit{Op: &messages.Nop{}, ReplyTo: replyTo, ID: messages.OpID{Owner: pid, Seq: seq}})
			}
			submit(1, nil)
			first := k.Next(t, ring.CodeNop)
			stopped := r.system.Root.StopFuture(old)
			r.until("the name is free", func() bool { _, alive := r.system.ProcessRegistry.Get(pid); return !alive })
			other := r.requester()
			submit(2, other.pid)
			require.ErrorIs(t, expect[*messages.Refused](other).Err, messages.ErrOwner)
			r.system.Root.Send(r.pid, &messages.Cancel{ID: messages.OpID{Owner: pid, Seq: 1}, ReplyTo: other.pid})
			cancel := k.Next(t, ring.CodeCancel)
			require.EqualValues(t, first.Name, cancel.Off)

			q := r.spawn("reused", nil)
			for seq := range uint64(3) {
				submit(seq+1, nil)
				k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
				require.Equal(t, seq+1, expect[*messages.Completion](q).ID.Seq)
			}
			close(leave)
			require.NoError(t, stopped.Wait())
			k.Complete(first.Name, canceled, 0)
			k.Complete(cancel.Name, 0, 0)
			require.Equal(t, messages.Cancelled, expect[*messages.CancelResult](other).Outcome)
			submit(4, nil)
			k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
			require.Equal(t, uint64(4), expect[*messages.Completion](q).ID.Seq)
			q.silent()
		})
	}
}

// TestDeadOwnersQueuedSubmits: a Terminated overtakes the messages that were
// posted before; those of the dead are undone when they surface.
func TestDeadOwnersQueuedSubmits(t *testing.T) {
	r := newRig(t)
	q, other := r.requester(), r.requester()
	k := r.kernel(1)
	first := q.send(&messages.Nop{}) // so that it is watched
	k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	q.succeeds(first)
	before := len(k.Consumed())
	r.glass.Hold(func() {
		for range 4 {
			q.send(&messages.Nop{})
		}
		q.stop()
	})
	id := other.send(&messages.Nop{})
	k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	other.succeeds(id)
	require.Len(t, k.Consumed(), before+1, "an operation of the dead has reached the kernel")
	in := r.inspect()
	require.EqualValues(t, 4, in.Refused)
	require.EqualValues(t, 4, in.DeadReplies)
	r.until("their names are forgotten", func() bool { return r.glass.Look().Buried == 0 })
}

// TestDeadOwnersNameIsAnothers: what the dead had posted is not taken for the
// work of a new actor under its name.
func TestDeadOwnersNameIsAnothers(t *testing.T) {
	const name = "phoenix"
	r := newRig(t)
	k := r.kernel(1)
	old := r.spawn(name, nil)
	first := old.send(&messages.Nop{})
	k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	old.succeeds(first)
	var young *requester
	r.glass.Hold(func() {
		old.send(&messages.Nop{})
		old.stop()
		young = r.spawn(name, nil)
	})
	r.until("it is refused", func() bool { return r.inspect().Refused == 1 })
	young.silent()
	require.Len(t, k.Consumed(), 1)
}

// TestWaitingSubmitOfASender: a Submit that waits is its sender's, not that of a
// new actor under his name.
func TestWaitingSubmitOfASender(t *testing.T) {
	const name = "phoenix"
	r := newRig(t)
	old, other := r.spawn(name, nil), r.requester()
	k := r.kernel(1)
	var young *requester
	r.glass.Hold(func() {
		r.system.Root.RequestWithCustomSender(r.pid, &messages.Submit{Op: &messages.Nop{}, ReplyTo: other.pid}, old.pid)
		old.stop()
		young = r.spawn(name, nil)
	})
	require.ErrorIs(t, expect[*messages.Refused](other).Err, messages.ErrOwner)
	young.silent()
	require.Empty(t, k.Consumed())
}

// TestWaitingSubmitWithoutAnAddress: the refusal of a Submit whose reply address
// is none goes to its sender, also when it has waited.
func TestWaitingSubmitWithoutAnAddress(t *testing.T) {
	r := newRig(t)
	q := r.requester()
	nobody := actor.NewPID(r.system.Address(), "no-such-actor")
	for what, m := range map[string]messages.Submit{
		"reply address":           {ReplyTo: nobody},
		"reply address and owner": {ReplyTo: nobody, ID: messages.OpID{Owner: nobody}},
		"owner":                   {ID: messages.OpID{Owner: nobody}},
	} {
		for how, waiting := range map[string]any{
			"alone":      &messages.Submit{Op: &messages.Nop{}, ReplyTo: m.ReplyTo, ID: m.ID, Token: what},
			"in a batch": &messages.SubmitBatch{Submits: []*messages.Submit{nil, {Op: &messages.Nop{}, ReplyTo: m.ReplyTo, ID: m.ID, Token: what}}},
		} {
			r.glass.Hold(func() { r.system.Root.RequestWithCustomSender(r.pid, waiting, q.pid) })
			refused := expect[*messages.Refused](q)
			require.ErrorIs(t, refused.Err, messages.ErrOwner, "no %s, %s", what, how)
			require.Equal(t, what, refused.Token)
		}
	}
	require.Zero(t, r.inspect().DeadReplies)
}

// TestFlood: while the ring owner is down it takes no more than it has room for,
// and refuses the rest at once, whoever asks.
func TestFlood(t *testing.T) {
	crash := newCrash()
	r := newRig(t, crash.option, func(r *rig, c *actors.Config) {
		c.InFlight, c.Queue, c.RestartLimit = 2, 1, 1<<16 // it is to stay down
		r.setUp = func(_ int, k *fake.Kernel) { answerAll(r, k) }
	})
	q := r.requester()
	r.refuse.Store(1 << 30)
	crash.now(r, q)
	const posted = 20
	for range posted {
		q.send(&messages.Nop{})
	}
	waiting := posted
	r.inspect() // comes after all of them
	r.system.Root.Send(q.pid, &marker{})
	next := func() any { // of what was refused at the door a Ready may tell at once: there was room inside
		for m := q.next(); ; m = q.next() {
			if _, ready := m.(*messages.Ready); !ready {
				return m
			}
		}
	}
	for m := next(); ; m = next() {
		if _, all := m.(*marker); all {
			break
		}
		require.ErrorIs(t, m.(*messages.Refused).Err, messages.ErrOverloaded)
		require.NotNil(t, m.(*messages.Refused).Op)
		waiting--
	}
	require.Equal(t, 2+1, waiting)
	answer, err := r.system.Root.RequestFuture(r.pid, &messages.Submit{Op: &messages.Nop{}}, patience).Result()
	require.NoError(t, err, "a future is left without an answer")
	require.ErrorIs(t, answer.(*messages.Refused).Err, messages.ErrOverloaded)

	r.refuse.Store(0)
	for range waiting {
		require.NoError(t, next().(*messages.Completion).Err)
	}
	requireBalance(t, r.inspect().Counters)
}
