//go:build linux

package test

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// memoryInUse is what Go's heap and stacks hold, garbage not counted.
func memoryInUse() int64 {
	runtime.GC()
	runtime.GC() // pools are emptied by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// TestMemoryInFlight has ten thousand operations in flight, which may cost four
// mebibytes through io_uring, the messages of their requester included. When
// they have ended all of it comes back but the slots.
func TestMemoryInFlight(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // only when we ask
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer func() { _, _ = reader.Close(), writer.Close() }()
	for _, kind := range []struct {
		name string
		op   func(messages.Handle) messages.Op
	}{
		{"poll", func(pipe messages.Handle) messages.Op {
			return &messages.Poll{Handle: pipe, Events: messages.Readable}
		}},
		{"timeout", func(messages.Handle) messages.Op { return &messages.Timeout{After: time.Hour} }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			if !alone(t) {
				return // other tests leave behind what a collection at a bad time frees
			}
			r := start(t, supervisor.WithInFlight(manyOperations*4/3+1)) // a quarter is not for one owner
			pipe := r.adopt(reader)
			memoryOfMany(r, func() messages.Op { return kind.op(pipe) })
		})
	}
}

// The portable backend's part of an operation is on our heap, too. That of
// io_uring is the kernel's, and is not counted.
const (
	manyOperations   = 10_000
	manyMost         = 4 << 20
	manyMostPortable = 8 << 20
)

func memoryOfMany(r *rig, op func() messages.Op) {
	p := r.probe()
	most := int64(manyMost)
	if !r.onRing() {
		most = manyMostPortable
	}
	begin := memoryInUse()
	var kept [5]int64
	least := int64(math.MaxInt64) // what else the process holds just then only adds to it
	for round := range kept {
		own := submitMany(r, p, uint64(round*manyOperations), op)
		used := memoryInUse() - begin
		r.t.Logf("%d bytes an operation: %d of the subsystem, %d of the requester's messages; %d KiB in all",
			used/manyOperations, (used-own)/manyOperations, own/manyOperations, used>>10)
		if round > 0 { // the first has not grown all that is kept yet
			least = min(least, used)
		}
		cancelMany(r, p)
		kept[round] = memoryInUse() - begin
		r.t.Logf("%d KiB are kept afterwards", kept[round]>>10)
	}
	require.LessOrEqual(r.t, least, most)
	require.Less(r.t, kept[4], kept[1]+512<<10, "it grows") // 18 bytes an operation and round would be seen
}

// submitMany brings the operations in flight, and says what their messages
// take.
func submitMany(r *rig, p *probe, seq uint64, op func() messages.Op) (own int64) {
	r.t.Helper()
	begin := memoryInUse()
	submits := make([]*messages.Submit, manyOperations)
	for k := range submits {
		submits[k] = &messages.Submit{Op: op(), ID: messages.OpID{Owner: p.pid, Seq: seq + uint64(k+1)}}
	}
	own = memoryInUse() - begin - int64(len(submits))*8
	before := r.seen().SqHead
	for _, submit := range submits {
		r.system.Root.Send(r.rm.PID(), submit)
	}
	eventually(r.t, "all are in flight", func() bool { return r.inspect().InFlight == manyOperations })
	require.Equal(r.t, before+manyOperations, r.seen().SqHead, "the kernel has them")
	return own
}

func cancelMany(r *rig, p *probe) {
	r.t.Helper()
	r.system.Root.Send(r.rm.PID(), &messages.CancelOwner{Owner: p.pid})
	for range manyOperations {
		require.ErrorIs(r.t, next[*messages.Completion](p).Err, unix.ECANCELED)
	}
	require.Equal(r.t, manyOperations, next[*messages.CancelResult](p).Count)
	after := r.inspect()
	require.Zero(r.t, after.InFlight+after.Queued)
	require.Equal(r.t, manyOperations, after.Slots, "the slots are used again")
}

// TestMemorySteady does the same work over and over: the subsystem may not
// hold more and more.
func TestMemorySteady(t *testing.T) {
	r := start(t)
	dir := t.TempDir()
	round := func() {
		for range 20 {
			require.NoError(t, mixedRound(r.ctx, r.c, dir+"/file"))
		}
		c := r.rm.NewClient()
		c.Close()
		p := r.probe()
		r.send(p, 1, &messages.Timeout{After: time.Hour})
		p.stop()
		eventually(t, "the orphan has ended", func() bool {
			in := r.inspect()
			return in.InFlight+in.Queued == 0
		})
	}
	for range 5 {
		round()
	}
	before := r.inspect()
	for range 20 {
		round()
	}
	eventually(t, "the dead are forgotten", func() bool { return r.inspect().Owners <= before.Owners })
	after := r.inspect()
	// One operation at a time, and at most one that was answered and whose
	// cancel the kernel has not answered yet.
	require.LessOrEqual(t, after.Slots, 2)
	require.Zero(t, after.Handles)
}
