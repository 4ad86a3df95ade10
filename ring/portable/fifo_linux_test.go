package portable

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// What is written from several buffers to a FIFO arrives as one write, as far as
// that is what a FIFO does not tear. This one gives each write back by itself.
func TestVectorsAreOneWrite(t *testing.T) {
	onEachWay(t, func(t *testing.T, g *rig) {
		var fds [2]int
		require.NoError(t, unix.Pipe2(fds[:], unix.O_DIRECT|unix.O_CLOEXEC))
		defer func() { _, _ = unix.Close(fds[0]), unix.Close(fds[1]) }()
		page := bytes.Repeat([]byte("p"), pipeBuf)
		for _, bufs := range [][][]byte{
			{[]byte("ab"), nil, []byte("cd")},
			{page[:1], page[:pipeBuf-1]},
			{page[:pipeBuf-2], page[:1], page[:1]},
			{page},
		} {
			want := bytes.Join(bufs, nil)
			require.EqualValues(t, len(want), g.ok(ring.PrepWriteV(int32(fds[1]), bufs, ring.StreamOffset)))
			buf := make([]byte, 2*pipeBuf)
			n, err := unix.Read(fds[0], buf)
			require.NoError(t, err)
			require.Equal(t, want, buf[:n])
		}
	})
}

func TestGather(t *testing.T) {
	bufs := [][]byte{nil, []byte("abc"), {}, []byte("de")}
	require.Equal(t, [][]byte{[]byte("ab")}, gather(bufs, 2))
	require.Equal(t, [][]byte{[]byte("abc"), []byte("d")}, gather(bufs, 4))
	require.Equal(t, [][]byte{[]byte("abc"), []byte("de")}, gather(bufs, 9))
	require.Empty(t, gather(nil, 9))
}
