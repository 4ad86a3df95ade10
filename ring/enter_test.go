//go:build linux

package ring

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
)

// What Enter does with each answer that a kernel may give, on a fake one.

func pushNops(t testing.TB, r *Ring, names ...UserData) {
	t.Helper()
	for _, name := range names {
		require.True(t, r.Push(name, ptr(PrepNop())))
	}
}

func completions(r *Ring) (names []UserData) {
	for cqe, ok := r.Peek(); ok; cqe, ok = r.Peek() {
		r.Advance()
		names = append(names, cqe.UserData)
	}
	return names
}

func TestEnterNothing(t *testing.T) {
	k, r := newFake(t)
	n, err := r.Enter()
	require.NoError(t, err)
	require.Zero(t, n)
	require.Empty(t, k.calls, "no system call")
	require.Zero(t, r.Enters())
}

func TestEnterPlain(t *testing.T) {
	k, r := newFake(t)
	pushNops(t, r, 1, 2, 3)
	require.Equal(t, k.head.Load(), k.tail.Load(), "nothing published by a push")
	n, err := r.Enter()
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.Equal(t, []fakeCall{{3, 0}}, k.calls, "no more work for the kernel than to submit")
	require.EqualValues(t, 1, r.Enters())
	require.Equal(t, []UserData{1, 2, 3}, completions(r))
}

func TestEnterInterrupted(t *testing.T) {
	k, r := newFake(t)
	pushNops(t, r, 1, 2, 3)
	// The first call is interrupted after it consumed one, the second at once.
	answers := []uint32{1, 0, 2}
	k.on = func(submit, _ uint32) (int, error) {
		take := answers[0]
		answers = answers[1:]
		k.consume(take)
		if len(answers) > 0 {
			return 0, syscall.EINTR
		}
		return int(take), nil
	}
	n, err := r.Enter()
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.Equal(t, []fakeCall{{3, 0}, {2, 0}, {2, 0}}, k.calls)
	require.Equal(t, []UserData{1, 2, 3}, completions(r))
}

func TestEnterInterruptedForever(t *testing.T) {
	k, r := newFake(t)
	pushNops(t, r, 1)
	k.on = func(uint32, uint32) (int, error) { return 0, syscall.EINTR }
	n, err := r.Enter()
	require.Equal(t, ErrBusy, err)
	require.Zero(t, n)
	require.Len(t, k.calls, interruptsMax)
	require.Equal(t, 1, r.Unsubmitted())
}

// After each of these the entries are still pushed, and the next enter has
// the kernel consume each exactly once.
func TestEnterBusy(t *testing.T) {
	for name, answer := range map[string]struct {
		takes uint32
		err   error
	}{
		"EAGAIN":                {0, syscall.EAGAIN},
		"EBUSY":                 {0, syscall.EBUSY},
		"nothing and no error":  {0, nil},
		"some, and then EAGAIN": {2, syscall.EAGAIN},
	} {
		t.Run(name, func(t *testing.T) {
			k, r := newFake(t)
			pushNops(t, r, 1, 2, 3)
			first := true
			k.on = func(uint32, uint32) (int, error) {
				if first && answer.takes > 0 {
					first = false
					return k.consume(answer.takes), nil
				}
				return 0, answer.err
			}
			n, err := r.Enter()
			require.Equal(t, ErrBusy, err)
			require.EqualValues(t, answer.takes, n)
			require.EqualValues(t, 3-answer.takes, r.Unsubmitted())

			k.on = nil
			n, err = r.Enter()
			require.NoError(t, err)
			require.EqualValues(t, 3-answer.takes, n)
			require.Equal(t, []UserData{1, 2, 3}, completions(r))
		})
	}
}

func TestEnterFatal(t *testing.T) {
	for _, errno := range []syscall.Errno{
		unix.EBADR, unix.EBADF, unix.ENXIO, unix.EOWNERDEAD, unix.EFAULT,
		unix.EINVAL, unix.EEXIST, unix.EBADFD, unix.EOPNOTSUPP, unix.ENOSYS,
	} {
		t.Run(errno.Error(), func(t *testing.T) {
			k, r := newFake(t)
			pushNops(t, r, 1, 2)
			k.on = func(uint32, uint32) (int, error) {
				k.consume(1)
				return 0, errno
			}
			n, err := r.Enter()
			var fatal *FatalError
			require.ErrorAs(t, err, &fatal)
			require.ErrorIs(t, err, errno)
			require.Contains(t, err.Error(), "io_uring_enter: ring lost: ")
			require.Equal(t, 1, n, "what the kernel took, it has")
			require.Equal(t, 1, r.Unsubmitted())
			require.Len(t, k.calls, 1)
		})
	}
}

func TestEnterLost(t *testing.T) {
	for name, lose := range map[string]func(*fakeKernel){
		"completions": func(k *fakeKernel) { k.overflow.Store(2) },
		"submissions": func(k *fakeKernel) { k.dropped.Store(2) },
	} {
		t.Run(name, func(t *testing.T) {
			k, r := newFake(t)
			pushNops(t, r, 1)
			lose(k)
			_, err := r.Enter()
			var fatal *FatalError
			require.ErrorAs(t, err, &fatal)
			require.ErrorIs(t, err, unix.EBADR)
			require.ErrorContains(t, err, "2 "+name)
			require.Empty(t, k.calls)
			require.EqualValues(t, 2, r.Dropped()+r.Overflowed())
			require.Equal(t, 1, r.Unsubmitted())
		})
	}
}

// The overflow list is flushed with the submission, and on its own when the
// kernel would take no submission: an enter that falls short looks at nothing
// else.
func TestEnterFlushes(t *testing.T) {
	k, r := newFake(t)
	k.flags.Store(sys.SQCQOverflow)
	require.True(t, r.Backlog())
	n, err := r.Enter()
	require.NoError(t, err)
	require.Zero(t, n)
	require.Equal(t, []fakeCall{{0, sys.EnterGetEvents}}, k.calls)

	k.calls = nil
	pushNops(t, r, 1)
	_, err = r.Enter()
	require.NoError(t, err)
	require.Equal(t, []fakeCall{{1, sys.EnterGetEvents}}, k.calls)

	k.calls = nil
	pushNops(t, r, 2)
	k.on = func(submit, _ uint32) (int, error) {
		if submit > 0 {
			return 0, syscall.EAGAIN
		}
		k.complete(99)
		return 0, nil
	}
	_, err = r.Enter()
	require.Equal(t, ErrBusy, err)
	require.Equal(t, []fakeCall{{1, sys.EnterGetEvents}, {0, sys.EnterGetEvents}}, k.calls)
	require.Equal(t, []UserData{1, 99}, completions(r))

	k.on = func(submit, _ uint32) (int, error) {
		if submit > 0 {
			return 0, syscall.EAGAIN
		}
		return 0, unix.EBADR
	}
	_, err = r.Enter()
	require.ErrorIs(t, err, unix.EBADR, "a loss that only the flush tells of")
}

// Task work that an enter does not bring is another thread's: it is no
// backlog, or whoever leaves while there is a backlog would spin.
func TestEnterTaskWorkOfOthers(t *testing.T) {
	k, r := newFake(t)
	k.flags.Store(sys.SQTaskrun)
	require.True(t, r.Backlog())
	_, err := r.Enter()
	require.NoError(t, err)
	require.Equal(t, []fakeCall{{0, sys.EnterGetEvents}}, k.calls)

	require.False(t, r.Backlog())
	pushNops(t, r, 1)
	_, err = r.Enter()
	require.NoError(t, err)
	require.Equal(t, fakeCall{1, 0}, k.calls[1])

	k.flags.Store(sys.SQTaskrun | sys.SQCQOverflow)
	completions(r)
	require.True(t, r.Backlog(), "the overflow list is for everyone")

	k.flags.Store(0)
	require.False(t, r.Backlog())
	k.flags.Store(sys.SQTaskrun)
	require.True(t, r.Backlog(), "new task work may be ours")
}

// While an Enter hangs there is no backlog that another would bring, which would
// hang as well, and Close leaves the mapping to it.
func TestEnterHangs(t *testing.T) {
	k, r := newFake(t)
	pushNops(t, r, 1, 2)
	entered, leave, left := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	k.on = func(submit, _ uint32) (int, error) {
		close(entered)
		<-leave
		return k.consume(submit), nil
	}
	go func() {
		_, err := r.Enter()
		left <- err
	}()
	<-entered

	k.flags.Store(sys.SQCQOverflow | sys.SQTaskrun)
	require.False(t, r.Backlog(), "nothing that an enter could bring now")
	k.complete(99) // by a kernel worker
	require.True(t, r.Backlog())

	require.NoError(t, r.Close())
	require.Zero(t, k.unmapped)
	_, err := r.Enter()
	require.ErrorIs(t, err, os.ErrClosed)

	close(leave)
	select {
	case err := <-left:
		require.NoError(t, err)
	case <-time.After(patience):
		t.Fatal("the hanging enter did not leave")
	}
	require.Equal(t, 2, k.unmapped)
}

func TestInvariants(t *testing.T) {
	broken := func(t *testing.T, what string, f func()) {
		t.Helper()
		defer func() {
			t.Helper()
			var invariant *InvariantError
			err, _ := recover().(error)
			require.True(t, errors.As(err, &invariant), "no InvariantError: %v", err)
			require.ErrorContains(t, invariant, what)
		}()
		f()
	}
	k, r := newFake(t)
	broken(t, "advance over one of 0", r.Advance)
	broken(t, "no known code", func() { r.Push(1, &Request{Code: codeCount}) })
	k.head.Add(1) // the kernel has consumed what nobody pushed
	broken(t, "pending in a submission queue", func() { r.Unsubmitted() })
	broken(t, "pending in a submission queue", func() { _, _ = r.Enter() })
	k.head.Add(^uint32(0))
	k.cqTail.Add(2*fakeEntries + 1)
	broken(t, "advance over one of 17", r.Advance)
	_, err := r.Enter()
	require.NoError(t, err, "a panic has not left an enter under way")
}

// TestRandomHistories drives the queues against a model of three lists: each
// request is in the queue, in the kernel, or completed, and nowhere twice.
func TestRandomHistories(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed ", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	k, r := newFake(t)
	var last UserData
	var queued, done []UserData
	k.on = func(submit, _ uint32) (int, error) {
		errnos := []error{nil, nil, syscall.EINTR, syscall.EAGAIN, syscall.EBUSY}
		room := 2*fakeEntries - r.cq.ready()
		n := k.consume(min(uint32(random.IntN(int(submit)+1)), room))
		if err := errnos[random.IntN(len(errnos))]; err != nil {
			return 0, err
		}
		return n, nil
	}
	for range 20_000 {
		switch random.IntN(5) {
		case 0, 1:
			if r.Push(last+1, ptr(PrepNop())) {
				last++
				queued = append(queued, last)
			} else {
				require.Len(t, queued, fakeEntries)
			}
		case 2:
			n, err := r.Enter()
			if err != nil {
				require.Equal(t, ErrBusy, err)
			} else {
				require.Equal(t, len(queued), n)
			}
			done, queued = append(done, queued[:n]...), queued[n:]
		case 3:
			var back []UserData
			r.TakeBack(func(name UserData) { back = append(back, name) })
			require.True(t, slices.Equal(queued, back), "queued %v, taken back %v", queued, back)
			queued = nil
		case 4:
			got := completions(r)
			require.True(t, slices.Equal(done, got), "consumed %v, completed %v", done, got)
			done = nil
		}
		require.Equal(t, len(queued), r.Unsubmitted())
		require.Equal(t, len(done) > 0, r.Backlog())
	}
}
