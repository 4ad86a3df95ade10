package test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

// BenchmarkPortableRatio compares actors that read through the portable backend
// with what a program does that has no Ringmaster: blocking calls from
// goroutines. The two of a pair take turns, as in BenchmarkReadRatio.
//
// With one in flight that is (*os.File).ReadAt. With 128 in flight it may mean
// two things, and both are here:
//
//   - "crowd" is 128 goroutines that each call ReadAt in a loop and tell nobody
//     what they have read. It is the literal reading, and the strictest: on data
//     in memory it is ReadAt on all processors at once and nothing else. A
//     subsystem reads such data on one processor at a time: the processors' time
//     tells what that costs. "portable-each" divides the 128 among as many
//     subsystems as there are processors.
//   - "spawn" is one goroutine that has 128 reads in flight and hears of the end
//     of each, with a goroutine spawned for each. It does the same work as the
//     actor: whoever asks gets the answer, and is not blocked meanwhile.
func BenchmarkPortableRatio(b *testing.B) {
	path := benchFile(b)
	for _, pair := range []struct{ ours, theirs benchWay }{
		{benchWay{"portable-1", 1, openPortableLoop}, benchWay{"ReadAt", 1, openFileLoop}},
		{benchWay{"portable-each-128", 128, openEachLoop}, benchWay{"crowd", 128, openCrowdLoop}},
		{benchWay{"portable-128", 128, openPortableLoop}, benchWay{"crowd", 128, openCrowdLoop}},
		{benchWay{"portable-128", 128, openPortableLoop}, benchWay{"spawn", 128, openSpawnLoop}},
	} {
		b.Run(pair.ours.name+"-to-"+pair.theirs.name, func(b *testing.B) {
			benchPair(b, path, pair.ours, pair.theirs)
		})
	}
}

func openPortableLoop(path string, depth int) (loop, error) {
	return openActorLoopWith(path, depth, supervisor.WithBackend(actors.BackendPortable))
}

// eachLoop is an actor for each processor, with a subsystem of its own.
type eachLoop []loop

func openEachLoop(path string, depth int) (loop, error) {
	system := actor.NewActorSystem(quiet)
	each := make(eachLoop, runtime.GOMAXPROCS(0))
	for k := range each {
		parent := &parentActor{
			options: []supervisor.Option{supervisor.WithBackend(actors.BackendPortable)},
			started: make(chan *supervisor.Subsystem, 1),
		}
		system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return parent }))
		var err error
		if each[k], err = startActorLoop(system, <-parent.started, path, depth/len(each)); err != nil {
			return nil, err
		}
	}
	return each, nil
}

// parentActor starts a subsystem of its own.
type parentActor struct {
	options []supervisor.Option
	started chan *supervisor.Subsystem
}

// Receive implements actor.Actor.
func (a *parentActor) Receive(ctx actor.Context) {
	if _, ok := ctx.Message().(*actor.Started); ok {
		rm, err := supervisor.StartChild(ctx, a.options...)
		if err != nil {
			panic(err)
		}
		a.started <- rm
	}
}

func (each eachLoop) read(n int) error {
	return readTogether(n, len(each), func(k, share int) error { return each[k].read(share) })
}

// readTogether divides n reads among so many goroutines.
func readTogether(n, among int, read func(k, share int) error) error {
	var together sync.WaitGroup
	failures := make([]error, among)
	for k := range among {
		share := n / among
		if k < n%among {
			share++
		}
		together.Go(func() { failures[k] = read(k, share) })
	}
	together.Wait()
	return errors.Join(failures...)
}

func (each eachLoop) close() {
	for _, l := range each {
		l.close()
	}
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
	return readTogether(n, len(l.bufs), func(k, share int) error {
		return (&fileLoop{l.file, l.bufs[k]}).read(share)
	})
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
