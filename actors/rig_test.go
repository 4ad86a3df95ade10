package actors_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
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

const (
	canceled  = -int32(unix.ECANCELED)
	notFound  = -int32(unix.ENOENT)
	already   = -int32(unix.EALREADY)
	again     = -int32(unix.EAGAIN)
	timerRang = ring.Expired
)

// rig is a subsystem on fake kernels, one for each ring that it opens. At the
// end of a test it checks what holds for every test: each Submit answered, no
// stale completion, nothing left behind, no rule of the seam broken.
type rig struct {
	t      *testing.T
	system *actor.ActorSystem
	rm     *supervisor.Subsystem
	glass  *actors.Glass
	pid    *actor.PID
	clock  *clock

	// entries is the size of a kernel's submission queue, setUp prepares one.
	entries int
	setUp   func(epoch int, k *fake.Kernel)
	refuse  atomic.Int32 // how many openings fail, from now on
	// manual leaves cancels to the test; otherwise each cancels its target.
	manual atomic.Bool

	mu         sync.Mutex
	kernels    []*fake.Kernel
	opened     chan struct{} // closed and replaced when a kernel is opened
	tries      int
	requesters []*requester
	over       bool
}

type rigOption func(*rig, *actors.Config)

func config(f func(*actors.Config)) rigOption { return func(_ *rig, c *actors.Config) { f(c) } }

func newRig(t *testing.T, options ...rigOption) *rig {
	t.Helper()
	r := &rig{
		t:       t,
		entries: 64,
		opened:  make(chan struct{}),
		clock:   newClock(),
		system: actor.NewActorSystem(func(c *actor.Config) {
			c.LoggerFactory = func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }
			c.DeadLetterThrottleInterval = time.Millisecond // its goroutine outlives the test by that much
		}),
	}
	rm, err := supervisor.Start(r.system, func(c *actors.Config) {
		c.InFlight = 32
		c.Queue = 256
		c.OpenKernel, c.OpenFallback = r.openKernel, nil
		c.Crew, c.StuckAfter = r.clock, patience // a fake kernel hangs only when it is told to
		for _, option := range options {
			option(r, c)
		}
	})
	require.NoError(t, err)
	r.rm, r.pid = rm, rm.PID()
	r.glass = actors.NewGlass(r.system, r.pid)
	t.Cleanup(r.finish)
	return r
}

var errNoKernel = errors.New("no kernel today")

func (r *rig) openKernel(actors.Config) (ring.Kernel, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	close(r.opened)
	r.opened = make(chan struct{})
	if r.refuse.Load() > 0 {
		r.refuse.Add(-1)
		return nil, errNoKernel
	}
	k := fake.New(r.entries)
	k.OnTaken(func(t *fake.Taken) { r.oblige(k, t) })
	if r.setUp != nil {
		r.setUp(len(r.kernels)+1, k)
	}
	r.kernels = append(r.kernels, k)
	return k, nil
}

// oblige performs what a test does not want to be bothered with.
func (r *rig) oblige(k *fake.Kernel, t *fake.Taken) {
	switch t.Code {
	case ring.CodeClose:
		res := int32(0)
		if err := unix.Close(int(t.FD)); err != nil {
			res = -int32(err.(unix.Errno))
		}
		k.TryComplete(t.Name, res, 0) // letGo may have been faster
	case ring.CodeCancel:
		if r.manual.Load() {
			return
		}
		res := notFound
		if k.TryComplete(ring.UserData(t.Off), canceled, 0) {
			res = 0
		}
		k.TryComplete(t.Name, res, 0)
	}
}

// kernel waits for the ring of an epoch, counting from 1.
func (r *rig) kernel(epoch int) *fake.Kernel {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		r.mu.Lock()
		opened := r.opened
		var k *fake.Kernel
		if len(r.kernels) >= epoch {
			k = r.kernels[epoch-1]
		}
		r.mu.Unlock()
		if k != nil {
			return k
		}
		select {
		case <-opened:
		case <-timeout:
			r.t.Fatalf("no ring of epoch %d", epoch)
		}
	}
}

func (r *rig) all() []*fake.Kernel {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*fake.Kernel(nil), r.kernels...)
}

// letGo ends whatever a kernel still has, as a kernel that is closed down does.
func (r *rig) letGo() {
	r.manual.Store(false)
	for _, k := range r.all() {
		for _, t := range k.InFlight() {
			k.TryComplete(t.Name, canceled, 0)
		}
	}
}

// finish ends the rig and checks what must hold at the end of every test.
func (r *rig) finish() {
	for _, q := range r.requesters {
		q.open()
	}
	r.refuse.Store(0)
	if !r.t.Failed() {
		r.letGo()
		for _, q := range r.requesters {
			require.NoError(r.t, r.system.Root.StopFuture(q.pid).Wait())
		}
		if !r.over {
			r.until("nothing is left of the test", func() bool { r.letGo(); return r.glass.Look().Empty() })
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if r.t.Failed() {
		cancel() // what it has left would be waited for
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		report, err := r.rm.Shutdown(ctx)
		if r.t.Failed() || r.over {
			return
		}
		require.NoError(r.t, err)
		requireBalance(r.t, report.Counters)
	}()
	r.until("the subsystem has shut down", func() bool {
		r.letGo()
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
	for epoch, k := range r.all() {
		k.AwaitClosed(r.t)
		require.Empty(r.t, k.Faults(), "ring %d", epoch+1)
	}
	_, closed := r.glass.Answers()
	select {
	case <-closed:
	case <-time.After(patience):
		r.t.Fatal("something of the subsystem is left")
	}
}

func requireBalance(t require.TestingT, c messages.Counters) {
	require.Equal(t, c.Submitted, c.Completed+c.Refused, "%+v", c)
	require.Zero(t, c.Stale)
	require.Zero(t, c.InFlight)
	require.Zero(t, c.Queued)
}

// until waits for a condition of which no event tells.
func (r *rig) until(what string, cond func() bool) {
	r.t.Helper()
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	timeout := time.After(patience)
	for !cond() {
		select {
		case <-tick.C:
		case <-timeout:
			if r.t.Failed() {
				return
			}
			r.t.Fatalf("%v passed, and not: %s; %+v", patience, what, r.glass.Look())
		}
	}
}

func (r *rig) inspect() *messages.Inspection {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	in, err := r.rm.Inspect(ctx)
	require.NoError(r.t, err)
	return in
}

// do is a message that has the requester do something as an actor.
type do func(actor.Context)

// requester is an actor that keeps what it is sent.
type requester struct {
	r     *rig
	pid   *actor.PID
	inbox chan any
	seq   uint64
	gate  chan struct{} // its Receive waits for it, if not nil
	once  sync.Once
}

func (r *rig) requester(options ...actor.PropsOption) *requester {
	r.t.Helper()
	return r.spawn("", nil, options...)
}

func (r *rig) spawn(name string, gate chan struct{}, options ...actor.PropsOption) *requester {
	r.t.Helper()
	q := &requester{r: r, inbox: make(chan any, 4096), gate: gate}
	props := actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started, *actor.Stopping, *actor.Stopped:
		case do:
			m(ctx)
		default:
			if gate != nil {
				<-gate
			}
			q.inbox <- m
		}
	}, options...)
	if name == "" {
		q.pid = r.system.Root.Spawn(props)
	} else {
		var err error
		q.pid, err = r.system.Root.SpawnNamed(props, name)
		require.NoError(r.t, err)
	}
	r.requesters = append(r.requesters, q)
	return q
}

// open lets a requester go on that waits at its gate.
func (q *requester) open() {
	if q.gate != nil {
		q.once.Do(func() { close(q.gate) })
	}
}

// stop ends the requester and waits until the ring owner has been told.
func (q *requester) stop() {
	q.r.t.Helper()
	require.NoError(q.r.t, q.r.system.Root.StopFuture(q.pid).Wait())
}

// send submits an operation under the requester's next number.
func (q *requester) send(op messages.Op) messages.OpID {
	return q.post(&messages.Submit{Op: op})
}

// post fills in identity and token of a Submit and posts it.
func (q *requester) post(m *messages.Submit) messages.OpID {
	q.seq++
	if m.ID == (messages.OpID{}) {
		m.ID = messages.OpID{Owner: q.pid, Seq: q.seq}
	}
	if m.Token == nil {
		m.Token = m.ID.Seq
	}
	q.r.system.Root.Send(q.r.pid, m)
	return m.ID
}

func (q *requester) cancel(id messages.OpID) {
	q.r.system.Root.Send(q.r.pid, &messages.Cancel{ID: id, Token: "cancel"})
}

// next waits for the next message that the requester is sent.
func (q *requester) next() any {
	q.r.t.Helper()
	select {
	case m := <-q.inbox:
		return m
	case <-time.After(patience):
		q.r.t.Fatalf("no message for %v; %+v", patience, q.r.glass.Look())
		return nil
	}
}

// expect waits for the next message, which must be of type M.
func expect[M any](q *requester) M {
	q.r.t.Helper()
	m := q.next()
	typed, ok := m.(M)
	if !ok {
		q.r.t.Fatalf("got %T %+v, want %T", m, m, typed)
	}
	return typed
}

// completion waits for the terminal answer of an operation.
func (q *requester) completion(id messages.OpID) *messages.Completion {
	q.r.t.Helper()
	c := expect[*messages.Completion](q)
	require.Equal(q.r.t, id.Seq, c.ID.Seq)
	require.False(q.r.t, c.More)
	return c
}

// succeeds waits for the terminal answer of an operation, which succeeded.
func (q *requester) succeeds(id messages.OpID) *messages.Completion {
	q.r.t.Helper()
	c := q.completion(id)
	require.NoError(q.r.t, c.Err)
	return c
}

// cancelled waits for the terminal answer of an operation, and for the result
// of its Cancel after it.
func (q *requester) cancelled(id messages.OpID) *messages.Completion {
	q.r.t.Helper()
	c := q.completion(id)
	result := expect[*messages.CancelResult](q)
	require.Equal(q.r.t, messages.Cancelled, result.Outcome)
	require.Equal(q.r.t, id, result.ID)
	require.Equal(q.r.t, 1, result.Count)
	return c
}

type marker struct{}

// silent asserts that nothing has been sent that was not received yet.
func (q *requester) silent() {
	q.r.t.Helper()
	q.r.glass.Look()
	q.r.system.Root.Send(q.pid, &marker{})
	if m := q.next(); m != nil {
		_, ok := m.(*marker)
		require.True(q.r.t, ok, "unexpected %T %+v", m, m)
	}
}

// adopt gives the requester a handle for a file.
func (q *requester) adopt(f *os.File) messages.Handle {
	q.r.t.Helper()
	c := q.succeeds(q.send(&messages.Adopt{File: f}))
	require.False(q.r.t, c.Handle.IsZero())
	return c.Handle
}

// regular gives a handle to an empty regular file.
func (q *requester) regular() messages.Handle {
	q.r.t.Helper()
	f, err := os.Create(filepath.Join(q.r.t.TempDir(), "file"))
	require.NoError(q.r.t, err)
	defer f.Close()
	return q.adopt(f)
}

// pipe gives handles to the two ends of a pipe.
func (q *requester) pipe() (reader, writer messages.Handle) {
	q.r.t.Helper()
	in, out, err := os.Pipe()
	require.NoError(q.r.t, err)
	defer in.Close()
	defer out.Close()
	return q.adopt(in), q.adopt(out)
}

// directory gives a handle to a directory.
func (q *requester) directory() messages.Handle {
	q.r.t.Helper()
	f, err := os.Open(q.r.t.TempDir())
	require.NoError(q.r.t, err)
	defer f.Close()
	return q.adopt(f)
}

// descriptor makes a real descriptor, of which the test may learn later
// whether it is open still.
func (r *rig) descriptor() (fd int32, isOpen func() bool) {
	r.t.Helper()
	name := filepath.Join(r.t.TempDir(), "late")
	n, err := unix.Open(name, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	require.NoError(r.t, err)
	return int32(n), func() bool {
		target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", n))
		return err == nil && target == name
	}
}

func isRestarted(err error) bool { return errors.Is(err, messages.ErrRestarted) }
