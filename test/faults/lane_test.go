//go:build linux

package faults

import (
	"testing"

	"github.com/ringmaster-io/ringmaster/messages"
)

// TestLinksOfHungMount: reads of links that hang on one mount, however many, hold up
// nobody who reads links elsewhere.
func TestLinksOfHungMount(t *testing.T) {
	m := mountFUSE(t)
	o := start(t)
	r, other := o.requester(), o.requester()
	m.hang("readlink")
	for range 500 {
		r.submit(&messages.ReadLink{Path: m.path("link")})
	}
	m.hung("readlink", 8)
	other.submit(&messages.ReadLink{Path: "/proc/self/exe"}).wait()
	m.serve()
	r.settled()
}
