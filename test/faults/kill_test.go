//go:build linux

package faults

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// A journal is a file of blocks, which processes write one after the other: each
// has its own generation, and holds a lock while it is at it.
const (
	blockSize     = 4096
	journalBlocks = 256
	// journalDepth is how many writes a process has in flight.
	journalDepth = 8
)

// block is what a generation writes at a place.
func block(generation string, place int) []byte {
	text := fmt.Sprintf("%s:%06d\n", generation, place)
	return bytes.Repeat([]byte(text), blockSize/len(text)+1)[:blockSize]
}

// journalOf tells of each block which generation wrote it: '0' if none did, and
// '?' if it is no block at all.
func journalOf(content []byte, generations ...string) string {
	var found strings.Builder
	for place := range len(content) / blockSize {
		got := content[place*blockSize : (place+1)*blockSize]
		one := "?"
		if bytes.Equal(got, make([]byte, blockSize)) {
			one = "0"
		}
		for _, generation := range generations {
			if bytes.Equal(got, block(generation, place)) {
				one = generation
			}
		}
		found.WriteString(one)
	}
	return found.String()
}

// TestKilledWithBlockIO kills a process with SIGKILL while a slow disk is at its
// writes. It is gone at once, but the kernel is not done: it holds the process's
// lock of the file until then. So the next process, which waits for the lock, finds every write whole or not there, those all there that were
// acknowledged, and nothing is written over its own any more.
func TestKilledWithBlockIO(t *testing.T) {
	if what, yes := inChild(); yes {
		writeJournal(t, what)
		return
	}
	d := newSlowDisk(t)
	d.write("journal", make([]byte, journalBlocks*blockSize))
	d.slow(0, journalBlocks*blockSize/2) // it is not to come to the end before it is killed
	first := d.start(child(t, "1 0 "+strconv.Itoa(journalBlocks)))
	for acknowledged(first.hear("written")) < 2*journalDepth {
	}
	d.slow(0, journalDepth*blockSize) // a second for what is in flight
	began := time.Now()
	last := acknowledged(first.hear("written"))
	for time.Since(began) < 200*time.Millisecond { // what the disk had taken before it was slow is done
		last = acknowledged(first.hear("written"))
	}
	killed := time.Now()
	first.signal(os.Kill)
	require.True(t, first.endsWithin(patience))
	gone := time.Since(killed)

	next := d.start(child(t, fmt.Sprintf("2 %d %d", last, 3*journalDepth)))
	waited := next.hear("locked")
	held := time.Since(killed)
	d.slow(0, 0)
	found := next.hear("found")[len("found "):]
	require.Equal(t, strings.Repeat("1", last), found[:last], "acknowledged and not there")
	require.NotContains(t, found, "?", "a block is torn")
	require.NotContains(t, found, "2")
	next.succeeds()
	t.Logf("%d blocks acknowledged, %d more written; gone after %v, the lock after %v (%s)",
		last, strings.Count(found, "1")-last, gone, held, waited)
	require.Greater(t, held, 100*time.Millisecond, "the disk was not slow: the test shows nothing")

	content, err := os.ReadFile(d.path("journal"))
	require.NoError(t, err)
	end := strings.Repeat("1", last) + strings.Repeat("2", 3*journalDepth)
	require.Equal(t, end, journalOf(content, "1", "2")[:len(end)], "what was killed has written since")
}

// acknowledged is how many blocks a process has said are written, all before
// them too.
func acknowledged(line string) (n int) {
	_, _ = fmt.Sscanf(line, "written %d", &n)
	return n
}

// writeJournal is such a process: what is its generation, from which block on it
// writes, and how many.
func writeJournal(t *testing.T, what string) {
	var generation string
	var from, count int
	_, err := fmt.Sscan(what, &generation, &from, &count)
	require.NoError(t, err)
	f, err := os.OpenFile(childDisk+"journal", os.O_RDWR|unix.O_DIRECT, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() }) // after the oracle, which counts descriptors
	began := time.Now()
	eventually(t, "nobody has the lock", func() bool {
		return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
	})
	fmt.Println("locked after", time.Since(began))

	o := start(t)
	file := o.adopt(f)
	content := do(o, &messages.Read{Handle: file, Buf: make([]byte, journalBlocks*blockSize)})
	require.Len(t, content, journalBlocks*blockSize)
	fmt.Println("found", journalOf(content, "1", "2"))
	r := o.requester()
	var writes []*entry
	for k := range count + journalDepth {
		if k < count {
			buf := append(make([]byte, 0, 32<<10), block(generation, from+k)...) // Go begins it on a page
			writes = append(writes, r.submit(&messages.Write{Handle: file, Buf: buf, Offset: int64((from + k) * blockSize)}))
		}
		if oldest := k - journalDepth + 1; oldest >= 0 && oldest < count {
			require.NoError(t, writes[oldest].err())
			require.Equal(t, blockSize, writes[oldest].completion.N)
			fmt.Println("written", from+oldest+1)
		}
	}
	do(o, &messages.Close{Handle: file})
}

// TestStoppedAndContinued stops a process at work with SIGSTOP, again and again,
// for longer than a call into the kernel may take (T24's little sister): when it
// goes on nothing is lost, and nobody takes it for one that hangs.
func TestStoppedAndContinued(t *testing.T) {
	const stops = 3
	if _, yes := inChild(); yes {
		workUntilTold(t)
		return
	}
	p := startProcess(t, child(t, ""))
	for range stops {
		p.hear("worked")
		p.signal(unix.SIGSTOP)
		eventually(t, "it is stopped", func() bool { return p.stopped() })
		<-time.After(3 * actors.DefaultConfig().StuckAfter / 2) // the fault itself
		p.signal(unix.SIGCONT)
	}
	p.hear("worked")
	require.NoError(t, p.in.Close())
	require.Equal(t, "0 failures", p.hear("0 failures"))
	p.succeeds()
}

// stopped reports whether all of the process's threads are.
func (p *process) stopped() bool {
	threads := p.threads()
	for _, thread := range threads {
		if !strings.HasSuffix(thread, " T") && !strings.HasPrefix(thread, "iou-") {
			return false
		}
	}
	return len(threads) > 0
}

// workUntilTold is the child: it works until its input ends.
func workUntilTold(t *testing.T) {
	o := start(t)
	told := make(chan struct{})
	go func() {
		defer close(told)
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		}
	}()
	for working := true; working; {
		require.Zero(t, workFor(o, 50))
		fmt.Println("worked")
		select {
		case <-told:
			working = false
		default:
		}
	}
	fmt.Println(o.inspect().Failures, "failures")
}
