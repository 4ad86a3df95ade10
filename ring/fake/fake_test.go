package fake_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/ring"
	"github.com/ringmaster-io/ringmaster/ring/fake"
	"github.com/ringmaster-io/ringmaster/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func name(slot uint32) ring.UserData { return ring.MakeUserData(ring.KindOp, slot, 1) }

func nop() *ring.Request {
	r := ring.PrepNop()
	return &r
}

// breach asserts that f breaks a rule of the seam, and that the kernel keeps
// the breach.
func breach(t *testing.T, k *fake.Kernel, f func()) {
	t.Helper()
	before := len(k.Faults())
	var invariant *ring.InvariantError
	func() {
		defer func() { invariant, _ = recover().(*ring.InvariantError) }()
		f()
	}()
	require.NotNil(t, invariant, "no panic")
	require.Len(t, k.Faults(), before+1)
	require.Equal(t, k.Faults()[before], invariant.What)
}

func TestNothingIsSeenBeforeEnter(t *testing.T) {
	k := fake.New(4)
	require.True(t, k.Push(name(1), nop()))
	require.Equal(t, 1, k.Unsubmitted())
	require.Empty(t, k.Consumed())
	require.Panics(t, func() { k.Complete(name(1), 0, 0) }, "it is not in flight yet")

	n, err := k.Enter()
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Zero(t, k.Unsubmitted())
	require.Len(t, k.InFlight(), 1)
	_, ok := k.Peek()
	require.False(t, ok, "it completes only when told")

	k.Complete(name(1), -7, 0)
	require.True(t, k.Backlog())
	for range 2 {
		cqe, ok := k.Peek()
		require.True(t, ok)
		require.Equal(t, ring.CQE{UserData: name(1), Res: -7}, cqe, "seen again until Advance")
	}
	k.Advance()
	require.False(t, k.Backlog())
	require.Panics(t, func() { k.Complete(name(1), 0, 0) }, "it completes once")
	require.NoError(t, k.Close())
}

func TestMoreKeepsItInFlight(t *testing.T) {
	k := fake.New(4)
	k.Push(name(1), nop())
	_, _ = k.Enter()
	k.Complete(name(1), 1, ring.FlagMore)
	k.Complete(name(1), 2, 0)
	require.Empty(t, k.InFlight())
}

func TestFullQueueRefuses(t *testing.T) {
	k := fake.New(2)
	require.True(t, k.Push(name(1), nop()))
	linked := ring.PrepNop()
	linked.Linked = true
	require.False(t, k.Push(name(2), &linked), "no room for the two of a chain")
	require.True(t, k.Push(name(2), nop()))
	require.False(t, k.Push(name(3), nop()))
	require.Equal(t, 2, k.Unsubmitted())
}

func TestScriptedEnter(t *testing.T) {
	k := fake.New(4)
	lost := &ring.FatalError{Doing: "entering"}
	k.Script(fake.Enter{Err: ring.ErrBusy}, fake.Enter{Consume: 1}, fake.Enter{Consume: 1, Err: lost})
	for slot := range uint32(4) {
		k.Push(name(slot), nop())
	}
	n, err := k.Enter()
	require.Zero(t, n)
	require.ErrorIs(t, err, ring.ErrBusy)
	n, err = k.Enter()
	require.Equal(t, 1, n)
	require.NoError(t, err)
	n, err = k.Enter()
	require.Equal(t, 1, n)
	require.ErrorAs(t, err, &lost)
	require.Equal(t, 2, k.Unsubmitted())
	require.EqualValues(t, 3, k.Enters())

	var back []ring.UserData
	k.TakeBack(func(u ring.UserData) { back = append(back, u) })
	require.Equal(t, []ring.UserData{name(2), name(3)}, back, "oldest first, and not what was consumed")
	require.Zero(t, k.Unsubmitted())
}

func TestHeldCompletionsComeTogether(t *testing.T) {
	k := fake.New(4)
	k.Push(name(1), nop())
	k.Push(name(2), nop())
	_, _ = k.Enter()
	k.Hold()
	k.Complete(name(2), 0, 0)
	k.Complete(name(1), 0, 0)
	require.False(t, k.Backlog())
	k.Release()
	cqe, _ := k.Peek()
	require.Equal(t, name(2), cqe.UserData)
}

func TestWaitIsSignalledUnlessMasked(t *testing.T) {
	k := fake.New(4)
	signals, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		k.Wait(func() { signals <- struct{}{} })
	}()
	k.Mask()
	k.Forge(ring.CQE{UserData: name(1)})
	k.Unmask()
	require.True(t, k.Backlog(), "what came while it was masked must be looked for")
	k.Forge(ring.CQE{UserData: name(2)})
	<-signals
	select {
	case <-signals:
		t.Fatal("one signal too many")
	default:
	}
	k.Peek()
	k.Advance()
	k.Peek()
	k.Advance()
	require.NoError(t, k.Close())
	<-done
}

func TestBreachesPanic(t *testing.T) {
	t.Run("advance without peek", func(t *testing.T) {
		k := fake.New(4)
		breach(t, k, k.Advance)
		k.Forge(ring.CQE{})
		k.Peek()
		k.Advance()
		breach(t, k, k.Advance)
	})
	t.Run("after close", func(t *testing.T) {
		k := fake.New(4)
		require.NoError(t, k.Close())
		require.NoError(t, k.Close(), "closing twice is allowed")
		breach(t, k, func() { k.Push(name(1), nop()) })
		breach(t, k, func() { _, _ = k.Enter() })
		breach(t, k, k.Mask)
	})
	t.Run("pushed twice", func(t *testing.T) {
		k := fake.New(4)
		k.Push(name(1), nop())
		breach(t, k, func() { k.Push(name(1), nop()) })
		_, _ = k.Enter()
		breach(t, k, func() { k.Push(name(1), nop()) })
	})
	t.Run("two at once", func(t *testing.T) {
		k := fake.New(4)
		release, done := k.Block(), make(chan struct{})
		go func() {
			defer close(done)
			_, _ = k.Enter()
		}()
		k.Await(t, 1)
		require.NotPanics(t, func() { k.Peek() }, "completions are another's")
		breach(t, k, func() { k.Push(name(1), nop()) })
		release()
		<-done
		require.NotPanics(t, func() { k.Push(name(1), nop()) })
	})
	t.Run("closed with a request in flight", func(t *testing.T) {
		k := fake.New(4)
		k.Push(name(1), nop())
		_, _ = k.Enter()
		require.NoError(t, k.Close())
		require.Len(t, k.Faults(), 1, "and nobody asks what becomes of it")
		k.Vanish()
		k.AwaitGone(func() {})
		require.Empty(t, k.Faults())
	})
}

// asked has a goroutine ask AwaitGone, and gives what tells whether it has an
// answer once all goroutines have come as far as they can.
func asked(k *fake.Kernel) (answered func() bool) {
	var gone atomic.Bool
	go k.AwaitGone(func() { gone.Store(true) })
	return func() bool {
		synctest.Wait()
		return gone.Load()
	}
}

func TestAwaitGone(t *testing.T) {
	for what, end := range map[string]func(*fake.Kernel){
		"when the test says so":               (*fake.Kernel).Vanish,
		"when the last request has completed": func(k *fake.Kernel) { k.Complete(name(1), 0, 0) },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := fake.New(4)
				k.Push(name(1), nop())
				k.Push(name(2), nop())
				_, _ = k.Enter()
				before := asked(k)
				require.False(t, before())
				require.NoError(t, k.Close())
				require.Empty(t, k.Faults(), "somebody has asked")
				k.Complete(name(2), 0, 0)
				after := asked(k)
				require.False(t, before() || after())
				end(k)
				require.True(t, before() && after())
				require.Empty(t, k.InFlight())
			})
		})
	}
	t.Run("at Close if nothing is in flight", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := fake.New(4)
			gone := asked(k)
			k.Vanish()
			require.False(t, gone())
			require.NoError(t, k.Close())
			require.True(t, gone())
		})
	})
}

func TestChangedMemoryIsFound(t *testing.T) {
	buf := []byte("payload")
	for what, r := range map[string]ring.Request{
		"write":  ring.PrepWrite(3, buf, 0),
		"read":   ring.PrepRead(3, buf, 0),
		"writev": ring.PrepWriteV(3, [][]byte{buf[:2], buf[2:]}, 0),
	} {
		t.Run(what, func(t *testing.T) {
			k := fake.New(4)
			k.Push(name(1), &r)
			k.Push(name(2), &r)
			_, _ = k.Enter()
			k.Complete(name(2), 0, 0)
			buf[0] ^= 0xff
			breach(t, k, func() { k.Complete(name(1), 0, 0) })
			breach(t, k, k.Vanish)
			buf[0] ^= 0xff
			k.Complete(name(1), 0, 0)
		})
	}
}

func TestCompleteRead(t *testing.T) {
	k := fake.New(4)
	buf := make([]byte, 4)
	r := ring.PrepRead(3, buf, 0)
	k.Push(name(1), &r)
	_, _ = k.Enter()
	k.CompleteRead(k.Next(t, ring.CodeRead), "abc")
	cqe, _ := k.Peek()
	require.EqualValues(t, 3, cqe.Res)
	require.Equal(t, "abc\x00", string(buf))
}

func TestNextGivesEachOnce(t *testing.T) {
	k := fake.New(4)
	for slot := range uint32(3) {
		k.Push(name(slot), nop())
	}
	go func() { _, _ = k.Enter() }()
	for slot := range uint32(3) {
		require.Equal(t, name(slot), k.Next(t, ring.CodeNop).Name)
	}
	_, ok := k.Peek()
	require.False(t, ok)
}

func ExampleKernel() {
	k := fake.New(8)
	k.OnTaken(func(taken *fake.Taken) { k.Complete(taken.Name, 42, 0) })

	request := ring.PrepNop()
	k.Push(ring.MakeUserData(ring.KindOp, 0, 1), &request)
	_, _ = k.Enter()
	cqe, _ := k.Peek()
	fmt.Println(cqe.UserData, cqe.Res)
	// Output: 0:0.1 42
}
