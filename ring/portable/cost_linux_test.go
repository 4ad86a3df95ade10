package portable

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// once performs a request that ends inside the Enter.
func once(t testing.TB, k *Kernel, req *ring.Request) int32 {
	if !k.Push(1, req) {
		t.Fatal("the queue is full")
	}
	if _, err := k.Enter(); err != nil {
		t.Fatal(err)
	}
	cqe, ok := k.Peek()
	if !ok {
		t.Fatal("it has not ended")
	}
	k.Advance()
	return cqe.Res
}

// The steady state allocates nothing.
func TestAllocations(t *testing.T) {
	k, err := Open(Options{})
	require.NoError(t, err)
	defer func() { _ = k.Close() }()
	fd := newFile(t, "content")
	read := noWait(ring.PrepRead(fd, make([]byte, 4096), 0))
	require.EqualValues(t, 7, once(t, k, &read))
	r, w := newPipe(t)
	stream := ring.PrepRead(r, make([]byte, 1), ring.StreamOffset)
	write := ring.PrepWrite(w, make([]byte, 1), ring.StreamOffset)
	nop, timer, cancel := ring.PrepNop(), ring.PrepTimeout(time.Hour), ring.PrepCancel(2)
	for name, f := range map[string]func(){
		"nop":  func() { once(t, k, &nop) },
		"read": func() { once(t, k, &read) },
		"stream": func() {
			once(t, k, &write)
			once(t, k, &stream)
		},
		"cancelled timer": func() {
			k.Push(2, &timer)
			once(t, k, &cancel)
			k.Advance()
		},
		"cancelled read of a stream": func() {
			k.Push(2, &stream)
			once(t, k, &cancel)
			k.Advance()
		},
	} {
		require.Zero(t, testing.AllocsPerRun(1000, f), name)
	}
}

// benchFile is a file of a few MiB that is cached.
func benchFile(b *testing.B) int32 {
	path := filepath.Join(b.TempDir(), "file")
	require.NoError(b, os.WriteFile(path, make([]byte, 4<<20), 0o600))
	return openFile(b, path, unix.O_RDWR)
}

func BenchmarkPread(b *testing.B) {
	fd := benchFile(b)
	buf := make([]byte, 4096)
	for i := 0; b.Loop(); i++ {
		_, _ = unix.Pread(int(fd), buf, int64(i%1024)*4096)
	}
}

func BenchmarkReadNoWait(b *testing.B) {
	for _, batch := range []int{1, 128} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			k, err := Open(Options{})
			require.NoError(b, err)
			defer func() { _ = k.Close() }()
			k.Mask()
			fd := benchFile(b)
			buf := make([]byte, 4096)
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += batch {
				for j := range batch {
					read := noWait(ring.PrepRead(fd, buf, uint64((i+j)%1024)*4096))
					k.Push(1, &read)
				}
				_, _ = k.Enter()
				for _, ok := k.Peek(); ok; _, ok = k.Peek() {
					k.Advance()
				}
			}
		})
	}
}

// openSignalled opens a kernel that signals what has ended.
func openSignalled(b *testing.B) (k *Kernel, signal chan struct{}) {
	k, err := Open(Options{})
	require.NoError(b, err)
	signal = make(chan struct{}, 1)
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		k.Wait(func() {
			select {
			case signal <- struct{}{}:
			default:
			}
		})
	}()
	b.Cleanup(func() {
		_ = k.Close()
		<-waited
	})
	return k, signal
}

// BenchmarkWrite is what a worker does.
func BenchmarkWrite(b *testing.B) {
	for _, batch := range []int{1, 128} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			k, signal := openSignalled(b)
			fd := benchFile(b)
			buf := make([]byte, 4096)
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += batch {
				for j := range batch {
					write := ring.PrepWrite(fd, buf, uint64((i+j)%1024)*4096)
					k.Push(1, &write)
				}
				_, _ = k.Enter()
				for left := batch; left > 0; {
					if _, ok := k.Peek(); ok {
						k.Advance()
						left--
						continue
					}
					<-signal
				}
			}
		})
	}
}

// BenchmarkPingPong is what waiting for readiness costs: a byte goes over pairs
// of sockets, on which a read waits for it.
func BenchmarkPingPong(b *testing.B) {
	for _, pairs := range []int{1, 64} {
		b.Run(fmt.Sprint(pairs), func(b *testing.B) {
			k, signal := openSignalled(b)
			reads, writes := make([]ring.Request, 2*pairs), make([]ring.Request, 2*pairs)
			for i := range pairs {
				ends := [2]int32{}
				ends[0], ends[1] = newSockets(b)
				for j, fd := range ends {
					reads[2*i+j] = ring.PrepRead(fd, make([]byte, 1), ring.StreamOffset)
					writes[2*i+1-j] = ring.PrepWrite(fd, make([]byte, 1), ring.StreamOffset)
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += pairs {
				for i := range pairs { // one way, and the next time the other
					j := 2*i + n/pairs%2
					k.Push(ring.UserData(2*j), &reads[j])
				}
				_, _ = k.Enter()
				for i := range pairs {
					j := 2*i + n/pairs%2
					k.Push(ring.UserData(2*j+1), &writes[j])
				}
				_, _ = k.Enter()
				for left := 2 * pairs; left > 0; {
					if _, ok := k.Peek(); ok {
						k.Advance()
						left--
						continue
					}
					<-signal
				}
			}
		})
	}
}
