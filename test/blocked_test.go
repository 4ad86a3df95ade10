//go:build linux

package test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// blockedThread is a thread that sits in the kernel, where no signal and no
// task work reaches it, until it is released.
//
// It starts a program and waits, as vfork(2) has it, until the child has
// called execve(2). The program's file is under a write lease (fcntl(2),
// F_SETLEASE) of this process, so that the child's execve waits for the lease.
type blockedThread struct {
	lease *os.File
	ended chan error
	tid   int
}

// blockThread has a thread run first, as its own code, and then block. It
// returns when it does.
func blockThread(t *testing.T, first func()) *blockedThread {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(path, []byte("no program"), 0o700))
	lease, err := os.Open(path)
	require.NoError(t, err)
	_, err = unix.FcntlInt(lease.Fd(), unix.F_SETLEASE, unix.F_WRLCK)
	if err != nil {
		_ = lease.Close()
		t.Skip("needs file leases: ", err)
	}
	// The thread holds a P and cannot be stopped for a garbage collection.
	procs := runtime.GOMAXPROCS(max(4, runtime.NumCPU()))
	gc := debug.SetGCPercent(-1)
	b := &blockedThread{lease: lease, ended: make(chan error, 1)}
	tid := make(chan int)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		tid <- unix.Gettid()
		first()
		_, err := syscall.ForkExec(path, []string{path}, &syscall.ProcAttr{})
		b.ended <- err
	}()
	b.tid = <-tid
	eventually(t, "the thread blocks", b.blocked)
	t.Cleanup(func() {
		b.release(t)
		debug.SetGCPercent(gc)
		runtime.GOMAXPROCS(procs)
	})
	return b
}

// blocked reports whether the thread waits for its child, where nothing
// disturbs it.
func (b *blockedThread) blocked() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", b.tid))
	where, _ := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/wchan", b.tid))
	return err == nil && strings.Contains(string(stat), ") D ") &&
		(string(where) == "kernel_clone" || string(where) == "wait_for_vfork_done")
}

// release lets the thread go on, and waits for it. It does so once.
func (b *blockedThread) release(t *testing.T) {
	t.Helper()
	if b.lease == nil {
		return
	}
	// Not by closing it alone: the child has a copy of the descriptor.
	_, err := unix.FcntlInt(b.lease.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	require.NoError(t, errors.Join(err, b.lease.Close()))
	b.lease = nil
	require.ErrorIs(t, <-b.ended, unix.ENOEXEC)
}

// blockedPatience is shorter than the kernel's own, which breaks a lease in 45
// seconds unless told otherwise (/proc/sys/fs/lease-break-time).
const blockedPatience = 10 * time.Second

// blockedCase is an operation that a poster leaves behind when its thread
// blocks.
type blockedCase struct {
	name string
	op   messages.Op
	// meanwhile makes the operation complete, once the thread is blocked.
	meanwhile func()
}

// TestBlockedPoster has a poster's thread block right after it has posted. The
// completion must come while the thread is still blocked, whatever the
// operation.
func TestBlockedPoster(t *testing.T) {
	r := start(t)
	p := r.probe()
	r.send(p, 1, &messages.Timeout{}) // the pinned thread is there
	p.completed(1)
	for k, c := range blockedCases(r) {
		t.Run(c.name, func(t *testing.T) {
			seq := uint64(k + 100)
			b := blockThread(t, func() { r.send(p, seq, c.op) })
			if c.meanwhile != nil {
				c.meanwhile()
			}
			var answer any
			blocked := false
			select { // and not p.completed, which would stop the world to fail
			case answer = <-p.got:
				blocked = b.blocked()
			case <-time.After(blockedPatience):
			}
			b.release(t)
			require.True(t, blocked, "no completion came while the thread was blocked")
			completion, ok := answer.(*messages.Completion)
			require.True(t, ok, "%+v", answer)
			require.NoError(t, completion.Err)
			require.Equal(t, seq, completion.ID.Seq)
		})
	}
	if os.Getenv(inlineVariable) != inlineOff {
		require.Positive(t, r.inspect().Inline, "no poster ran the ring owner itself: nothing is shown")
	}
}

func blockedCases(r *rig) []blockedCase {
	t := r.t
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte{'x'}, 1<<20), 0o600))
	reader, writer := r.pipe()
	pipe := r.adopt(reader)
	file := do(r, &messages.Open{Path: path, Flags: os.O_RDWR})
	do(r, &messages.Fsync{Handle: file})
	wake := func() { _, _ = writer.WriteString("x") }
	cases := []blockedCase{
		{"nop", &messages.Nop{}, nil},
		{"pipe-read", &messages.Read{Handle: pipe, Buf: make([]byte, 1)}, wake},
		{"poll", &messages.Poll{Handle: pipe, Events: messages.Readable}, wake},
		{"timeout", &messages.Timeout{After: 50 * time.Millisecond}, nil},
		{"cached-read", &messages.Read{Handle: file, Buf: make([]byte, 4096)}, nil},
		{"write", &messages.Write{Handle: file, Buf: make([]byte, 4096)}, nil},
		{"fsync", &messages.Fsync{Handle: file}, nil},
		{"open-create", &messages.Open{Path: filepath.Join(dir, "new"), Flags: os.O_CREATE | os.O_WRONLY, Mode: 0o600}, nil},
		{"stat", &messages.Stat{Path: path}, nil},
		{"mkdir", &messages.Mkdir{Path: filepath.Join(dir, "directory"), Mode: 0o700}, nil},
		{"rename", &messages.Rename{OldPath: filepath.Join(dir, "new"), NewPath: filepath.Join(dir, "newer")}, nil},
		{"allocate", &messages.Allocate{Handle: file, Length: 2 << 20}, nil},
		{"settimes", &messages.SetTimes{Path: path, Modified: time.Unix(1, 0)}, nil},
		{"uncached-read", evictedRead(r, path), nil},
	}
	if direct := directRead(r, path); direct != nil {
		cases = append(cases, blockedCase{"direct-read", direct, nil})
	}
	return append(cases, blockedCase{"close", &messages.Close{Handle: file}, nil})
}

// evictedRead is a read of a part of a file that is not in memory.
func evictedRead(r *rig, path string) messages.Op {
	file := do(r, &messages.Open{Path: path})
	do(r, &messages.Advise{Handle: file, Advice: unix.FADV_DONTNEED})
	return &messages.Read{Handle: file, Buf: make([]byte, 4096), Offset: 512 << 10}
}

// directRead is an O_DIRECT read, or nil where the file system has none.
func directRead(r *rig, path string) messages.Op {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		r.t.Log("no O_DIRECT here: ", err)
		return nil
	}
	defer file.Close()
	return &messages.Read{Handle: r.adopt(file), Buf: aligned(4096, 4096)}
}

// aligned is a buffer at a multiple of so many bytes.
func aligned(size, to int) []byte {
	buf, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil || to > os.Getpagesize() {
		panic(fmt.Sprint(err, " or more than a page"))
	}
	return buf // never unmapped: it is a page
}

// TestBlockedSubmitter is the reason for the rule that TestBlockedPoster
// checks, and the proof that its thread blocks well enough: on a ring that is
// entered from such a thread, a pipe read does not complete while it blocks.
func TestBlockedSubmitter(t *testing.T) {
	kernel, err := ring.Open(ring.Options{Entries: 8, Completions: 16})
	if errors.Is(err, ring.ErrUnavailable) {
		t.Skip(err)
	}
	require.NoError(t, err)
	defer func() { require.NoError(t, kernel.Close()) }()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer func() { _, _ = reader.Close(), writer.Close() }()
	request := ring.PrepRead(int32(reader.Fd()), make([]byte, 1), ring.StreamOffset)
	var entered error
	b := blockThread(t, func() {
		kernel.Push(ring.MakeUserData(ring.KindOp, 0, 1), &request)
		_, entered = kernel.Enter()
	})
	_, err = writer.WriteString("x")
	require.NoError(t, err)
	looked := 0
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); looked++ {
		if _, early := kernel.Peek(); early {
			t.Skip("this kernel completes it all the same")
		}
		runtime.Gosched()
	}
	b.release(t)
	require.NoError(t, entered)
	eventually(t, "the read completes", func() bool {
		_, err := kernel.Enter()
		require.NoError(t, err)
		_, done := kernel.Peek()
		return done
	})
	t.Logf("looked %d times in vain", looked)
}
