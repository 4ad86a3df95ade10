//go:build linux

package ring

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
	"github.com/ringmaster-io/ringmaster/test/leak"
)

func TestUserDataPacking(t *testing.T) {
	for _, kind := range []Kind{KindOp, KindCancel, KindInternal} {
		for _, slot := range []uint32{0, 1, SlotMax - 1} {
			for _, generation := range []uint64{0, 1, GenerationMax} {
				name := MakeUserData(kind, slot, generation)
				require.Equal(t, kind, name.Kind())
				require.Equal(t, slot, name.Slot())
				require.Equal(t, generation, name.Generation())
			}
		}
	}
	require.Equal(t, "1:5.7", MakeUserData(KindCancel, 5, 7).String())
	require.Equal(t, ^UserData(0), nameOfAllBits)
}

// nameOfAllBits is of a kind that there is not: it has each bit of a name set.
var nameOfAllBits = MakeUserData(3, SlotMax-1, GenerationMax)

// All of a request's name comes back.
func TestUserDataReturns(t *testing.T) {
	g := newRig(t, Options{})
	name := nameOfAllBits
	require.True(t, g.Push(name, ptr(PrepNop())))
	g.enter()
	cqe, ok := g.Peek()
	require.True(t, ok)
	require.Equal(t, CQE{UserData: name}, cqe)
	again, ok := g.Peek()
	require.True(t, ok)
	require.Equal(t, cqe, again, "not advanced, seen again")
	g.Advance()
	require.False(t, g.Backlog())
}

func TestSizes(t *testing.T) {
	g := newRig(t, Options{Entries: 5, Completions: 100})
	require.Equal(t, 8, g.Entries())
	require.Equal(t, 128, g.Completions())
	g = newRig(t, Options{})
	require.Equal(t, 128, g.Entries())
	require.Equal(t, 256, g.Completions())
	_, err := Open(Options{Entries: 8, Completions: 4})
	require.ErrorContains(t, err, "fewer")
	require.NotErrorIs(t, err, ErrUnavailable, "that is the caller's mistake")
}

func TestQueueFull(t *testing.T) {
	g := newRig(t, Options{Entries: 4})
	linked := PrepNop()
	linked.Linked = true
	for range 3 {
		g.push(PrepNop())
	}
	require.False(t, g.Push(0, &linked), "no room for its link timeout")
	require.Equal(t, 3, g.Unsubmitted())
	last := g.push(PrepNop())
	require.False(t, g.Push(0, ptr(PrepNop())))
	require.Equal(t, 4, g.Unsubmitted())
	g.enter()
	require.Zero(t, g.await(last))
	require.Len(t, g.got, 4)
}

// Completions that do not fit their queue are seen in Backlog, come by Enter,
// in order, and none is lost.
func TestOverflow(t *testing.T) {
	g := newRig(t, Options{Entries: 4, Completions: 4})
	var want []UserData
	for range 5 {
		for range 4 {
			want = append(want, g.push(PrepNop()))
		}
		n, err := g.Enter()
		require.NoError(t, err)
		require.Equal(t, 4, n)
	}
	for len(g.order) < len(want) {
		before := len(g.order)
		g.reap()
		require.Equal(t, before+4, len(g.order))
		require.Equal(t, len(g.order) < len(want), g.Backlog())
		_, err := g.Enter()
		require.NoError(t, err)
	}
	require.Equal(t, want, g.order)
	require.Zero(t, g.Overflowed(), "none was lost")
	entered := g.Enters()
	_, err := g.Enter()
	require.NoError(t, err)
	require.Equal(t, entered, g.Enters(), "nothing left to enter for")
}

func TestTakeBack(t *testing.T) {
	g := newRig(t, Options{Entries: 4})
	path := filepath.Join(t.TempDir(), "file")
	fd := openFile(t, path, unix.O_CREAT|unix.O_WRONLY|unix.O_APPEND)
	g.ok(PrepNop()) // the queue is not at its beginning

	want := []UserData{}
	for range 4 {
		want = append(want, g.push(PrepWrite(fd, []byte("never"), 0)))
	}
	var back []UserData
	g.TakeBack(func(name UserData) { back = append(back, name) })
	require.Equal(t, want, back, "oldest first")
	require.Zero(t, g.Unsubmitted())
	n, err := g.Enter()
	require.NoError(t, err)
	require.Zero(t, n)
	require.Equal(t, fdinfoNumber(t, g.fd, "SqHead"), fdinfoNumber(t, g.fd, "SqTail"))

	g.ok(PrepWrite(fd, []byte("once"), 0))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "once", string(content))
}

// refusingKernel is the running kernel, but for enters that answer an errno
// instead: before the kernel sees the call, or after.
type refusingKernel struct {
	sys.Kernel
	before, after error
	eventfd       int
}

func (k *refusingKernel) Enter(fd int, submit, flags uint32) (int, error) {
	if k.before != nil {
		return 0, k.before
	}
	n, err := k.Kernel.Enter(fd, submit, flags)
	if k.after != nil {
		err, k.after = k.after, nil
	}
	return n, err
}

func (k *refusingKernel) Eventfd() (int, error) {
	fd, err := k.Kernel.Eventfd()
	k.eventfd = fd
	return fd, err
}

// What the kernel refused stays published, and can be taken back or is run by
// the next enter, once; what it took before a signal came is not run again.
func TestRefusedAndRunOnce(t *testing.T) {
	kernel := &refusingKernel{}
	g := newRigOn(t, kernel, Options{Entries: 4})
	path := filepath.Join(t.TempDir(), "file")
	fd := openFile(t, path, unix.O_CREAT|unix.O_WRONLY|unix.O_APPEND)

	kernel.before = syscall.EAGAIN
	first, second := g.push(PrepWrite(fd, []byte("a"), 0)), g.push(PrepWrite(fd, []byte("b"), 0))
	for range 3 {
		n, err := g.Enter()
		require.Equal(t, ErrBusy, err)
		require.Zero(t, n)
		require.Equal(t, 2, g.Unsubmitted())
	}
	require.EqualValues(t, 2, fdinfoNumber(t, g.fd, "SqTail")-fdinfoNumber(t, g.fd, "SqHead"), "published")

	kernel.before, kernel.after = nil, syscall.EINTR
	n, err := g.Enter()
	require.NoError(t, err)
	require.Equal(t, 2, n)
	g.await(first)
	g.await(second)

	kernel.before = syscall.EAGAIN
	back := g.push(PrepWrite(fd, []byte("never"), 0))
	_, err = g.Enter()
	require.Equal(t, ErrBusy, err)
	g.TakeBack(func(name UserData) { require.Equal(t, back, name) })
	kernel.before = nil
	n, err = g.Enter()
	require.NoError(t, err)
	require.Zero(t, n)

	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, content, 2)
	require.ElementsMatch(t, []byte("ab"), content)
}

// A request that is malformed is consumed and answered; those behind it are
// consumed by the same enter.
func TestMalformedRequestStopsNothing(t *testing.T) {
	g := newRig(t, Options{})
	before, bad, after := g.push(PrepNop()), g.push(PrepLinkTimeout(time.Hour)), g.push(PrepNop())
	g.enter()
	require.EqualValues(t, 1, g.Enters())
	require.Zero(t, g.await(before))
	g.failed(unix.EINVAL, g.await(bad))
	require.Zero(t, g.await(after))
}

// The ring's own account agrees with ours.
func TestFdinfo(t *testing.T) {
	g := newRig(t, Options{Entries: 4})
	for range 3 {
		g.push(PrepNop())
		g.push(PrepNop())
		g.enter()
	}
	g.reap()
	require.EqualValues(t, 6, fdinfoNumber(t, g.fd, "SqHead"))
	require.EqualValues(t, 6, fdinfoNumber(t, g.fd, "SqTail"))
	require.EqualValues(t, 6, fdinfoNumber(t, g.fd, "CqHead"))
	require.EqualValues(t, 6, fdinfoNumber(t, g.fd, "CqTail"))
	require.EqualValues(t, 3, g.Enters())
}

// signals is how often the kernel has signalled on an eventfd nobody reads.
func signals(t *testing.T, eventfd int) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(fdinfo(t, eventfd)["eventfd-count"], 16, 64)
	require.NoError(t, err)
	return n
}

func TestWaitAndMask(t *testing.T) {
	kernel := &refusingKernel{}
	g := newRigOn(t, kernel, Options{})
	<-g.signal // the first call comes without a cause
	require.Zero(t, signals(t, kernel.eventfd))

	r, w := newPipe(t)
	name := g.push(PrepPoll(r, unix.POLLIN))
	g.enter()
	require.Zero(t, signals(t, kernel.eventfd), "nothing has completed")
	writePipe(t, w, "x")
	select {
	case <-g.signal:
	case <-time.After(patience):
		t.Fatal("the completion did not reach Wait")
	}
	require.EqualValues(t, unix.POLLIN, g.await(name)&unix.POLLIN)
	require.EqualValues(t, 1, signals(t, kernel.eventfd))

	g.Mask()
	for range 3 {
		g.ok(PrepNop())
	}
	require.EqualValues(t, 1, signals(t, kernel.eventfd), "masked")
	g.Unmask()
	name = g.push(PrepNop())
	g.enter()
	require.EqualValues(t, 2, signals(t, kernel.eventfd), "and not masked any more")
	select {
	case <-g.signal:
	case <-time.After(patience):
		t.Fatal("a second edge did not reach Wait, though nobody read the first")
	}
	require.Zero(t, g.await(name))
}

func TestWaitReturnsOnClose(t *testing.T) {
	r, err := Open(Options{})
	if err != nil {
		t.Skip(err)
	}
	ready, waited := make(chan struct{}), make(chan struct{}, 2)
	for range 2 {
		go func() {
			r.Wait(func() {
				select {
				case <-ready:
				default:
					close(ready)
				}
			})
			waited <- struct{}{}
		}()
	}
	<-ready
	require.NoError(t, r.Close())
	for range 2 {
		select {
		case <-waited:
		case <-time.After(patience):
			t.Fatal("Wait did not return")
		}
	}
	r.Wait(func() { t.Error("a closed ring signals nothing") })
	require.NoError(t, r.Close(), "a second time")
}

func TestAfterClose(t *testing.T) {
	r, err := open(sys.Kernel{}, Options{})
	if err != nil {
		t.Skip(err)
	}
	pushNops(t, r, 1)
	_, err = r.Enter()
	require.NoError(t, err)
	pushNops(t, r, 2)
	closeWhole(t, r) // with one completion that nobody has seen

	require.False(t, r.Push(3, ptr(PrepNop())))
	require.Zero(t, r.Unsubmitted())
	r.TakeBack(func(UserData) { t.Error("the queue is gone") })
	_, ok := r.Peek()
	require.False(t, ok)
	r.Advance()
	require.False(t, r.Backlog())
	r.Mask()
	r.Unmask()
	require.Zero(t, r.Dropped()+r.Overflowed())
	require.EqualValues(t, 1, r.Enters())
	_, err = r.Enter()
	require.ErrorIs(t, err, os.ErrClosed)
	var fatal *FatalError
	require.ErrorAs(t, err, &fatal)
}

// Who has given up the run token may still look at the backlog, beside Close.
func TestBacklogBesideClose(t *testing.T) {
	for range 200 {
		r, err := Open(Options{Entries: 1})
		if err != nil {
			t.Skip(err)
		}
		started, looked := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(looked)
			close(started)
			for !r.closed() {
				r.Backlog()
				r.Overflowed()
			}
		}()
		<-started
		require.NoError(t, r.Close())
		<-looked
		require.False(t, r.Backlog())
	}
	require.Zero(t, leak.RingMappings())
}

// Child processes do not get the mappings, and nobody keeps them.
func TestMappings(t *testing.T) {
	r, err := Open(Options{})
	if err != nil {
		t.Skip(err)
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	require.NoError(t, err)
	require.Equal(t, 2, leak.RingMappings())
	require.Equal(t, 2, dontForkMappings(string(smaps)))
	require.NoError(t, r.Close())
	require.Zero(t, leak.RingMappings())
}

// dontForkMappings counts mappings of rings that have the flag "dc".
func dontForkMappings(smaps string) (n int) {
	ring := false
	for line := range strings.Lines(smaps) {
		fields := strings.Fields(line)
		switch {
		case strings.HasSuffix(strings.TrimSpace(line), "[io_uring]"):
			ring = true
		case ring && fields[0] == "VmFlags:":
			ring = false
			for _, flag := range fields[1:] {
				if flag == "dc" {
					n++
				}
			}
		}
	}
	return n
}

// The hot path allocates nothing.
func TestAllocations(t *testing.T) {
	g := newRig(t, Options{})
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, make([]byte, 4096), 0o600))
	fd := openFile(t, path, unix.O_RDWR)
	buf := make([]byte, 4096)
	var request Request
	loop := func(request *Request) {
		g.Push(1, request)
		if _, err := g.Enter(); err != nil {
			t.Fatal(err)
		}
		for {
			if _, ok := g.Peek(); ok {
				g.Advance()
				return
			}
			if g.Backlog() {
				_, _ = g.Enter()
			}
		}
	}
	for name, make := range map[string]func() Request{
		"nop":     PrepNop,
		"read":    func() Request { return PrepRead(fd, buf, 0) },
		"write":   func() Request { return PrepWrite(fd, buf, 0) },
		"fsync":   func() Request { return PrepFsync(fd, true) },
		"poll":    func() Request { return PrepPoll(fd, unix.POLLIN) },
		"cancel":  func() Request { return PrepCancel(99) },
		"timeout": func() Request { return PrepTimeout(0) },
		"close":   func() Request { return PrepClose(-1) },
	} {
		require.Zero(t, testing.AllocsPerRun(100, func() {
			request = make()
			loop(&request)
		}), name)
	}
}
