package actors

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// Client submits operations for goroutines that are no actors, and carries
// what an operation actor needs to know of the subsystem. It is an owner of its
// own: the handles that its operations make are closed when it is closed. It
// may be used from any number of goroutines.
//
// To the actor system it is a Process: completions reach a waiting goroutine
// directly, without an actor or a protoactor Future in between.
type Client struct {
	system *actor.ActorSystem
	owner  *actor.PID
	self   *actor.PID
	seq    atomic.Uint64
	idle   sync.Pool
	// calls are those under way. The last one after closed forgets the client.
	calls  atomic.Int64
	closed atomic.Bool
	// retired: the ring owner has ended.
	retired atomic.Bool
	clients *clients
}

// NewClient registers a further client of the ring owner, whose actor is at
// pid.
func (o *RingOwner) NewClient(pid *actor.PID) *Client {
	system := o.engine.system
	c := &Client{system: system, owner: pid, clients: &o.engine.clients}
	c.idle.New = func() any { return &waiter{done: make(chan struct{}, 1)} }
	c.self, _ = system.ProcessRegistry.Add(clientProcess{c}, "ringmaster-client-"+system.ProcessRegistry.NextId())
	if !c.clients.add(c) {
		c.retire()
	}
	return c
}

// clients are those of one ring owner. They end with it.
type clients struct {
	mu    sync.Mutex
	all   map[*Client]struct{}
	ended bool
}

// add reports false when the ring owner has ended.
func (cs *clients) add(c *Client) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.ended {
		return false
	}
	if cs.all == nil {
		cs.all = make(map[*Client]struct{})
	}
	cs.all[c] = struct{}{}
	return true
}

func (cs *clients) remove(c *Client) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.all, c)
}

// end retires all clients.
func (cs *clients) end() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.ended = true
	for c := range cs.all {
		c.retire()
	}
	cs.all = nil
}

// PID is the ring owner's address: where actors send their Submit and Cancel.
func (c *Client) PID() *actor.PID { return c.owner }

// Owner is the identity under which the client's own operations run, for a
// [messages.Give] to it.
func (c *Client) Owner() *actor.PID { return c.self }

// Close cancels what the client has in flight and closes its handles. Calls of
// Await that are under way still return; later ones are refused.
func (c *Client) Close() {
	if c.closed.Swap(true) {
		return
	}
	c.clients.remove(c)
	c.system.Root.Send(c.owner, &ownerGone{process: clientProcess{c}})
	if c.calls.Load() == 0 {
		c.forget()
	}
}

// retire is Close when the ring owner has ended: there is nothing to close.
func (c *Client) retire() {
	c.retired.Store(true)
	if !c.closed.Swap(true) && c.calls.Load() == 0 {
		c.forget()
	}
}

// refuse says why there can be no call any more.
func (c *Client) refuse(op messages.Op) error {
	if c.retired.Load() {
		return refusal(op, messages.ErrStopped)
	}
	return refusal(op, messages.ErrOwner)
}

// begin counts a call in, unless the client is closed; end counts it out.
func (c *Client) begin() bool {
	c.calls.Add(1)
	if c.closed.Load() {
		c.end()
		return false
	}
	return true
}

func (c *Client) end() {
	if c.calls.Add(-1) == 0 && c.closed.Load() {
		c.forget()
	}
}

// forget takes the client out of the actor system. What the ring owner still
// holds of it, it holds by the process itself.
func (c *Client) forget() { c.system.ProcessRegistry.Remove(c.self) }

// waiter is one goroutine in Await, with the storage of its whole exchange.
type waiter struct {
	submit     messages.Submit
	completion messages.Completion
	inspection *messages.Inspection
	refused    error
	done       chan struct{} // capacity 1: answering never blocks the runner
}

// Await performs one operation and waits for its end. When ctx ends first, it
// asks for the operation's cancellation and goes on waiting: it returns only
// when the operation's buffers are the caller's again, or with
// [messages.ErrOutcomeUnknown] when they are forfeited. So a disk that hangs
// holds the caller as pread(2) would. An operation that succeeds in spite of
// the cancellation gives its result and no error.
//
// It must not be called from an actor's Receive, which it would block; actors
// send a [messages.Submit] or use [SpawnOp].
func Await[R any](ctx context.Context, c *Client, op messages.Operation[R]) (R, error) {
	var none R
	if err := context.Cause(ctx); err != nil {
		return none, refusal(op, err)
	}
	if !c.begin() {
		return none, c.refuse(op)
	}
	defer c.end()
	w := c.idle.Get().(*waiter)
	defer c.release(w)
	seq := c.seq.Add(1)
	w.submit = messages.Submit{
		Op:      op,
		ID:      messages.OpID{Owner: c.self, Seq: seq},
		ReplyTo: c.self,
		Token:   w,
		Into:    &w.completion,
	}
	c.system.Root.Send(c.owner, &w.submit)
	select {
	case <-w.done:
	case <-ctx.Done():
		c.system.Root.Send(c.owner, &messages.Cancel{ID: w.submit.ID})
		<-w.done
	}
	if w.refused != nil {
		return none, w.refused
	}
	result, err := messages.Result[R](&w.completion)
	var opErr *messages.OpError
	if ctx.Err() != nil && errors.As(err, &opErr) && opErr.Why == context.Canceled {
		opErr.Why = whyEnded(ctx) // a deadline, for instance
	}
	return result, err
}

// whyEnded is the error of a context that has ended, with its cause if that is
// another.
func whyEnded(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != ctx.Err() {
		return fmt.Errorf("%w: %w", ctx.Err(), cause)
	}
	return ctx.Err()
}

// Inspect asks the ring owner how it is.
func (c *Client) Inspect(ctx context.Context) (*messages.Inspection, error) {
	if !c.begin() {
		return nil, c.refuse(nil)
	}
	defer c.end()
	w := &waiter{done: make(chan struct{}, 1)}
	c.system.Root.Send(c.owner, &messages.Inspect{ReplyTo: c.self, Token: w})
	select {
	case <-w.done:
		return w.inspection, w.refused
	case <-ctx.Done():
		return nil, fmt.Errorf("inspecting the ring owner: %w", context.Cause(ctx))
	}
}

// release clears what would keep the operation alive, and keeps the storage.
func (c *Client) release(w *waiter) {
	w.submit = messages.Submit{}
	w.completion = messages.Completion{}
	w.refused = nil
	c.idle.Put(w)
}

// clientProcess is the client as the actor system sees it: answers come in on
// the runner's goroutine, and waking the waiter is all that happens there.
type clientProcess struct{ c *Client }

var _ actor.Process = clientProcess{}

// SendUserMessage wakes the goroutine that an answer is for.
func (p clientProcess) SendUserMessage(_ *actor.PID, message any) {
	switch m := actor.UnwrapEnvelopeMessage(message).(type) {
	case *messages.Completion:
		p.wake(m.Token, nil, nil)
	case *messages.Refused:
		p.wake(m.Token, m.Err, nil)
	case *messages.Inspection:
		p.wake(m.Token, nil, m)
	}
}

func (clientProcess) wake(token any, refused error, inspection *messages.Inspection) {
	w, ok := token.(*waiter)
	if !ok {
		return
	}
	w.refused, w.inspection = refused, inspection
	w.done <- struct{}{}
}

// SendSystemMessage does nothing: a client is not supervised or watched.
func (clientProcess) SendSystemMessage(*actor.PID, any) {}

// Stop does nothing: see Client.Close.
func (clientProcess) Stop(*actor.PID) {}

// deliversAtOnce marks the process as one that neither blocks nor calls
// foreign code when an answer is sent to it, and says whether it is closed; see
// party.
func (p clientProcess) deliversAtOnce() (gone bool) { return p.c.closed.Load() }
