//go:build linux

package test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// patience bounds every wait of these tests. It is a bound on failures only:
// nothing that succeeds takes that long.
const patience = 30 * time.Second

// lifetime bounds all that a test does with one rig, on the slowest machine.
const lifetime = 10 * patience

// rig is a running subsystem, and what a test needs beside it.
type rig struct {
	t      testing.TB
	ctx    context.Context
	system *actor.ActorSystem
	rm     *supervisor.Subsystem
	c      *actors.Client
}

// start starts a subsystem in an actor system of its own. When the test ends
// it is shut down, and its books must balance.
func start(t testing.TB, options ...supervisor.Option) *rig {
	t.Helper()
	r := startUnchecked(t, options...)
	t.Cleanup(func() {
		report, err := r.rm.Shutdown(r.ctx)
		require.NoError(t, err)
		requireLedger(t, report)
	})
	return r
}

// startUnchecked is start for tests that shut down themselves.
func startUnchecked(t testing.TB, options ...supervisor.Option) *rig {
	t.Helper()
	system := actor.NewActorSystem(quiet)
	rm, err := supervisor.Start(system, rigOptions(options)...)
	require.NoError(t, err)
	return rigFor(t, system, rm)
}

func rigFor(t testing.TB, system *actor.ActorSystem, rm *supervisor.Subsystem) *rig {
	ctx, cancel := context.WithTimeout(context.Background(), lifetime)
	t.Cleanup(cancel)
	return &rig{t: t, ctx: ctx, system: system, rm: rm, c: rm.Client()}
}

// requireLedger checks the books of a subsystem that has ended in order.
func requireLedger(t testing.TB, report supervisor.Report) {
	t.Helper()
	require.Equal(t, report.Submitted, report.Completed+report.Refused, "%+v", report)
	require.Zero(t, report.InFlight+report.Queued, "%+v", report)
	require.Zero(t, report.Stale, "%+v", report)
	require.Zero(t, report.Unknown, "%+v", report)
	require.Zero(t, report.Quarantined, "%+v", report)
	require.Zero(t, report.Abandoned, "%+v", report)
}

// do performs an operation that must succeed.
func do[R any](r *rig, op messages.Operation[R]) R {
	r.t.Helper()
	result, err := actors.Await(r.ctx, r.c, op)
	require.NoError(r.t, err, "%s %+v", op.Name(), op)
	return result
}

// fails performs an operation that must not, and gives its error.
func fails[R any](r *rig, op messages.Operation[R]) error {
	r.t.Helper()
	_, err := actors.Await(r.ctx, r.c, op)
	require.Error(r.t, err, "%s %+v", op.Name(), op)
	return err
}

// inspect asks the ring owner how it is. It answers between two bursts, when
// what was sent before has been taken.
func (r *rig) inspect() *messages.Inspection {
	r.t.Helper()
	in, err := r.rm.Inspect(r.ctx)
	require.NoError(r.t, err)
	return in
}

// send submits on behalf of a probe.
func (r *rig) send(p *probe, seq uint64, op messages.Op) {
	r.system.Root.Send(r.rm.PID(), &messages.Submit{Op: op, ID: messages.OpID{Owner: p.pid, Seq: seq}})
}

// adopt makes a handle for a file.
func (r *rig) adopt(f *os.File) messages.Handle {
	r.t.Helper()
	return do(r, &messages.Adopt{File: f})
}

// pipe makes a pipe; its ends are closed when the test ends.
func (r *rig) pipe() (reader, writer *os.File) {
	r.t.Helper()
	reader, writer, err := os.Pipe()
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _, _ = reader.Close(), writer.Close() })
	return reader, writer
}

// fifo makes a named pipe. Opening one end of it waits for the other.
func fifo(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, unix.Mkfifo(path, 0o600))
	return path
}

// eventually waits for something of which nobody tells: it looks again and
// again, and fails the test at the bound.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(patience); !holds(); <-ticker.C {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("waited in vain: %s\n%s", what, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
