package sys

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// Bell is an eventfd on which a ring signals completions. It waits on Go's
// netpoller, so that nobody's thread does. The netpoller is edge-triggered and
// every signal is an edge: the counter is never read.
type Bell struct {
	file   *os.File
	conn   syscall.RawConn
	closed atomic.Bool
}

// NewBell makes a bell of an eventfd, which is the bell's from now on, also if
// this fails.
func NewBell(eventfd int) (*Bell, error) {
	file, err := Pollable(eventfd, "io_uring eventfd")
	if err != nil {
		return nil, err
	}
	conn, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &Bell{file: file, conn: conn}, nil
}

// Wait calls ready at once and at each signal, until the bell is closed.
func (b *Bell) Wait(ready func()) {
	// The error says that the file is closed, which is how this ends.
	_ = b.conn.Read(func(uintptr) bool {
		if !b.closed.Load() {
			ready()
		}
		return b.closed.Load()
	})
}

// Close has Wait return, and waits for a ready that is running.
func (b *Bell) Close() error {
	b.closed.Store(true)
	return b.file.Close()
}

// Pollable makes a file that waits on Go's netpoller of a descriptor, which is
// the file's from now on, also if this fails.
func Pollable(fd int, name string) (*os.File, error) {
	file := os.NewFile(uintptr(fd), name)
	// A file that the netpoller does not have accepts no deadline; waiting for
	// it would fail, or block a thread.
	if err := file.SetReadDeadline(time.Time{}); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}
