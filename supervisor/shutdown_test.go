package supervisor_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

func TestShutdownWhenIdle(t *testing.T) {
	b := newBench(t)
	s, k := b.start()
	report, err := shutDown(t.Context(), s).wait(t)
	require.NoError(t, err)
	require.Zero(t, report.Abandoned)
	require.Zero(t, report.Submitted)
	require.Positive(t, report.Took)
	require.True(t, k.Closed())
}

// TestShutdownOfWhatHasEnded ends nothing else: the name is another's.
func TestShutdownOfWhatHasEnded(t *testing.T) {
	b := newBench(t)
	first, _ := b.start()
	require.NoError(t, b.system.Root.PoisonFuture(pidOf(first)).Wait())
	second, k := b.start()
	_, err := shutDown(over(), first).wait(t)
	require.NoError(t, err)
	q := b.requester()
	submit(q, second, 1)
	k.Complete(k.Next(t, ring.CodeNop).Name, 0, 0)
	require.NoError(t, expect[*messages.Completion](q).Err)
	got, ok := supervisor.Get(b.system)
	require.True(t, ok)
	require.Same(t, second, got)
	_, err = shutDown(t.Context(), second).wait(t)
	require.NoError(t, err)
}

// TestShutdownDrains: what is in flight ends, and what comes is refused.
func TestShutdownDrains(t *testing.T) {
	b := newBench(t)
	s, k := b.start()
	q := b.requester()
	submit(q, s, 1)
	op := k.Next(t, ring.CodeNop)
	e := shutDown(t.Context(), s)
	submit(q, s, 2)
	taken := uint64(0) // Submits that came before the shutdown
	b.until("the intake is closed", func() bool {
		for _, early := range k.InFlight() {
			if early.Name != op.Name {
				k.Complete(early.Name, 0, 0)
			}
		}
		select {
		case m := <-q.inbox:
			if refused, ok := m.(*messages.Refused); ok {
				require.ErrorIs(t, refused.Err, messages.ErrStopped)
				return true
			}
			taken++
			submit(q, s, 2)
		default:
		}
		return false
	})
	select {
	case <-e.done:
		t.Fatal("it did not wait for the operation")
	default:
	}
	k.Complete(op.Name, 0, 0)
	require.NoError(t, expect[*messages.Completion](q).Err)
	report, err := e.wait(t)
	require.NoError(t, err)
	require.Equal(t, 1+taken, report.Completed)
	require.Equal(t, report.Submitted, report.Completed+report.Refused)
}

func TestShutdownCancelsWhenItsContextEnds(t *testing.T) {
	b := newBench(t)
	s, k := b.start()
	q := b.requester()
	submit(q, s, 1)
	op := k.Next(t, ring.CodeNop)
	ctx, cancel := context.WithCancel(t.Context())
	e := shutDown(ctx, s)
	cancel()
	require.EqualValues(t, op.Name, k.Next(t, ring.CodeCancel).Off)
	c := expect[*messages.Completion](q)
	require.ErrorIs(t, c.Err, messages.ErrStopped)
	require.NotErrorIs(t, c.Err, messages.ErrRefused)
	require.NotNil(t, c.Op)
	report, err := e.wait(t)
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Cancelled)
	require.Zero(t, report.Abandoned)
}

// TestShutdownAbandons what has not ended within the grace: it is answered as
// unknown, and its ring stays until the kernel is done.
func TestShutdownAbandons(t *testing.T) {
	b := newBench(t)
	b.manual.Store(true)
	s, k := b.start(supervisor.WithShutdownGrace(20 * time.Millisecond))
	q := b.requester()
	submit(q, s, 1)
	op := k.Next(t, ring.CodeNop)
	report, err := shutDown(over(), s).wait(t)
	require.ErrorIs(t, err, messages.ErrOutcomeUnknown)
	require.Equal(t, 1, report.Abandoned)
	require.EqualValues(t, 1, report.Unknown)
	c := expect[*messages.Completion](q)
	require.ErrorIs(t, c.Err, messages.ErrOutcomeUnknown)
	require.ErrorIs(t, c.Err, messages.ErrStopped)
	require.Nil(t, c.Op)
	require.False(t, k.Closed())

	k.Complete(op.Name, 0, 0)
	b.until("the ring is closed", func() bool {
		for _, cancel := range k.InFlight() {
			k.TryComplete(cancel.Name, 0, 0)
		}
		return k.Closed()
	})
	require.Empty(t, q.inbox)
}

// TestStartAfterAbandoned: a subsystem may follow one whose kernel still has
// operations. What those bring in the end is the old one's, though the new one has
// its name.
func TestStartAfterAbandoned(t *testing.T) {
	b := newBench(t)
	b.manual.Store(true)
	s, k := b.start(supervisor.WithShutdownGrace(20 * time.Millisecond))
	q := b.requester()
	submit(q, s, 1)
	op := k.Next(t, ring.CodeNop)
	_, err := shutDown(over(), s).wait(t)
	require.ErrorIs(t, err, messages.ErrOutcomeUnknown)
	require.ErrorIs(t, expect[*messages.Completion](q).Err, messages.ErrOutcomeUnknown)

	young, youngKernel := b.start()
	_, err = actors.Await(t.Context(), s.Client(), &messages.Nop{})
	require.ErrorIs(t, err, messages.ErrStopped, "the old one's client works on the new one")
	got, ok := supervisor.Get(b.system)
	require.True(t, ok)
	require.Same(t, young, got)
	require.Equal(t, s.PID().Id, young.PID().Id)
	submit(q, young, 1) // the same name, of another operation
	taken := youngKernel.Next(t, ring.CodeNop)
	k.Complete(op.Name, 0, 0)
	b.until("the old ring is closed", func() bool {
		for _, cancel := range k.InFlight() {
			k.TryComplete(cancel.Name, 0, 0)
		}
		return k.Closed()
	})
	in, err := young.Inspect(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, in.InFlight)
	require.Zero(t, in.Stale+uint64(in.Quarantined))
	youngKernel.Complete(taken.Name, 0, 0)
	require.NoError(t, expect[*messages.Completion](q).Err)
	report, err := shutDown(t.Context(), young).wait(t)
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Submitted)
	require.Empty(t, q.inbox)
}

func TestShutdownTwiceAndAtOnce(t *testing.T) {
	b := newBench(t)
	s, k := b.start()
	q := b.requester()
	submit(q, s, 1)
	op := k.Next(t, ring.CodeNop)
	var endings []*ending
	for range 4 {
		endings = append(endings, shutDown(t.Context(), s))
	}
	k.Complete(op.Name, 0, 0)
	endings = append(endings, shutDown(over(), s))
	first, err := endings[0].wait(t)
	require.NoError(t, err)
	for _, e := range endings[1:] {
		report, err := e.wait(t)
		require.NoError(t, err)
		require.Equal(t, first, report)
	}
}

// TestShutdownWhileTheOwnerIsDown: it has failed and gets no ring.
func TestShutdownWhileTheOwnerIsDown(t *testing.T) {
	for name, end := range map[string]func() context.Context{"and there is time": context.Background, "and there is none": over} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			var crash atomic.Bool
			s, k := b.start(supervisor.WithFailpoint(func(point actors.Failpoint, _ int) {
				if point == actors.FailTaken && crash.Swap(false) {
					panic("injected")
				}
			}))
			q := b.requester()
			submit(q, s, 1)
			op := k.Next(t, ring.CodeNop)
			b.refuse.Store(true)
			crash.Store(true)
			submit(q, s, 2)
			require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrRestarted)
			b.until("it tries again", func() bool { return b.attempts() > 3 })
			submit(q, s, 3) // waits in the mailbox
			ctx, cancel := context.WithTimeout(end(), 50*time.Millisecond)
			defer cancel()
			e := shutDown(ctx, s)
			if name == "and there is time" {
				k.Complete(op.Name, 0, 0)
			}
			report, err := e.wait(t)
			require.NoError(t, err)
			require.Equal(t, report.Submitted, report.Completed+report.Refused)
			got := map[uint64]bool{}
			for range 2 {
				switch m := q.next().(type) {
				case *messages.Completion:
					got[m.ID.Seq] = true
				case *messages.Refused:
					require.ErrorIs(t, m.Err, messages.ErrRefused)
					got[m.ID.Seq] = true
				}
			}
			require.Equal(t, map[uint64]bool{1: true, 3: true}, got)
			require.Empty(t, q.inbox)
		})
	}
}

// TestShutdownAfterTheActorWasStopped: somebody stops the supervisor's actor
// behind the subsystem's back.
func TestShutdownAfterTheActorWasStopped(t *testing.T) {
	b := newBench(t)
	s, k := b.start()
	q := b.requester()
	submit(q, s, 1)
	k.Next(t, ring.CodeNop)
	require.NoError(t, b.system.Root.StopFuture(actor.NewPID(b.system.Address(), "ringmaster")).Wait())
	require.ErrorIs(t, expect[*messages.Completion](q).Err, messages.ErrStopped)
	b.until("it is gone from the system", func() bool { _, ok := supervisor.Get(b.system); return !ok })
	report, err := shutDown(t.Context(), s).wait(t)
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Cancelled)
}

// TestSubmitAfterShutdown is refused, however it is sent.
func TestSubmitAfterShutdown(t *testing.T) {
	b := newBench(t)
	s, k := b.start()
	q := b.requester()
	_, err := shutDown(t.Context(), s).wait(t)
	require.NoError(t, err)

	submit(q, s, 1)
	refused := expect[*messages.Refused](q)
	require.ErrorIs(t, refused.Err, messages.ErrStopped)
	require.ErrorIs(t, refused.Err, messages.ErrRefused)
	require.NotNil(t, refused.Op)
	require.EqualValues(t, 1, refused.ID.Seq)

	b.system.Root.Send(s.PID(), &messages.SubmitBatch{Submits: []*messages.Submit{
		{Op: &messages.Nop{}, ID: messages.OpID{Owner: q.pid}, Token: 1}, nil, {ReplyTo: q.pid, Token: 2},
	}})
	for token := 1; token <= 2; token++ {
		require.Equal(t, token, expect[*messages.Refused](q).Token)
	}

	// A reply address that is dead is no reason to tell nobody.
	nobody := actor.NewPID(b.system.Address(), "nobody")
	b.system.Root.Send(s.PID(), &messages.Submit{Op: &messages.Nop{}, ID: messages.OpID{Owner: q.pid}, ReplyTo: nobody})
	require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrStopped)

	// With nobody to tell, nobody is harmed.
	b.system.Root.Send(s.PID(), &messages.Submit{Op: &messages.Nop{}})
	b.system.Root.Send(s.PID(), (*messages.Submit)(nil))
	b.system.Root.Send(s.PID(), (*messages.SubmitBatch)(nil))

	_, err = actors.Await(t.Context(), s.Client(), &messages.Nop{})
	require.ErrorIs(t, err, messages.ErrStopped)
	require.ErrorIs(t, err, messages.ErrRefused)

	_, err = b.system.Root.RequestFuture(s.PID(), &messages.Submit{Op: &messages.Nop{}}, patience).Result()
	require.ErrorIs(t, err, actor.ErrDeadLetter)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = s.Inspect(ctx)
	require.ErrorIs(t, err, messages.ErrStopped)
	require.Empty(t, q.inbox)
	require.Empty(t, k.Consumed())
}

// TestChildStopsWithItsParent: an actor that ends takes its subsystem with it,
// and everything in flight is answered.
func TestChildStopsWithItsParent(t *testing.T) {
	b := newBench(t)
	q := b.requester()
	started := make(chan *supervisor.Subsystem, 1)
	second := make(chan error, 1)
	parent := b.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			s, err := supervisor.StartChild(ctx, b.option)
			if err != nil {
				panic(err)
			}
			_, err = supervisor.StartChild(ctx, b.option)
			second <- err
			started <- s
		}
	}))
	require.ErrorIs(t, <-second, supervisor.ErrRunning)
	s, k := <-started, <-b.opened
	_, ok := supervisor.Get(b.system)
	require.False(t, ok, "it is the actor's, not the system's")
	submit(q, s, 1)
	k.Next(t, ring.CodeNop)
	require.NoError(t, b.system.Root.StopFuture(parent).Wait())
	require.ErrorIs(t, expect[*messages.Completion](q).Err, messages.ErrStopped)
	submit(q, s, 2)
	require.ErrorIs(t, expect[*messages.Refused](q).Err, messages.ErrStopped)
	report, err := shutDown(t.Context(), s).wait(t)
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Completed)
}
