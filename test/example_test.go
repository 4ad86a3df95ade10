//go:build linux

package test_test

import (
	"context"
	"fmt"
	"log"
	"path/filepath"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// reader is an actor that prints how a file begins.
type reader struct {
	io   *supervisor.Subsystem
	path string
	done chan struct{}
}

func (r *reader) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started: // an operation actor opens the file, and reports back
		actors.SpawnOp(ctx, r.io.Client(), &messages.Open{Path: r.path}, nil)
	case *actors.OpDone[messages.Handle]: // it is open: read, with a Submit
		read := &messages.Read{Handle: m.Value, Buf: make([]byte, 42)}
		ctx.Send(r.io.PID(), &messages.Submit{Op: read, ID: messages.OpID{Owner: ctx.Self()}})
	case *messages.Completion: // the buffer is ours again
		text, err := messages.Result[[]byte](m)
		fmt.Printf("%s %v\n", text, err)
		close(r.done)
	case *messages.Refused: // nothing of it was done: m.Err says why
		close(r.done)
	}
}

func Example() {
	path, _ := filepath.Abs("../go.mod")
	system := actor.NewActorSystem()
	io, err := supervisor.Start(system)
	if err != nil {
		log.Fatal(err)
	}
	defer io.Shutdown(context.Background())
	r := &reader{io, path, make(chan struct{})}
	system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return r }))
	<-r.done
	// Output: module github.com/ringmaster-io/ringmaster <nil>
}
