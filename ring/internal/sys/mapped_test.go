package sys

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMappedBounds(t *testing.T) {
	mem := make([]byte, 256)

	word, err := Word(mem, 252)
	require.NoError(t, err)
	word.Store(0x01020304)
	require.Equal(t, []byte{4, 3, 2, 1}, mem[252:])

	for _, offset := range []uint32{253, 256, 1 << 31, 1<<32 - 4} {
		_, err := Word(mem, offset)
		require.ErrorContains(t, err, "do not fit", "offset %d", offset)
	}
	_, err = Word(mem, 2)
	require.ErrorContains(t, err, "not aligned")

	sqes, err := SQEs(mem, 4)
	require.NoError(t, err)
	require.Len(t, sqes, 4)
	_, err = SQEs(mem, 5)
	require.Error(t, err)
	_, err = SQEs(mem, 0)
	require.Error(t, err)

	cqes, err := CQEs(mem, 192, 4)
	require.NoError(t, err)
	cqes[3].Flags = 7
	require.Equal(t, byte(7), mem[252])
	_, err = CQEs(mem, 193, 3)
	require.ErrorContains(t, err, "not aligned")
	_, err = CQEs(mem, 64, 1<<28) // would wrap around in 32 bits
	require.Error(t, err)
	_, err = Words(nil, 0, 1)
	require.Error(t, err)
}

func TestIovecBytes(t *testing.T) {
	buf := []byte("abc")
	require.Equal(t, "bc", string(MakeIovec(buf[1:]).Bytes()))
	require.Empty(t, MakeIovec(nil).Bytes())
}
