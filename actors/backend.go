package actors

import (
	"fmt"
	"os"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// Backend says what may perform the operations.
type Backend uint8

const (
	// BackendAuto is io_uring where the system allows it, and ordinary system
	// calls elsewhere, for what its io_uring lacks, and while no ring is to be
	// had that works.
	BackendAuto Backend = iota
	// BackendRing is io_uring, or a start that fails.
	BackendRing
	// BackendPortable is ordinary system calls, in any case.
	BackendPortable
)

// BackendVariable is the environment variable that chooses the backend, by its
// name, over the head of the program: for who runs one in a place that its
// author did not think of.
const BackendVariable = "RINGMASTER_BACKEND"

var backendNames = [...]string{BackendAuto: "auto", BackendRing: nameRing, BackendPortable: namePortable}

// The names by which inspections and reports call a backend.
const (
	nameRing     = "io_uring"
	namePortable = "portable"
)

// String names the backend as ParseBackend takes it.
func (b Backend) String() string {
	if int(b) < len(backendNames) {
		return backendNames[b]
	}
	return fmt.Sprintf("backend %d", uint8(b))
}

// ParseBackend finds a backend by its name: auto, io_uring or portable.
func ParseBackend(name string) (Backend, error) {
	for b, n := range backendNames {
		if n == name {
			return Backend(b), nil
		}
	}
	return 0, fmt.Errorf("%w: no backend %q, only auto, %s and %s", messages.ErrArgument, name, nameRing, namePortable)
}

// ObeyEnvironment has the environment variable decide, if it is set.
func (c *Config) ObeyEnvironment() (err error) {
	if name := os.Getenv(BackendVariable); name != "" {
		if c.Backend, err = ParseBackend(name); err != nil {
			return fmt.Errorf("environment variable %s: %w", BackendVariable, err)
		}
	}
	return nil
}

// opener is a backend to be opened.
type opener struct {
	name string
	open func(Config) (ring.Kernel, error)
}

// preferred is what serves if it can, and fallback what serves if that cannot;
// there may be none.
func (c *Config) preferred() opener {
	if c.Backend == BackendPortable {
		return opener{namePortable, c.OpenFallback}
	}
	return opener{nameRing, c.OpenKernel}
}

func (c *Config) fallback() (opener, bool) {
	return opener{namePortable, c.OpenFallback}, c.Backend == BackendAuto && c.OpenFallback != nil
}
