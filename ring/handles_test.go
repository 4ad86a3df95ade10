package ring

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestHandleIsFoundByBothHalves(t *testing.T) {
	h := NewHandles[string]()
	f := h.Add(7)
	f.Payload = "seven"
	got, err := h.Find(f.ID(), f.Key())
	require.NoError(t, err)
	require.Same(t, f, got)
	require.EqualValues(t, 7, got.FD)
	require.Equal(t, 1, h.Live())
}

func TestHandleThatWasNeverIssued(t *testing.T) {
	h := NewHandles[int]()
	_, err := h.Find(0, 0)
	require.ErrorIs(t, err, ErrBadHandle, "in an empty table")
	f := h.Add(7)
	for what, forged := range map[string][2]uint64{
		"zero":             {0, 0},
		"zero key":         {f.ID(), 0},
		"wrong key":        {f.ID(), f.Key() ^ 2},
		"no key bit":       {f.ID(), f.Key() &^ 1},
		"next generation":  {f.ID() + 1<<32, f.Key()},
		"last generation":  {f.ID() - 1<<32, f.Key()},
		"other slot":       {f.ID() + 1, f.Key()},
		"greatest slot":    {f.ID() | 0xffffffff, f.Key()},
		"all ones":         {^uint64(0), ^uint64(0)},
		"descriptor as id": {7, f.Key()},
	} {
		_, err := h.Find(forged[0], forged[1])
		require.ErrorIs(t, err, ErrBadHandle, what)
	}
}

func TestHandleReuseIsANewLife(t *testing.T) {
	h := NewHandles[string]()
	old := h.Add(7)
	old.Payload = "old"
	require.True(t, old.Close())
	_, err := h.Find(old.ID(), old.Key())
	require.ErrorIs(t, err, ErrHandleClosed, "closed, and its place is not another's yet")
	h.Forget(old)
	require.Zero(t, h.Live())
	_, err = h.Find(old.ID(), old.Key())
	require.ErrorIs(t, err, ErrHandleClosed)

	young := h.Add(8)
	require.Equal(t, uint32(old.ID()), uint32(young.ID()), "the place is used again")
	require.NotEqual(t, old.ID(), young.ID())
	require.NotEqual(t, old.Key(), young.Key())
	require.Empty(t, young.Payload)
	_, err = h.Find(old.ID(), old.Key())
	require.ErrorIs(t, err, ErrBadHandle)
	_, err = h.Find(young.ID(), old.Key())
	require.ErrorIs(t, err, ErrBadHandle)
	_, err = h.Find(old.ID(), young.Key())
	require.ErrorIs(t, err, ErrBadHandle)
	require.True(t, old.Closed(), "whoever kept the old file sees that it is dead")
	require.False(t, young.Closed())
}

func TestHandleCloseWaitsForHolds(t *testing.T) {
	h := NewHandles[int]()
	f := h.Add(7)
	f.Hold()
	f.Hold()
	require.True(t, f.Held())
	require.False(t, f.Close(), "two operations hold it")
	require.False(t, f.Close(), "closed already")
	require.Equal(t, 1, h.Live(), "the descriptor is open still")
	_, err := h.Find(f.ID(), f.Key())
	require.ErrorIs(t, err, ErrHandleClosed)
	requireInvariant(t, "forgotten while in use", func() { h.Forget(f) })
	require.False(t, f.Drop())
	require.True(t, f.Drop(), "the last one out closes")
	require.False(t, f.Held())
	h.Forget(f)
	require.Zero(t, h.Live())
}

func TestHandleDropOfAnOpenOneClosesNothing(t *testing.T) {
	f := NewHandles[int]().Add(7)
	f.Hold()
	require.False(t, f.Drop())
	requireInvariant(t, "descriptor 7 dropped more often than held", func() { f.Drop() })
}

func TestHandleForgetOfAnOpenOne(t *testing.T) {
	h := NewHandles[int]()
	f := h.Add(7)
	requireInvariant(t, "forgotten while in use", func() { h.Forget(f) })
}

func TestHandlesEachSkipsTheClosed(t *testing.T) {
	h := NewHandles[int]()
	kept, closed, gone := h.Add(1), h.Add(2), h.Add(3)
	closed.Hold()
	closed.Close()
	gone.Close()
	h.Forget(gone)
	var found []int32
	h.Each(func(f *File[int]) { found = append(found, f.FD) })
	require.Equal(t, []int32{kept.FD}, found)
}

// TestHandleKeys: a key is never zero, which a caller's zero value would have,
// and no two tables issue the same ones.
func TestHandleKeys(t *testing.T) {
	seen := map[uint64]bool{}
	for range 2 {
		h := NewHandles[int]()
		for range 1000 {
			key := h.Add(0).Key()
			require.NotZero(t, key)
			require.False(t, seen[key], "a key repeats")
			seen[key] = true
		}
	}
}

// TestHandleHistories compares random histories with a plain list.
func TestHandleHistories(t *testing.T) {
	type life struct {
		file         *File[int]
		holds        int
		closed, gone bool
		id, key      uint64
	}
	rapid.Check(t, func(t *rapid.T) {
		h := NewHandles[int]()
		var lives []*life
		for step := range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(lives) == 0 || rapid.IntRange(0, 3).Draw(t, "add") == 0 {
				f := h.Add(int32(step))
				lives = append(lives, &life{file: f, id: f.ID(), key: f.Key()})
			}
			l := rapid.SampledFrom(lives).Draw(t, "life")
			over := false
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				if !l.closed {
					l.file.Hold()
					l.holds++
				}
			case 1:
				if l.holds > 0 {
					l.holds--
					over = l.file.Drop()
					require.Equal(t, l.closed && l.holds == 0, over)
				}
			case 2:
				over = l.file.Close()
				require.Equal(t, !l.closed && l.holds == 0, over)
				l.closed = true
			}
			if over {
				h.Forget(l.file)
				l.gone = true
			}
			live, used := 0, map[uint32]bool{}
			for _, l := range lives {
				f, err := h.Find(l.id, l.key)
				require.Equal(t, l.closed, err != nil)
				if !l.closed {
					require.Same(t, l.file, f)
				}
				if !l.gone {
					live++
					require.False(t, used[uint32(l.id)], "two descriptors in one place")
					used[uint32(l.id)] = true
				}
			}
			require.Equal(t, live, h.Live())
		}
	})
}
