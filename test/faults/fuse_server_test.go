//go:build linux

package faults

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// fuseServer is a file system whose requests hang when it is told to, until it
// is told how to answer them. It serves any name, as what the name begins with:
// a "dir", a symbolic "link", a file that is read past the page cache
// ("raw"), nothing yet ("new"), or else a file. Files are full of pattern.
//
// Its kinds of requests are those of FUSE. It does not care for interrupts:
// what has reached it is in the kernel's hands, whoever is cancelled or killed,
// until it answers.
type fuseServer struct {
	fuse.RawFileSystem
	said io.Writer

	mu      sync.Mutex
	names   []string // of the nodes; that of node n is at n-firstNode
	written map[uint64][]byte
	hangs   map[string]bool
	hung    map[string][]chan fuseAnswer
}

// fuseAnswer is how a request ends that hung.
type fuseAnswer struct {
	errno syscall.Errno
	short bool // half of what was asked for
}

// serveFUSE is the server's main: it mounts, obeys orders until there are no
// more, and unmounts.
func serveFUSE(dir string, orders io.Reader, said io.Writer) error {
	s := &fuseServer{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		said:          said,
		written:       make(map[uint64][]byte),
		hangs:         make(map[string]bool),
		hung:          make(map[string][]chan fuseAnswer),
	}
	server, err := fuse.NewServer(s, dir, &fuse.MountOptions{
		DirectMountStrict: true, // fusermount may not be there
		DisableXAttrs:     true,
		DisableSplice:     true,
		FsName:            "faults",
		Name:              "faults",
	})
	if err != nil {
		return fmt.Errorf("mounting: %w", err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve()
	}()
	defer func() {
		_ = unix.Unmount(dir, unix.MNT_DETACH)
		select {
		case <-served:
		case <-time.After(time.Second): // a file is still open; the process's end aborts what there is
		}
	}()
	if err := server.WaitMount(); err != nil {
		return fmt.Errorf("mounting: %w", err)
	}
	s.say("done mounting")
	for lines := bufio.NewScanner(orders); lines.Scan(); {
		s.obey(strings.Fields(lines.Text()))
	}
	s.obey([]string{"serve"})
	return nil
}

// say tells the test something, on a line of its own.
func (s *fuseServer) say(format string, args ...any) {
	_, _ = fmt.Fprintf(s.said, format+"\n", args...) // the test may have ended
}

// obey follows one order:
//   - "hang KIND...": requests of these kinds hang from now on;
//   - "answer KIND HOW": those of a kind that hang are answered now;
//   - "serve": all that hang are answered, and none hangs any more.
func (s *fuseServer) obey(order []string) {
	s.mu.Lock()
	switch order[0] {
	case "hang":
		for _, kind := range order[1:] {
			s.hangs[kind] = true
		}
	case "answer":
		s.answer(order[1], parseAnswer(order[2]))
	case "serve":
		clear(s.hangs)
		for kind := range s.hung {
			s.answer(kind, fuseAnswer{})
		}
	}
	s.mu.Unlock()
	s.say("done %s", order[0])
}

// parseAnswer reads how to answer: "data", "short", or the name of an errno.
func parseAnswer(how string) fuseAnswer {
	switch how {
	case "data":
		return fuseAnswer{}
	case "short":
		return fuseAnswer{short: true}
	}
	for errno := range syscall.Errno(200) {
		if unix.ErrnoName(errno) == how {
			return fuseAnswer{errno: errno}
		}
	}
	panic("no answer " + how)
}

// answer ends what hangs of a kind.
func (s *fuseServer) answer(kind string, a fuseAnswer) {
	for _, one := range s.hung[kind] {
		one <- a
	}
	s.hung[kind] = nil
}

// ask is one request: it hangs, or not.
func (s *fuseServer) ask(kind, name string) fuseAnswer {
	s.mu.Lock()
	if !s.hangs[kind] {
		s.mu.Unlock()
		return fuseAnswer{}
	}
	answer := make(chan fuseAnswer, 1)
	s.hung[kind] = append(s.hung[kind], answer)
	s.mu.Unlock()
	s.say("hung %s %s", kind, name)
	return <-answer
}

func (s *fuseServer) askOf(kind string, node uint64) fuse.Status {
	return fuse.Status(s.ask(kind, s.name(node)).errno)
}

func (s *fuseServer) name(node uint64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if node < firstNode {
		return "dir" // the root
	}
	return s.names[node-firstNode]
}

// fuseLife bounds the server's life, so that nothing hangs for ever in whose
// test it was forgotten.
const fuseLife = 3 * patience

func boundFUSE() { time.AfterFunc(fuseLife, func() { os.Exit(3) }) }
