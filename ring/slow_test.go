//go:build linux

package ring

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// slowFS is a mounted file system of two files, of which each read waits until
// the test has it answered. No cancellation and no signal ends it before.
//
// The server is a process of its own, with a bound on its life: one whose own
// requests hang could not even be killed.
type slowFS struct {
	t      testing.TB
	cmd    *exec.Cmd
	orders io.WriteCloser
	said   *bufio.Scanner

	// device is read past the page cache: as with a disk, the read is handed to
	// the server, and no thread waits in the kernel for its end. cached is read
	// into the page cache, and whatever thread reads it waits there.
	device, cached int32
}

const slowDirVariable = "RINGMASTER_TEST_SLOW"

// slowByte is what the files hold, slowSize times: a page, so that a read of it
// is one request to the server.
const (
	slowByte = 's'
	slowSize = 4096
)

func mountSlow(t testing.TB) *slowFS {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	fs := &slowFS{t: t, cmd: exec.Command(self)}
	// A race detector at work would have the server sleep before it ends.
	fs.cmd.Env = append(os.Environ(), slowDirVariable+"="+dir, "GORACE=atexit_sleep_ms=0")
	fs.cmd.Stderr = os.Stderr
	fs.orders, err = fs.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := fs.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, fs.cmd.Start())
	t.Cleanup(func() {
		_ = fs.orders.Close()
		_ = fs.cmd.Wait()
		_ = unix.Unmount(dir, unix.MNT_DETACH) // where the server had no time
	})
	fs.said = bufio.NewScanner(out)
	if said := fs.hear(); said != "mounted" {
		t.Skip("needs FUSE: ", said)
	}
	fs.device = openFile(t, filepath.Join(dir, "device"), unix.O_RDONLY)
	fs.cached = openFile(t, filepath.Join(dir, "cached"), unix.O_RDONLY)
	return fs
}

// hear is the next line that the server says.
func (fs *slowFS) hear() string {
	fs.t.Helper()
	require.True(fs.t, fs.said.Scan(), "the server has ended")
	return fs.said.Text()
}

// asked waits until so many reads have reached the server.
func (fs *slowFS) asked(n int) {
	fs.t.Helper()
	for range n {
		require.Equal(fs.t, "read", fs.hear())
	}
}

// answer has the server answer the reads that have reached it.
func (fs *slowFS) answer() {
	fs.t.Helper()
	_, err := fmt.Fprintln(fs.orders, "answer")
	require.NoError(fs.t, err)
	require.Equal(fs.t, "answered", fs.hear())
}

// slowServer is the server's side.
type slowServer struct {
	fd int

	mu      sync.Mutex
	waiting [][]byte // answers
}

// serveSlow is the server's main.
func serveSlow(dir string) (code int) {
	unmount := func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }
	time.AfterFunc(2*patience, func() {
		unmount()
		os.Exit(1)
	})
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		fmt.Println(err)
		return 0
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)
	if err := unix.Mount("slow", dir, "fuse", unix.MS_NODEV|unix.MS_NOSUID, options); err != nil {
		fmt.Println(err)
		return 0
	}
	defer unmount()
	s := &slowServer{fd: fd}
	go s.serve()
	fmt.Println("mounted")
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		s.mu.Lock()
		for _, answer := range s.waiting {
			_, _ = unix.Write(fd, answer)
		}
		s.waiting = nil
		s.mu.Unlock()
		fmt.Println("answered")
	}
	return 0
}

func (s *slowServer) serve() {
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

// What of FUSE's protocol matters here; see linux/fuse.h.
const (
	fuseLookup, fuseForget, fuseGetattr, fuseOpen, fuseRead = 1, 2, 3, 14, 15
	fuseRelease, fuseInit, fuseInterrupt, fuseBatchForget   = 18, 26, 36, 42

	fuseRoot, fuseDevice, fuseCached = 1, 2, 3 // the nodes
	fuseAsyncDirect                  = 1 << 15 // FUSE_ASYNC_DIO
	fuseOpenDirect                   = 1 << 0  // FOPEN_DIRECT_IO
	fuseBackground                   = 1 << 10 // so many reads may wait here at once
)

func (s *slowServer) handle(request []byte) {
	word := binary.NativeEndian.Uint32
	opcode, unique, node := word(request[4:]), binary.NativeEndian.Uint64(request[8:]), binary.NativeEndian.Uint64(request[16:])
	switch opcode {
	case fuseForget, fuseBatchForget, fuseInterrupt: // they want no answer
	case fuseInit:
		s.reply(unique, 0, uint32(7), uint32(31), uint32(0), uint32(fuseAsyncDirect), uint32(fuseBackground), make([]byte, 44))
	case fuseLookup:
		found := uint64(fuseCached)
		if bytes.Equal(request[40:], []byte("device\x00")) {
			found = fuseDevice
		}
		s.reply(unique, 0, found, uint64(0), uint64(3600), uint64(3600), uint64(0), fuseAttributes(found))
	case fuseGetattr:
		s.reply(unique, 0, uint64(3600), uint64(0), fuseAttributes(node))
	case fuseOpen:
		var flags uint32
		if node == fuseDevice {
			flags = fuseOpenDirect
		}
		s.reply(unique, 0, uint64(1), flags, uint32(0))
	case fuseRead:
		s.wait(fuseReply(unique, 0, bytes.Repeat([]byte{slowByte}, int(word(request[56:])))))
	case fuseRelease:
		s.reply(unique, 0)
	default:
		s.reply(unique, -int32(unix.ENOSYS))
	}
}

func (s *slowServer) wait(answer []byte) {
	s.mu.Lock()
	s.waiting = append(s.waiting, answer)
	s.mu.Unlock()
	fmt.Println("read")
}

func (s *slowServer) reply(unique uint64, code int32, body ...any) {
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
	if node != fuseRoot {
		mode, size = unix.S_IFREG|0o644, slowSize
	}
	binary.NativeEndian.PutUint64(attributes, node)
	binary.NativeEndian.PutUint64(attributes[8:], size)
	binary.NativeEndian.PutUint32(attributes[60:], mode)
	binary.NativeEndian.PutUint32(attributes[64:], 1)
	return attributes
}
