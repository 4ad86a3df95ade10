//go:build linux

package test_test

import (
	"context"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

func Example() {
	system := actor.NewActorSystem()
	io, err := supervisor.Start(system)
	if err != nil {
		panic(err)
	}
	defer io.Shutdown(context.Background())
	done := make(chan struct{})
	system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started:
			ctx.Request(io.PID(), &messages.Submit{Op: &messages.Open{Path: "/proc/sys/kernel/ostype"}})
		case *messages.Refused: // not accepted: nothing of it has happened
			fmt.Println(m.Err)
			close(done)
		case *messages.Completion: // the kernel is done: m.Op and its buffer are ours again
			if file, err := messages.Result[messages.Handle](m); err == nil {
				ctx.Request(io.PID(), &messages.Submit{Op: &messages.Read{Handle: file, Buf: make([]byte, 512)}})
				return
			}
			text, err := messages.Result[[]byte](m)
			fmt.Printf("%q %v\n", text, err)
			close(done)
		}
	}))
	<-done
	// Output: "Linux\n" <nil>
}
