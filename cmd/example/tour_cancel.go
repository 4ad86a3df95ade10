package main

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// cancels is how many operations are cancelled in flight.
const cancels = 64

// cancelAll submits operations that would never end, and cancels each by name.
func (g *guide) cancelAll() error {
	g.say("\nCancelling %d operations in flight", cancels)
	pipe, err := g.pipe()
	if err != nil {
		return err
	}
	defer pipe.close()
	c := &canceller{port: port{owner: g.subsystem.PID()}, pipe: pipe.handle, done: make(chan cancelCount, 1)}
	pid := g.system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return c }))
	defer g.system.Root.Stop(pid)
	select {
	case count := <-c.done:
		g.promised(count.answers == cancels, "each has exactly one answer", "%d answers", count.answers)
		g.promised(count.cancelled == cancels, "which says that it was cancelled", "%d cancelled", count.cancelled)
		g.promised(count.buffers == cancels/2, "and brings its buffer back", "%d of %d buffers", count.buffers, cancels/2)
		g.promised(count.late == 0, "and comes before the answer to the cancellation", "%d came after", count.late)
		return nil
	case <-g.ctx.Done():
		return context.Cause(g.ctx)
	}
}

// testPipe is a pipe whose reading end the subsystem has, and whose writing end
// shows whether it still has it.
type testPipe struct {
	handle messages.Handle
	writer *os.File
}

func (g *guide) pipe() (*testPipe, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer reader.Close() // Adopt duplicates it
	handle, err := await(g.ctx, g.client, &messages.Adopt{File: reader})
	if err != nil {
		writer.Close()
		return nil, err
	}
	return &testPipe{handle, writer}, nil
}

func (p *testPipe) close() { p.writer.Close() }

// isRead says whether anybody has the reading end open.
func (p *testPipe) isRead() bool {
	_, err := p.writer.Write([]byte{0})
	return !errors.Is(err, syscall.EPIPE)
}

// cancelCount is what a canceller has seen.
type cancelCount struct{ answers, cancelled, buffers, late int }

// canceller is an actor that cancels what it has just asked for. Unlike the
// other actors of this program it gives its operations sequence numbers, by
// which they are cancelled, and sends each Cancel right after the Submit.
type canceller struct {
	port
	pipe    messages.Handle
	count   cancelCount
	results int
	done    chan cancelCount
}

// waitForever is an operation of the canceller. Its buffer, if it has one, is
// to come back.
type waitForever struct {
	request
	canceller *canceller
	buf       []byte
	ended     bool
}

// Receive implements actor.Actor.
func (c *canceller) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		c.self = ctx.Self()
		for i := range cancels {
			c.begin(ctx, uint64(i+1))
		}
	case *messages.CancelResult:
		c.cancelled(m)
	default:
		c.receive(ctx)
	}
	c.flush(ctx)
}

// begin starts a read of a pipe that nobody writes to, or a long timeout.
func (c *canceller) begin(ctx actor.Context, seq uint64) {
	w := &waitForever{canceller: c}
	w.asker = w
	var op messages.Op = &messages.Timeout{After: time.Hour}
	if seq%2 == 0 {
		w.buf = make([]byte, 16)
		op = &messages.Read{Handle: c.pipe, Buf: w.buf}
	}
	w.seq = seq
	c.ask(&w.request, 0, op)
	c.flush(ctx)
	ctx.Send(c.owner, &messages.Cancel{ID: messages.OpID{Owner: c.self, Seq: seq}, Token: w})
}

// answered implements asker.
func (w *waitForever) answered(_ actor.Context, _ *request) {
	count := &w.canceller.count
	count.answers++
	w.ended = true
	if errors.Is(w.answer.Err, context.Canceled) {
		count.cancelled++
	}
	if read, ok := w.answer.Op.(*messages.Read); ok && &read.Buf[0] == &w.buf[0] {
		count.buffers++
	}
}

// cancelled takes the answer to a cancellation, after which nothing more comes.
func (c *canceller) cancelled(m *messages.CancelResult) {
	if w := m.Token.(*waitForever); !w.ended {
		c.count.late++
	}
	if c.results++; c.results == cancels {
		c.done <- c.count
	}
}
