package sys

import "golang.org/x/sys/unix"

// Map maps a part of a ring, shared with the kernel.
func (Kernel) Map(fd int, offset int64, size int) ([]byte, error) {
	return unix.Mmap(fd, offset, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
}

// DontFork keeps a mapping out of child processes, which would otherwise hold
// the ring open, and could write to it.
func (Kernel) DontFork(mem []byte) error { return unix.Madvise(mem, unix.MADV_DONTFORK) }

// Unmap undoes Map.
func (Kernel) Unmap(mem []byte) error { return unix.Munmap(mem) }
