package sim

import "golang.org/x/sys/unix"

// What only Linux has, by its numbers: the simulated kernel is the same
// everywhere.
const (
	errLost      = unix.Errno(53) // EBADR
	errDisabled  = unix.Errno(77) // EBADFD
	openDirectly = 0x4000         // O_DIRECT
)
