//go:build linux

package faults

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
	"github.com/ringmaster-io/ringmaster/test/leak"
)

// oracle is a running subsystem, and what must hold of it whatever happens:
//
//   - O1: each Submit that is accepted gets exactly one terminal Completion,
//     each other one Refused; and the subsystem's own books say the same.
//   - O2: no buffer changes after its terminal answer, or beyond what the answer
//     says was filled (see guards).
//   - O3: no descriptor is left.
//   - O4: of a ring that is idle, the kernel says that the queues are empty, no
//     poll is armed, nothing is on the overflow list, and it counts as we do.
//   - O5: no completion queue entry is stale.
//   - O6: no kernel worker and no memory is left, and the kernel does not
//     complain.
//   - O7: what a lost ring had is not reused while it has it: O2 holds for it
//     as well, to the very end.
//
// It looks at the end of the test, after the test's own cleanups.
type oracle struct {
	t      testing.TB
	system *actor.ActorSystem
	rm     *supervisor.Subsystem
	c      *actors.Client
	guards guards

	// unknownMax is how many operations may end with ErrOutcomeUnknown.
	unknownMax int
	// others says that the test submits what is not on the ledger too.
	others bool
	// memoryMax is by how much the process may have grown at the end.
	memoryMax int64

	// The ledger's totals.
	submitted, completed, refused atomic.Uint64
	unheard                       atomic.Uint64 // ended, and the ledger does not know how

	before  baseline
	mu      sync.Mutex
	asking  []*requester
	cleanup []func()
}

// baseline is how the process was before.
type baseline struct {
	files   []string
	workers int
	memory  int64
	log     kernelLog
}

// memorySlack is what a process may keep of a test for the next: stacks, spans,
// and what the tests themselves still hold.
const memorySlack = slowdown * 64 << 20

// start starts a subsystem in an actor system of its own, under the oracle.
func start(t testing.TB, options ...supervisor.Option) *oracle {
	t.Helper()
	o := &oracle{t: t, system: actor.NewActorSystem(quiet), memoryMax: memorySlack, before: takeBaseline(t)}
	rm, err := supervisor.Start(o.system, options...)
	require.NoError(t, err)
	o.rm, o.c = rm, rm.Client()
	t.Cleanup(o.judge)
	return o
}

func takeBaseline(t testing.TB) baseline {
	leak.PrimeNetpoller()
	b := baseline{log: openKernelLog(), workers: len(busyWorkers()), memory: resident(t)}
	b.files = leak.OpenFiles()
	return b
}

// after has f called when the subsystem is shut down and before the oracle
// looks for what is left, the latest first.
func (o *oracle) after(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cleanup = append(o.cleanup, f)
}

// inspect asks the ring owner how it is. It answers between two bursts, when
// what was sent before has been taken.
func (o *oracle) inspect() *messages.Inspection {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	in, err := o.rm.Inspect(ctx)
	require.NoError(o.t, err)
	return in
}

// inFlight waits until so many operations are with the kernel.
func (o *oracle) inFlight(n int) {
	o.t.Helper()
	eventually(o.t, "the kernel has them", func() bool { return o.inspect().InFlight == n })
}

// await performs an operation on behalf of the oracle's client.
func await[R any](o *oracle, op messages.Operation[R]) (R, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return awaitIn(ctx, o, op)
}

// awaitIn is await in a context of one's own, which has not ended yet. What a
// Read brings is a copy: its buffer is poisoned again.
func awaitIn[R any](ctx context.Context, o *oracle, op messages.Operation[R]) (R, error) {
	o.submitted.Add(1)
	o.unheard.Add(1) // whether an error is a refusal, the subsystem's books know
	loan := o.guards.lend(o.t, op)
	result, err := actors.Await(ctx, o.c, op)
	switch result := any(&result).(type) {
	case *[]byte:
		*result = loan.back(len(*result), err)
	case *int:
		loan.back(*result, err)
	}
	return result, err
}

// do performs an operation that must succeed.
func do[R any](o *oracle, op messages.Operation[R]) R {
	o.t.Helper()
	result, err := await(o, op)
	require.NoError(o.t, err, "%s %+v", op.Name(), op)
	return result
}

// fails performs an operation that must not, and gives its error.
func fails[R any](o *oracle, op messages.Operation[R]) error {
	o.t.Helper()
	_, err := await(o, op)
	require.Error(o.t, err, "%s %+v", op.Name(), op)
	return err
}

// judge is the end of the test.
func (o *oracle) judge() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if o.t.Failed() {
		cancel() // what it has left in flight would be waited for
	} else {
		o.judgeIdle()
	}
	report, err := o.rm.Shutdown(ctx)
	o.mu.Lock()
	asking, cleanup := o.asking, o.cleanup
	o.mu.Unlock()
	for _, r := range asking {
		r.judge()
		r.stop()
	}
	for _, f := range slices.Backward(cleanup) {
		f()
	}
	o.judgeBooks(report, err)
	o.guards.judge(o.t)
	if o.t.Failed() {
		return // what is left behind is the consequence
	}
	o.judgeProcess()
}

// judgeIdle is O4, unless the test has ended the subsystem.
func (o *oracle) judgeIdle() {
	if _, running := supervisor.Get(o.system); !running {
		return
	}
	var in *messages.Inspection
	var views []ringView
	eventually(o.t, "O4: the rings are idle and agree with us", func() bool {
		in = o.inspect()
		views = rings(o.t)
		if in.Backend != "io_uring" {
			return len(views) == 0
		}
		return in.Draining == 0 && len(views) == 1 && views[0].settled() &&
			(in.Epoch > 1 || views[0].SqHead == in.Published && views[0].CqHead == in.Reaped)
	})
	require.Zero(o.t, in.Queued+in.InFlight, "O1: the test leaves operations behind: %+v", in)
	require.Zero(o.t, in.Lost, "O4: completions were lost")
}

// judgeBooks is O1, as the subsystem's own books have it, and O5.
func (o *oracle) judgeBooks(report supervisor.Report, err error) {
	o.t.Helper()
	t := o.t
	if o.unknownMax == 0 || err == nil {
		require.NoError(t, err)
	} else {
		require.ErrorIs(t, err, messages.ErrOutcomeUnknown)
	}
	require.Equal(t, report.Submitted, report.Completed+report.Refused, "O1: %+v", report)
	require.Zero(t, report.InFlight+report.Queued, "O1: %+v", report)
	require.LessOrEqual(t, int(report.Unknown), o.unknownMax, "O1: %+v", report)
	require.Zero(t, report.Stale, "O5: %+v", report)
	if o.others {
		require.GreaterOrEqual(t, report.Submitted, o.submitted.Load(), "O1: %+v", report)
		return
	}
	require.Equal(t, o.submitted.Load(), report.Submitted, "O1: %+v", report)
	require.LessOrEqual(t, o.completed.Load(), report.Completed, "O1: %+v", report)
	require.LessOrEqual(t, o.refused.Load(), report.Refused, "O1: %+v", report)
	require.Equal(t, report.Submitted, o.completed.Load()+o.refused.Load()+o.unheard.Load(), "O1: %+v", report)
}

// judgeProcess is O3 and O6.
func (o *oracle) judgeProcess() {
	t := o.t
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("O3: descriptors now, and before:", leak.OpenFiles(), o.before.files)
		}
	})
	eventually(t, "O3: the descriptors and mappings are back to what they were", func() bool {
		return slices.Equal(leak.OpenFiles(), o.before.files) && leak.RingMappings() == 0
	})
	// Those that have nothing to do may stay as long as the process: see
	// ring's keeper.
	eventually(t, "O6: the kernel's workers are gone, or idle", func() bool {
		return len(busyWorkers()) <= o.before.workers
	})
	grown := resident(t) - o.before.memory
	require.LessOrEqual(t, grown, o.memoryMax, "O6: memory has grown by so many bytes")
	require.Empty(t, o.before.log.complaints(), "O6: the kernel complains")
}
