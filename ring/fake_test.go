//go:build linux

package ring

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
)

// fakeKernel is a kernel over plain heap memory: it consumes what a test has
// it consume, and answers an enter as the test says.
type fakeKernel struct {
	sys.Kernel // for the eventfd and the pipe
	mem, sqes  []byte
	params     sys.Params

	head, tail, flags, dropped, cqTail, overflow *atomic.Uint32
	entries                                      []sys.SQE
	cqes                                         []sys.CQE

	// on answers an enter; nil consumes all.
	on       func(submit, flags uint32) (int, error)
	calls    []fakeCall
	unmapped int
	closed   int
}

type fakeCall struct{ submit, flags uint32 }

const (
	fakeFD      = -7
	fakeEntries = 8
)

// newFake opens a ring on a fake kernel. Its queues begin just before the
// 32-bit indices wrap around.
func newFake(t *testing.T) (*fakeKernel, *Ring) {
	t.Helper()
	k := &fakeKernel{mem: make([]byte, 4096), sqes: make([]byte, fakeEntries*sys.SQESize)}
	k.params = sys.Params{
		SQEntries: fakeEntries,
		CQEntries: 2 * fakeEntries,
		Features:  sys.FeatureSingleMmap | sys.FeatureNoDrop | sys.FeatureSubmitStable | sys.FeatureExtArg,
		SQOff:     sys.SQOffsets{Head: 0, Tail: 4, RingMask: 8, RingEntries: 12, Flags: 16, Dropped: 20, Array: 64},
		CQOff:     sys.CQOffsets{Head: 24, Tail: 28, RingMask: 32, RingEntries: 36, Overflow: 40, Flags: 44, CQEs: 128},
	}
	word := func(offset uint32) *atomic.Uint32 {
		w, err := sys.Word(k.mem, offset)
		require.NoError(t, err)
		return w
	}
	k.head, k.tail, k.flags, k.dropped = word(0), word(4), word(16), word(20)
	k.cqTail, k.overflow = word(28), word(40)
	word(8).Store(fakeEntries - 1)
	word(12).Store(fakeEntries)
	word(32).Store(2*fakeEntries - 1)
	word(36).Store(2 * fakeEntries)
	for _, index := range []uint32{0, 4, 24, 28} {
		word(index).Store(1<<32 - 3)
	}
	var err error
	k.entries, err = sys.SQEs(k.sqes, fakeEntries)
	require.NoError(t, err)
	k.cqes, err = sys.CQEs(k.mem, 128, 2*fakeEntries)
	require.NoError(t, err)

	r, err := open(k, Options{Entries: fakeEntries})
	require.NoError(t, err)
	t.Cleanup(func() {
		closeWhole(t, r)
		require.Equal(t, 2, k.unmapped, "mappings taken down")
		require.Equal(t, 1, k.closed, "descriptors closed")
	})
	return k, r
}

func (k *fakeKernel) Setup(_ uint32, params *sys.Params) (int, error) {
	k.params.Flags = params.Flags
	*params = k.params
	return fakeFD, nil
}

func (k *fakeKernel) Map(_ int, offset int64, _ int) ([]byte, error) {
	if offset == sys.OffsetSQEs {
		return k.sqes, nil
	}
	return k.mem, nil
}

func (k *fakeKernel) DontFork([]byte) error              { return nil }
func (k *fakeKernel) Unmap([]byte) error                 { k.unmapped++; return nil }
func (k *fakeKernel) Probe(int, *sys.Probe) error        { return nil }
func (k *fakeKernel) RegisterFile(int, int) error        { return nil }
func (k *fakeKernel) RegisterEventfd(int, int) error     { return nil }
func (k *fakeKernel) LimitWorkers(int, *[2]uint32) error { return nil }

func (k *fakeKernel) Close(fd int) error {
	if fd == fakeFD {
		k.closed++
		return nil
	}
	return k.Kernel.Close(fd)
}

func (k *fakeKernel) Enter(_ int, submit, flags uint32) (int, error) {
	k.calls = append(k.calls, fakeCall{submit, flags})
	if k.on != nil {
		return k.on(submit, flags)
	}
	return k.consume(submit), nil
}

// consume takes up to n published entries and completes each at once.
func (k *fakeKernel) consume(n uint32) int {
	n = min(n, k.tail.Load()-k.head.Load())
	for range n {
		head := k.head.Load()
		k.complete(k.entries[head%fakeEntries].UserData)
		k.head.Store(head + 1)
	}
	return int(n)
}

func (k *fakeKernel) complete(name uint64) {
	tail := k.cqTail.Load()
	k.cqes[tail%(2*fakeEntries)] = sys.CQE{UserData: name}
	k.cqTail.Store(tail + 1)
}
