//go:build linux

package faults

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// TestStopWhileHung shuts the subsystem down while an operation hangs in a device
// (T25). The Shutdown ends soon after its deadline, the operation is answered as
// unknown, once, and the report says so. When the device answers after all,
// nothing is left behind.
func TestStopWhileHung(t *testing.T) {
	for _, h := range hangingOps {
		t.Run(h.name, func(t *testing.T) {
			m := mountFUSE(t)
			o := start(t, supervisor.WithShutdownGrace(20*time.Millisecond))
			o.unknownMax = 1
			r := o.requester()
			e, _ := hangOne(m, r, h)
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			report, err := o.rm.Shutdown(ctx)
			require.ErrorIs(t, err, messages.ErrOutcomeUnknown)
			require.Equal(t, 1, report.Abandoned)
			require.EqualValues(t, 1, report.Unknown)
			require.Less(t, report.Took, patience/5, "it does not wait for the device")
			require.ErrorIs(t, e.err(), messages.ErrOutcomeUnknown)
			if h.kind != "flush" { // a Close was not cancelled
				require.ErrorIs(t, e.err(), messages.ErrStopped)
			}
			require.Nil(t, e.completion.Op)
			require.ErrorIs(t, r.submit(&messages.Nop{}).err(), messages.ErrStopped)
			o.submitted.Add(^uint64(0)) // the report was made before
			o.refused.Add(^uint64(0))
			m.serve() // and the oracle looks for what is left
		})
	}
}

// exits are ways for a process to end.
var exits = map[string]func(){
	"exit":    func() { os.Exit(3) },
	"SIGKILL": func() { _ = unix.Kill(unix.Getpid(), unix.SIGKILL) },
}

// TestExitWhileHung has a process shut its subsystem down, which leaves an
// operation with a device that hangs, and exit (T25). The kernel may keep the
// process until the device has answered, whichever way it goes;
// then it ends.
func TestExitWhileHung(t *testing.T) {
	if what, yes := inChild(); yes {
		exitWhileHung(t, what)
		return
	}
	for _, h := range hangingOps {
		if !slices.Contains([]string{"read", "read past the cache", "fsync", "open", "readlink"}, h.name) {
			continue
		}
		for how := range exits {
			t.Run(h.name+"/"+how, func(t *testing.T) {
				m := mountFUSE(t)
				p := startProcess(t, child(t, how+","+h.name+","+m.dir))
				p.hear("ready")
				m.hang(h.kind)
				p.say("go on")
				m.hung(h.kind, 1)
				p.say("stop")
				require.Equal(t, "stopped, 1 abandoned", p.hear("stopped"))
				began := time.Now()
				if p.endsWithin(300 * time.Millisecond) {
					t.Logf("ended after %v, while the device hung", time.Since(began))
					return
				}
				t.Logf("is still there after %v: %s", time.Since(began), p.threads())
				m.serve()
				require.True(t, p.endsWithin(patience), "is still there although the device has answered: %s", p.threads())
			})
		}
	}
}

// exitWhileHung is the child: what names the way out, the operation, and where
// the device is mounted.
func exitWhileHung(t *testing.T, what string) {
	words := strings.Split(what, ",")
	k := slices.IndexFunc(hangingOps, func(h hanging) bool { return h.name == words[1] })
	h, m := hangingOps[k], &fuseMount{t: t, dir: words[2]}
	system := actor.NewActorSystem(quiet)
	rm, err := supervisor.Start(system, supervisor.WithShutdownGrace(20*time.Millisecond))
	require.NoError(t, err)
	file, err := actors.Await(t.Context(), rm.Client(), &messages.Open{Path: m.path(h.file), Flags: h.flags})
	require.NoError(t, err)
	orders := bufio.NewScanner(os.Stdin)
	fmt.Println("ready")
	require.True(t, orders.Scan())
	system.Root.Send(rm.PID(), &messages.Submit{Op: h.op(m, file), ID: messages.OpID{Owner: rm.Client().Owner()}})
	require.True(t, orders.Scan())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	report, err := rm.Shutdown(ctx)
	require.ErrorIs(t, err, messages.ErrOutcomeUnknown)
	fmt.Printf("stopped, %d abandoned\n", report.Abandoned)
	exits[words[0]]()
	select {} // it is on its way
}
