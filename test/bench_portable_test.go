package test

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// BenchmarkPortableRatio compares one actor that reads through the portable
// backend with what a program does that has no Ringmaster: blocking calls from
// goroutines. The two of a pair take turns, as in BenchmarkReadRatio.
//
// With one in flight that is (*os.File).ReadAt. With 128 in flight it may mean
// two things, and both are here:
//
//   - "crowd" is 128 goroutines that each call ReadAt in a loop and tell nobody
//     what they have read. It is the literal reading, and the strictest: on data
//     in memory it is ReadAt on all processors at once and nothing else.
//   - "spawn" is one goroutine that has 128 reads in flight and hears of the end
//     of each, with a goroutine spawned for each. It does the same work as the
//     actor: whoever asks gets the answer, and is not blocked meanwhile.
func BenchmarkPortableRatio(b *testing.B) {
	path := benchFile(b)
	for _, plain := range []benchWay{
		{"ReadAt", 1, openFileLoop},
		{"crowd", 128, openCrowdLoop},
		{"spawn", 128, openSpawnLoop},
	} {
		ours := benchWay{fmt.Sprint("portable-", plain.depth), plain.depth, openPortableLoop}
		b.Run(ours.name+"-to-"+plain.name, func(b *testing.B) { benchPair(b, path, ours, plain) })
	}
}

func openPortableLoop(path string, depth int) (loop, error) {
	return openActorLoopWith(path, depth, supervisor.WithBackend(actors.BackendPortable))
}

// crowdLoop is goroutines that each read in a loop.
type crowdLoop struct {
	file *os.File
	bufs [][]byte
}

func openCrowdLoop(path string, depth int) (loop, error) {
	f, err := os.Open(path)
	return &crowdLoop{f, benchBuffers(depth)}, err
}

func benchBuffers(n int) [][]byte {
	bufs := make([][]byte, n)
	for k := range bufs {
		bufs[k] = make([]byte, benchBlock)
	}
	return bufs
}

func (l *crowdLoop) read(n int) error {
	var crowd sync.WaitGroup
	failures := make(chan error, len(l.bufs))
	for k, buf := range l.bufs {
		share := n / len(l.bufs)
		if k < n%len(l.bufs) {
			share++
		}
		crowd.Go(func() { failures <- (&fileLoop{l.file, buf}).read(share) })
	}
	crowd.Wait()
	for range l.bufs {
		if err := <-failures; err != nil {
			return err
		}
	}
	return nil
}

func (l *crowdLoop) close() { l.file.Close() }

// spawnLoop is one goroutine that has another perform each read, and hears of
// its end.
type spawnLoop struct {
	file *os.File
	bufs [][]byte
	done chan spawnedRead
}

// spawnedRead says that the read into a buffer has ended.
type spawnedRead struct {
	buf []byte
	err error
}

func openSpawnLoop(path string, depth int) (loop, error) {
	f, err := os.Open(path)
	return &spawnLoop{f, benchBuffers(depth), make(chan spawnedRead, depth)}, err
}

func (l *spawnLoop) spawn(buf []byte) {
	offset := benchOffset()
	go func() {
		_, err := l.file.ReadAt(buf, offset)
		l.done <- spawnedRead{buf, err}
	}()
}

func (l *spawnLoop) read(n int) (err error) {
	spawned := min(len(l.bufs), n)
	for _, buf := range l.bufs[:spawned] {
		l.spawn(buf)
	}
	for range n { // all are awaited, whatever fails: the buffers are used again
		one := <-l.done
		if one.err != nil {
			err = fmt.Errorf("read: %w", one.err)
		}
		if spawned < n {
			spawned++
			l.spawn(one.buf)
		}
	}
	return err
}

func (l *spawnLoop) close() { l.file.Close() }
