package supervisor_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/fake"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// patience bounds every wait. A test that comes to it has failed.
const patience = 10 * time.Second

const canceled = -int32(unix.ECANCELED)

var errNoKernel = errors.New("no kernel today")

// bench is an actor system, and the fake kernels that its subsystems open.
type bench struct {
	t      *testing.T
	system *actor.ActorSystem
	refuse atomic.Bool // no kernel is to be had
	manual atomic.Bool // cancels are left to the test

	mu      sync.Mutex
	kernels []*fake.Kernel
	tries   int
	opened  chan *fake.Kernel
}

func newBench(t *testing.T) *bench {
	b := &bench{
		t:      t,
		opened: make(chan *fake.Kernel, 64),
		system: actor.NewActorSystem(func(c *actor.Config) {
			c.LoggerFactory = func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }
			c.DeadLetterThrottleInterval = time.Millisecond
		}),
	}
	t.Cleanup(b.finish)
	return b
}

// finish checks that every ring was closed, empty, and that no rule of the seam
// was broken.
func (b *bench) finish() {
	b.mu.Lock()
	kernels := b.kernels
	b.mu.Unlock()
	for _, k := range kernels {
		k.AwaitClosed(b.t)
		require.Empty(b.t, k.Faults())
	}
}

// option has a subsystem stand on fake kernels. How long a shutdown takes is not
// judged here: it depends on the machine.
func (b *bench) option(c *actors.Config) {
	c.InFlight, c.Queue = 16, 64
	c.ShutdownGrace = patience
	c.OpenFallback = nil
	c.OpenKernel = func(actors.Config) (ring.Kernel, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.tries++
		if b.refuse.Load() {
			return nil, errNoKernel
		}
		k := fake.New(16)
		k.OnTaken(func(taken *fake.Taken) {
			if taken.Code == ring.CodeCancel && !b.manual.Load() {
				k.TryComplete(ring.UserData(taken.Off), canceled, 0)
				k.TryComplete(taken.Name, 0, 0)
			}
		})
		b.kernels = append(b.kernels, k)
		b.opened <- k
		return k, nil
	}
}

func (b *bench) start(options ...supervisor.Option) (*supervisor.Subsystem, *fake.Kernel) {
	b.t.Helper()
	s, err := supervisor.Start(b.system, append([]supervisor.Option{b.option}, options...)...)
	require.NoError(b.t, err)
	return s, <-b.opened
}

func (b *bench) attempts() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tries
}

// until waits for a condition of which no event tells.
func (b *bench) until(what string, cond func() bool) {
	b.t.Helper()
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	timeout := time.After(patience)
	for !cond() {
		select {
		case <-tick.C:
		case <-timeout:
			b.t.Fatalf("%v passed, and not: %s", patience, what)
		}
	}
}

// requester is an actor that keeps what it is sent.
type requester struct {
	b     *bench
	pid   *actor.PID
	inbox chan any
}

func (b *bench) requester() *requester {
	q := &requester{b: b, inbox: make(chan any, 256)}
	q.pid = b.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started, *actor.Stopping, *actor.Stopped:
		default:
			q.inbox <- m
		}
	}))
	b.t.Cleanup(func() { require.NoError(b.t, b.system.Root.StopFuture(q.pid).Wait()) })
	return q
}

func expect[M any](q *requester) M {
	q.b.t.Helper()
	m := q.next()
	typed, ok := m.(M)
	require.True(q.b.t, ok, "got %T %+v, want %T", m, m, typed)
	return typed
}

// next waits for the next message.
func (q *requester) next() any {
	q.b.t.Helper()
	select {
	case m := <-q.inbox:
		return m
	case <-time.After(patience):
		q.b.t.Fatalf("no message for %v", patience)
		panic("unreachable")
	}
}

// ending is a Shutdown that is under way.
type ending struct {
	done   chan struct{}
	report supervisor.Report
	err    error
}

func shutDown(ctx context.Context, s *supervisor.Subsystem) *ending {
	e := &ending{done: make(chan struct{})}
	go func() {
		defer close(e.done)
		e.report, e.err = s.Shutdown(ctx)
	}()
	return e
}

func (e *ending) wait(t *testing.T) (supervisor.Report, error) {
	t.Helper()
	select {
	case <-e.done:
	case <-time.After(patience):
		t.Fatal("the shutdown hangs")
	}
	return e.report, e.err
}

// over is a context that has ended.
func over() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func submit(q *requester, s *supervisor.Subsystem, seq uint64) {
	q.b.system.Root.Send(s.PID(), &messages.Submit{Op: &messages.Nop{}, ID: messages.OpID{Owner: q.pid, Seq: seq}})
}
