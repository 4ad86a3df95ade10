//go:build linux

package test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// hungFS is a mounted file system of four files whose server does not answer
// until it is told to: the open of one hangs, the read of another, every poll of
// the third, and of the fourth every poll but the first, which says that it is
// not ready. It hangs where no cancellation helps, since FUSE has asked the
// server and waits for it.
//
// The server is a process of its own, with a bound on its life: one whose
// requests hang cannot even be killed.
type hungFS struct {
	t      *testing.T
	dir    string
	cmd    *exec.Cmd
	orders io.WriteCloser
	said   *bufio.Scanner

	opens, read, polled, polledLater string // the four files
}

const hungDirVariable = "RINGMASTER_TEST_MOUNT"

// mountHungFS mounts it; it is unmounted when the test ends.
func mountHungFS(t *testing.T) *hungFS {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	fs := &hungFS{t: t, dir: dir, opens: filepath.Join(dir, "o"), read: filepath.Join(dir, "r")}
	fs.polled, fs.polledLater = filepath.Join(dir, "p"), filepath.Join(dir, "q")
	fs.cmd = exec.Command(self)
	fs.cmd.Env = append(os.Environ(), childVariable+"=fuse", hungDirVariable+"="+dir)
	fs.cmd.Stderr = os.Stderr
	fs.orders, err = fs.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := fs.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, fs.cmd.Start())
	t.Cleanup(fs.unmount)
	fs.said = bufio.NewScanner(out)
	if said := fs.hear(); said != "mounted" {
		t.Skip("needs FUSE: ", said)
	}
	return fs
}

// hear is the next line that the server says: that a request hangs, for
// instance.
func (fs *hungFS) hear() string {
	fs.t.Helper()
	require.True(fs.t, fs.said.Scan(), "the server has ended")
	return fs.said.Text()
}

// answer has the server answer what hangs.
func (fs *hungFS) answer() {
	fs.t.Helper()
	_, err := fmt.Fprintln(fs.orders, "answer")
	require.NoError(fs.t, err)
	require.Equal(fs.t, "answered", fs.hear())
}

// unmount ends the server, which unmounts. It does so once.
func (fs *hungFS) unmount() {
	_ = fs.orders.Close()
	_ = fs.cmd.Wait()
	_ = unix.Unmount(fs.dir, unix.MNT_DETACH) // where the server had no time
}

// fuseServer is the server's side.
type fuseServer struct {
	fd int

	mu   sync.Mutex
	hung [][]byte // answers that are withheld

	polls int // of the fourth file
}

// childFuse is the server.
func childFuse() error {
	time.AfterFunc(2*patience, func() { os.Exit(1) })
	dir := os.Getenv(hungDirVariable)
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		fmt.Println(err)
		return nil
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)
	if err := unix.Mount("hung", dir, "fuse", unix.MS_NODEV|unix.MS_NOSUID, options); err != nil {
		fmt.Println(err)
		return nil
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
	s := &fuseServer{fd: fd}
	go s.serve()
	fmt.Println("mounted")
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		s.mu.Lock()
		for _, answer := range s.hung {
			_, _ = unix.Write(fd, answer)
		}
		s.hung = nil
		s.mu.Unlock()
		fmt.Println("answered")
	}
	return nil
}

func (s *fuseServer) serve() {
	request := make([]byte, 1<<20)
	for {
		n, err := unix.Read(s.fd, request)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n < 40 {
			return
		}
		s.handle(request[:n])
	}
}

// The requests of FUSE that matter here; see linux/fuse.h.
const (
	fuseLookup, fuseForget, fuseGetattr, fuseOpen, fuseRead = 1, 2, 3, 14, 15
	fuseRelease, fuseInit, fuseInterrupt, fuseBatchForget   = 18, 26, 36, 42
	fusePoll                                                = 40
	fuseNode                                                = 2 // the file that hangs at open; the others are the next
)

func (s *fuseServer) handle(request []byte) {
	opcode, node := binary.NativeEndian.Uint32(request[4:]), binary.NativeEndian.Uint64(request[16:])
	unique := binary.NativeEndian.Uint64(request[8:])
	switch opcode {
	case fuseForget, fuseBatchForget, fuseInterrupt: // they want no answer
	case fuseInit:
		s.reply(unique, 0, uint32(7), uint32(31), make([]byte, 56))
	case fuseLookup:
		found := fuseNode + uint64(max(0, strings.Index("orpq", string(request[40:41]))))
		s.reply(unique, 0, found, uint64(0), uint64(3600), uint64(3600), uint64(0), fuseAttributes(found))
	case fuseGetattr:
		s.reply(unique, 0, uint64(3600), uint64(0), fuseAttributes(node))
	case fuseOpen:
		answer := fuseReply(unique, 0, uint64(1), uint64(0))
		if node != fuseNode {
			_, _ = unix.Write(s.fd, answer)
			return
		}
		s.hang("open", answer)
	case fuseRead:
		s.hang("read", fuseReply(unique, 0, []byte("late")))
	case fusePoll:
		s.poll(unique, node)
	case fuseRelease:
		s.reply(unique, 0)
	default:
		s.reply(unique, -int32(unix.ENOSYS))
	}
}

func (s *fuseServer) poll(unique, node uint64) {
	ready := fuseReply(unique, 0, uint32(unix.POLLIN|unix.POLLOUT), uint32(0))
	if node < fuseNode+2 {
		_, _ = unix.Write(s.fd, ready)
		return
	}
	if node == fuseNode+3 {
		if s.polls++; s.polls == 1 {
			s.reply(unique, 0, uint32(0), uint32(0))
			return
		}
	}
	s.hang("poll", ready)
}

func (s *fuseServer) hang(what string, answer []byte) {
	s.mu.Lock()
	s.hung = append(s.hung, answer)
	s.mu.Unlock()
	fmt.Println(what)
}

func (s *fuseServer) reply(unique uint64, code int32, body ...any) {
	_, _ = unix.Write(s.fd, fuseReply(unique, code, body...))
}

func fuseReply(unique uint64, code int32, body ...any) []byte {
	var out bytes.Buffer
	for _, field := range append([]any{uint32(0), code, unique}, body...) {
		_ = binary.Write(&out, binary.NativeEndian, field)
	}
	binary.NativeEndian.PutUint32(out.Bytes(), uint32(out.Len()))
	return out.Bytes()
}

func fuseAttributes(node uint64) []byte {
	attributes := make([]byte, 88)
	mode, size := uint32(unix.S_IFDIR|0o755), uint64(0)
	if node != 1 {
		mode, size = unix.S_IFREG|0o644, 4096
	}
	binary.NativeEndian.PutUint64(attributes, node)
	binary.NativeEndian.PutUint64(attributes[8:], size)
	binary.NativeEndian.PutUint32(attributes[60:], mode)
	binary.NativeEndian.PutUint32(attributes[64:], 1)
	return attributes
}
