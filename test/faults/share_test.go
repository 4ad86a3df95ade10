//go:build linux

package faults

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/messages"
)

// TestOneOwnerTakesAll: actors that wait for more things than the kernel may
// have in flight, within their quota, do not keep others from what can be done at
// once, nor from being accepted.
func TestOneOwnerTakesAll(t *testing.T) {
	o := start(t)
	reader, writer := o.pipe()
	pipe := o.adopt(reader)
	greedy, more := o.requester(), o.requester()
	for range 10_000 {
		greedy.submit(&messages.Timeout{After: time.Hour})
		more.submit(&messages.Poll{Handle: pipe, Events: messages.Readable})
	}
	require.Positive(t, o.inspect().Queued)
	other := o.requester()
	for range 100 {
		require.NoError(t, other.submit(&messages.Nop{}).err())
		require.NoError(t, other.submit(&messages.Timeout{After: time.Microsecond}).err())
	}
	_, err := writer.WriteString("now")
	require.NoError(t, err)
	more.settled()
	greedy.cancelAll()
	greedy.settled()
	do(o, &messages.Close{Handle: pipe})
}
