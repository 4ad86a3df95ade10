package sim_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/sim"
)

// read is a read as it is to be issued for a regular file.
func read(fd int32, buf []byte, off uint64) ring.Request {
	r := ring.PrepRead(fd, buf, off)
	r.NoWait = true
	return r
}

// async has a kernel worker perform a request.
func async(r ring.Request) ring.Request {
	r.Async = true
	return r
}

func TestReadIsTheNodesContent(t *testing.T) {
	g := newRig(t, sim.Profile{})
	node := sim.NodeAt("/fast/f1")
	require.Equal(t, sim.Regular, node.Kind)
	fd := g.open("/fast/f1", unix.O_RDONLY)
	buf := make([]byte, 50)
	require.EqualValues(t, 50, g.result(g.submit(read(fd, buf, 7))))
	for i, b := range buf {
		require.Equal(t, node.Byte(7+int64(i)), b)
	}
	require.Zero(t, g.result(g.submit(read(fd, buf, uint64(node.Size)))), "at the end there is nothing")
	require.EqualValues(t, 3, g.result(g.submit(read(fd, buf, uint64(node.Size)-3))))
	g.whole()
}

func TestVectors(t *testing.T) {
	g := newRig(t, sim.Profile{})
	node := sim.NodeAt("/fast/f1")
	fd := g.open("/fast/f1", unix.O_RDWR)
	bufs := [][]byte{make([]byte, 3), make([]byte, 5)}
	require.EqualValues(t, 8, g.result(g.soon(async(ring.PrepReadV(fd, bufs, 1)))))
	require.Equal(t, node.Byte(1), bufs[0][0])
	require.Equal(t, node.Byte(8), bufs[1][4])
	g.whole()
}

func TestStreamGoesOn(t *testing.T) {
	g := newRig(t, sim.Profile{})
	node := sim.NodeAt("/fast/s1")
	fd := g.open("/fast/s1", unix.O_RDONLY)
	buf := make([]byte, 16)
	for part := range int64(3) {
		require.EqualValues(t, 16, g.result(g.submit(ring.PrepRead(fd, buf, ring.StreamOffset))))
		require.Equal(t, node.Byte(16*part), buf[0])
	}
	g.whole()
}

func TestShortAndFailed(t *testing.T) {
	g := newRig(t, sim.Profile{})
	fd := g.open("/fast/f1", unix.O_RDONLY)
	g.Profile.Short = 1000
	n := g.result(g.submit(read(fd, make([]byte, 100), 0)))
	require.Positive(t, n)
	require.Less(t, n, int32(100))
	for _, c := range []struct {
		set   func(*sim.Profile)
		errno unix.Errno
	}{
		{func(p *sim.Profile) { p.Errno = 1000 }, unix.EIO},
		{func(p *sim.Profile) { p.NoMemory = 1000 }, unix.ENOMEM},
		{func(p *sim.Profile) { p.Withdraw = 1000 }, unix.ECANCELED},
		{func(p *sim.Profile) { p.Interrupt = 1000 }, unix.EINTR},
		{func(p *sim.Profile) { p.Again = 1000 }, unix.EAGAIN},
	} {
		c.set(&g.Profile)
		require.Equal(t, -int32(c.errno), g.result(g.submit(read(fd, make([]byte, 100), 0))))
	}
	g.whole()
}

func TestBlindDeviceCannotBeToldNotToWait(t *testing.T) {
	g := newRig(t, sim.Profile{})
	fd := g.open("/blind/f1", unix.O_RDONLY)
	require.Equal(t, -int32(unix.EOPNOTSUPP), g.result(g.submit(read(fd, make([]byte, 10), 0))))
	g.whole()
}

func TestOpenFails(t *testing.T) {
	g := newRig(t, sim.Profile{})
	for _, c := range []struct {
		path  string
		flags int
		errno unix.Errno
	}{
		{"/fast/n1", unix.O_RDONLY, unix.ENOENT},
		{"/fast/f1", unix.O_CREAT | unix.O_EXCL, unix.EEXIST},
		{"/fast/f1", unix.O_DIRECTORY, unix.ENOTDIR},
		{"/fast/d1", unix.O_WRONLY, unix.EISDIR},
		{"/fast/l1", unix.O_RDONLY, unix.ELOOP},
	} {
		got := g.result(g.submit(ring.PrepOpen(ring.NoDir, c.path, c.flags, 0o600, 0)))
		require.Equal(t, -int32(c.errno), got, c.path)
	}
	require.Empty(t, g.OpenDescriptors())
	g.whole()
}

func TestDescriptorsAreReused(t *testing.T) {
	g := newRig(t, sim.Profile{})
	first, second := g.open("/fast/f1", 0), g.open("/fast/f2", 0)
	require.NotEqual(t, first, second)
	require.Zero(t, g.result(g.submit(ring.PrepClose(first))))
	require.Equal(t, first, g.open("/fast/f3", 0), "the lowest free number is the next")
	require.Equal(t, "/fast/f3", g.At(first).Node.Path)
	require.Len(t, g.OpenDescriptors(), 2)
	require.Equal(t, 3, g.Opened())
	g.whole()
}

func TestDescriptorRules(t *testing.T) {
	for what, break_ := range map[string]func(g *rig, fd int32){
		"which is not open": func(g *rig, fd int32) {
			g.submit(ring.PrepClose(fd))
			g.push(ring.PrepFsync(fd, false))
		},
		"is to be closed, and 1 requests": func(g *rig, fd int32) {
			g.push(async(ring.PrepFsync(fd, false)))
			g.push(ring.PrepClose(fd))
		},
		"two reads of /fast/s1 at a time": func(g *rig, fd int32) {
			g.push(ring.PrepRead(fd, make([]byte, 10), ring.StreamOffset))
			g.push(ring.PrepRead(fd, make([]byte, 10), ring.StreamOffset))
		},
		"two writes of /fast/s1 at a time": func(g *rig, fd int32) {
			g.push(ring.PrepWrite(fd, make([]byte, 10), ring.StreamOffset))
			g.push(ring.PrepWrite(fd, make([]byte, 10), ring.StreamOffset))
		},
		"may have its submission wait": func(g *rig, _ int32) {
			disk := g.open("/fast/b1", unix.O_RDONLY)
			g.submit(ring.PrepRead(disk, make([]byte, 10), 0))
		},
	} {
		t.Run(what, func(t *testing.T) {
			g := newRig(t, sim.Profile{})
			break_(g, g.open("/fast/s1", unix.O_RDWR))
			g.broken(what)
		})
	}
}

func TestMemoryIsTheKernels(t *testing.T) {
	g := newRig(t, sim.Profile{Waits: 1000})
	fd := g.open("/fast/s1", unix.O_RDWR)
	buf := make([]byte, 10)
	require.False(t, g.Owned(buf))
	g.push(ring.PrepRead(fd, buf, ring.StreamOffset))
	require.True(t, g.Owned(buf))
	require.True(t, g.Owned(buf[5:]), "a part of it is the same memory")
	g.k.TakeBack(func(ring.UserData) {})
	require.False(t, g.Owned(buf))
	g.submit(ring.PrepRead(fd, buf, ring.StreamOffset))
	require.True(t, g.Owned(buf))
	g.Thaw()
	drain(t, g.World)
	require.False(t, g.Owned(buf))
	require.Len(t, g.reap(), 1)
	g.whole()
}

func TestChangedMemoryIsNoticed(t *testing.T) {
	for what, request := range map[string]func(fd int32, buf []byte) ring.Request{
		"read":   func(fd int32, buf []byte) ring.Request { return ring.PrepRead(fd, buf, ring.StreamOffset) },
		"write":  func(fd int32, buf []byte) ring.Request { return ring.PrepWrite(fd, buf, ring.StreamOffset) },
		"writev": func(fd int32, buf []byte) ring.Request { return ring.PrepWriteV(fd, [][]byte{buf}, ring.StreamOffset) },
	} {
		t.Run(what, func(t *testing.T) {
			g := newRig(t, sim.Profile{Soon: 1000})
			fd := g.result(g.soon(ring.PrepOpen(ring.NoDir, "/fast/s1", unix.O_RDWR, 0, 0)))
			buf := make([]byte, 10)
			g.submit(request(fd, buf))
			buf[9]++
			drain(t, g.World)
			g.broken("was changed while the kernel had it")
		})
	}
}

// soon is submit for a request that ends after the Enter.
func (g *rig) soon(r ring.Request) ring.UserData {
	g.t.Helper()
	name := g.submit(r)
	drain(g.t, g.World)
	return name
}

func TestKernelTouchesBuffersEarly(t *testing.T) {
	g := newRig(t, sim.Profile{Touch: 1000, Waits: 1000})
	fd := g.open("/fast/s1", unix.O_RDONLY)
	buf := make([]byte, 10)
	g.submit(ring.PrepRead(fd, buf, ring.StreamOffset))
	drain(t, g.World)
	require.NotEqual(t, make([]byte, 10), buf)
	require.Empty(t, g.reap())
	g.whole()
}

func TestTimeoutTakesItsTime(t *testing.T) {
	g := newRig(t, sim.Profile{})
	began := g.Now()
	name := g.soon(ring.PrepTimeout(time.Minute))
	require.Equal(t, ring.Expired, g.result(name))
	require.Equal(t, time.Minute, g.Now().Sub(began))
	g.whole()
}

func TestUpdatesAndTheirEnd(t *testing.T) {
	g := newRig(t, sim.Profile{Update: 1000})
	fd := g.open("/fast/s1", unix.O_RDONLY)
	name := g.soon(ring.PrepPoll(fd, unix.POLLIN))
	seen := g.reap()
	require.Greater(t, len(seen), 1)
	for i, cqe := range seen {
		require.Equal(t, name, cqe.UserData)
		require.Equal(t, i < len(seen)-1, cqe.More())
	}
	g.whole()
}

func TestStat(t *testing.T) {
	g := newRig(t, sim.Profile{})
	r := ring.PrepStat(ring.NoDir, "/fast/f1", 0)
	require.Zero(t, g.result(g.submit(r)))
	require.Equal(t, sim.NodeAt("/fast/f1").Inode, r.Statx().Inode)
	require.Equal(t, -int32(unix.ENOENT), g.result(g.submit(ring.PrepStat(ring.NoDir, "/fast/n1", 0))))
	dir := g.open("/fast/d1", unix.O_RDONLY)
	r = ring.PrepStat(dir, "f7", 0)
	require.Zero(t, g.result(g.submit(r)))
	require.Equal(t, sim.NodeAt("/fast/d1/f7").Inode, r.Statx().Inode)
	g.whole()
}
