package actors

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ringmaster-io/ringmaster/ring"
)

// TestIDIndex compares the index of identities with a map, over histories that
// make its keys collide.
func TestIDIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := &engine{table: ring.NewTable[operation](300)}
		want := map[opKey]uint32{}
		keys := rapid.Custom(func(t *rapid.T) opKey {
			seq := rapid.Uint64Range(1, 40).Draw(t, "seq") << rapid.SampledFrom([]uint{0, 16, 58}).Draw(t, "shift")
			return opKey{rapid.Uint32Range(1, 3).Draw(t, "owner"), seq}
		})
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			key := keys.Draw(t, "key")
			slot, open := e.idFind(key)
			expected, known := want[key]
			require.Equal(t, known, open, key)
			switch {
			case known:
				require.Equal(t, expected, slot)
				e.idRemove(slot)
				delete(want, key)
				e.table.Apply(slot, ring.Orphan)
				e.table.Release(slot)
			default:
				if slot, ok := e.table.Add(); ok {
					p := e.table.Payload(slot)
					p.ownerIndex, p.seq = key.owner, key.seq
					e.idAdd(slot)
					want[key] = slot
				}
			}
			require.Equal(t, len(want), e.ids.used)
		}
		for key, slot := range want {
			got, open := e.idFind(key)
			require.True(t, open)
			require.Equal(t, slot, got)
		}
		_, open := e.idFind(opKey{1, 0})
		require.False(t, open, "0 names nothing")
	})
}
