//go:build !linux

package sys

import "errors"

var errNotLinux = errors.New("io_uring needs Linux")

// Kernel stands where on Linux the running kernel does. It refuses everything.
type Kernel struct{}

// Setup refuses.
func (Kernel) Setup(uint32, *Params) (int, error) { return -1, errNotLinux }

// Enter refuses.
func (Kernel) Enter(int, uint32, uint32) (int, error) { return 0, errNotLinux }

// Thread is none.
func (Kernel) Thread() uint32 { return 0 }

// Probe refuses.
func (Kernel) Probe(int, *Probe) error { return errNotLinux }

// LimitWorkers refuses.
func (Kernel) LimitWorkers(int, *[2]uint32) error { return errNotLinux }

// RegisterEventfd refuses.
func (Kernel) RegisterEventfd(int, int) error { return errNotLinux }

// RegisterFile refuses.
func (Kernel) RegisterFile(int, int) error { return errNotLinux }

// Pipe refuses.
func (Kernel) Pipe() (r, w int, err error) { return -1, -1, errNotLinux }

// Eventfd refuses.
func (Kernel) Eventfd() (int, error) { return -1, errNotLinux }

// Close refuses.
func (Kernel) Close(int) error { return errNotLinux }

// Map refuses.
func (Kernel) Map(int, int64, int) ([]byte, error) { return nil, errNotLinux }

// DontFork refuses.
func (Kernel) DontFork([]byte) error { return errNotLinux }

// Unmap refuses.
func (Kernel) Unmap([]byte) error { return errNotLinux }
