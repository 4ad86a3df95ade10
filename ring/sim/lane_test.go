package sim_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/sim"
)

// bench is a lane, and what it gave back.
type bench struct {
	*rig
	lane ring.Blocking
	done []*ring.Job
}

func newBench(t *testing.T, profile sim.Profile, workers, backlog int) *bench {
	t.Helper()
	b := &bench{rig: newRig(t, profile)}
	b.lane = b.OpenLane(workers, backlog, func(j *ring.Job) { b.done = append(b.done, j) })
	return b
}

func TestLaneInOrder(t *testing.T) {
	b := newBench(t, sim.Profile{}, 1, 10)
	dir := b.open("/fast/d1", unix.O_RDONLY)
	first := &ring.Job{Call: ring.CallReadDir, FD: dir, Limit: 1}
	second := &ring.Job{Call: ring.CallReadLink, FD: ring.NoDir, Path: "/fast/l1"}
	require.True(t, b.lane.Submit(first))
	require.True(t, b.lane.Submit(second))
	require.Equal(t, 2, b.Jobs())
	drain(t, b.World)
	require.Equal(t, []*ring.Job{first, second}, b.done)
	require.Equal(t, sim.NodeAt("/fast/l1").Target(), second.Target)
	require.Len(t, first.Entries, min(1, sim.NodeAt("/fast/d1").Entries()))
	require.Zero(t, b.Jobs())
	b.whole()
}

func TestReadDirGoesOn(t *testing.T) {
	b := newBench(t, sim.Profile{}, 1, 10)
	path := "/fast/d1"
	for sim.NodeAt(path).Entries() < 3 {
		path += "d"
	}
	dir := b.open(path, unix.O_RDONLY)
	seen := map[string]bool{}
	for range sim.NodeAt(path).Entries() {
		j := &ring.Job{Call: ring.CallReadDir, FD: dir, Limit: 1}
		require.True(t, b.lane.Submit(j))
		drain(t, b.World)
		require.EqualValues(t, 1, j.Res)
		seen[j.Entries[0].Name] = true
	}
	require.Len(t, seen, sim.NodeAt(path).Entries())
	b.whole()
}

func TestLaneIsBounded(t *testing.T) {
	b := newBench(t, sim.Profile{}, 1, 1)
	job := func() *ring.Job { return &ring.Job{Call: ring.CallReadLink, FD: ring.NoDir, Path: "/fast/l1"} }
	require.True(t, b.lane.Submit(job()))
	require.True(t, b.lane.Submit(job()))
	require.False(t, b.lane.Submit(job()))
	drain(t, b.World)
	require.True(t, b.lane.Submit(job()))
	b.whole()
}

func TestLaneWithdraws(t *testing.T) {
	b := newBench(t, sim.Profile{}, 1, 10)
	name := ring.MakeUserData(ring.KindOp, 5, 1)
	require.True(t, b.lane.Submit(&ring.Job{Call: ring.CallReadLink, FD: ring.NoDir, Path: "/fast/l1", UserData: name}))
	require.True(t, b.lane.Withdraw(name))
	require.False(t, b.lane.Withdraw(name))
	drain(t, b.World)
	require.Empty(t, b.done)
	b.whole()
}

func TestLaneCloses(t *testing.T) {
	b := newBench(t, sim.Profile{Hangs: 1000}, 1, 10)
	hangs := &ring.Job{Call: ring.CallReadLink, FD: ring.NoDir, Path: "/slow/l1"}
	waits := &ring.Job{Call: ring.CallReadLink, FD: ring.NoDir, Path: "/fast/l1"}
	require.True(t, b.lane.Submit(hangs))
	drain(t, b.World)
	require.True(t, b.lane.Submit(waits))
	require.Equal(t, []*ring.Job{waits}, b.lane.Close())
	require.False(t, b.lane.Submit(waits))
	left := false
	b.lane.Left(func() { left = true })
	drain(t, b.World)
	require.False(t, left, "a call that hangs keeps its worker")
	b.Thaw()
	drain(t, b.World)
	require.True(t, left)
	require.Equal(t, []*ring.Job{hangs}, b.done)
	require.True(t, b.Lanes()[0].Ended())
	b.whole()
}

func TestLaneClosesDescriptors(t *testing.T) {
	b := newBench(t, sim.Profile{}, 2, 10)
	fd := b.open("/fast/f1", unix.O_RDONLY)
	require.True(t, b.lane.Submit(&ring.Job{Call: ring.CallCloseFD, FD: fd}))
	drain(t, b.World)
	require.Empty(t, b.OpenDescriptors())
	b.whole()
	require.True(t, b.lane.Submit(&ring.Job{Call: ring.CallCloseFD, FD: fd}))
	b.broken("which is not open")
}

func TestLaneErrors(t *testing.T) {
	b := newBench(t, sim.Profile{LaneErr: 1000}, 1, 10)
	j := &ring.Job{Call: ring.CallReadLink, FD: ring.NoDir, Path: "/fast/l1"}
	require.True(t, b.lane.Submit(j))
	drain(t, b.World)
	require.Equal(t, -int32(unix.EIO), j.Res)
	b.whole()
}

func TestDescribe(t *testing.T) {
	g := newRig(t, sim.Profile{})
	var st ring.Statx
	require.NoError(t, g.Describe(g.open("/blind/f1", 0), &st))
	require.EqualValues(t, unix.S_IFREG, st.Mode&unix.S_IFMT)
	device := st.DeviceMajor
	require.NoError(t, g.Describe(g.open("/slow/c1", 0), &st))
	require.EqualValues(t, unix.S_IFCHR, st.Mode&unix.S_IFMT)
	require.NotEqual(t, device, st.DeviceMajor)
	g.whole()
	require.Error(t, g.Describe(99, &st))
	g.broken("was asked about, and is not open")
}

func TestDuplicate(t *testing.T) {
	g := newRig(t, sim.Profile{})
	fd, flags, err := g.Duplicate(g.NewFile("/fast/s1", os.O_WRONLY))
	require.NoError(t, err)
	require.Equal(t, os.O_WRONLY, flags)
	require.Equal(t, "/fast/s1", g.At(fd).Node.Path)
	_, _, err = g.Duplicate(new(os.File))
	require.Error(t, err)
	g.whole()
}
