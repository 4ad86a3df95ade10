//go:build linux

package ring

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The benchmarks are of the bare ring: no actors, no table, one goroutine.

func BenchmarkNop(b *testing.B) {
	benchLoop(b, func(int) Request { return PrepNop() })
}

func BenchmarkRead4K(b *testing.B) {
	const size, block = 16 << 20, 4096
	path := filepath.Join(b.TempDir(), "file")
	require.NoError(b, os.WriteFile(path, make([]byte, size), 0o600))
	fd := openFile(b, path, unix.O_RDONLY)
	bufs := make([][]byte, 128)
	for i := range bufs {
		bufs[i] = make([]byte, block)
	}
	b.SetBytes(block)
	benchLoop(b, func(i int) Request {
		off := uint64(i) * 2654435761 % (size / block) * block // scattered
		return PrepRead(fd, bufs[i%len(bufs)], off)
	})
}

// benchLoop keeps 1 and 128 requests in flight: all that have completed are
// pushed again, then the kernel is entered once.
func benchLoop(b *testing.B, make func(int) Request) {
	for _, depth := range []int{1, 128} {
		b.Run(fmt.Sprint("inflight=", depth), func(b *testing.B) {
			r, err := Open(Options{Entries: 128})
			if err != nil {
				b.Skip(err)
			}
			defer r.Close()
			r.Mask()
			requests := [128]Request{}
			pushed, done := 0, 0
			b.ReportAllocs()
			b.ResetTimer()
			for done < b.N {
				for ; pushed < b.N && pushed-done < depth; pushed++ {
					request := &requests[pushed%128]
					*request = make(pushed)
					r.Push(UserData(pushed), request)
				}
				done += benchTurn(b, r)
			}
		})
	}
}

func benchTurn(b *testing.B, r *Ring) (done int) {
	if _, err := r.Enter(); err != nil {
		b.Fatal(err)
	}
	for cqe, ok := r.Peek(); ok; cqe, ok = r.Peek() {
		if cqe.Res < 0 {
			b.Fatal(unix.Errno(-cqe.Res))
		}
		r.Advance()
		done++
	}
	return done
}
