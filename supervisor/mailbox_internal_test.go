package supervisor

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// batch is what protoactor unpacks into a mailbox.
type batch []any

func (b batch) GetMessages() []any { return b }

// TestNothingThatIsNil: a nil that got into protoactor's queue would have it look
// there for ever.
func TestNothingThatIsNil(t *testing.T) {
	m := newMailbox()
	scheduled := 0
	m.RegisterHandlers(nil, dispatcher(func() { scheduled++ }))
	for _, message := range []any{nil, batch{nil}, &actor.MessageEnvelope{}, &actor.MessageEnvelope{Message: batch{nil}}} {
		m.PostUserMessage(message)
		require.Zero(t, m.UserMessageCount(), "%T", message)
	}
	require.Zero(t, scheduled)
	m.PostUserMessage("something")
	require.Equal(t, 1, scheduled)
}

// dispatcher is told of each run that is asked for, and makes none.
type dispatcher func()

func (d dispatcher) Schedule(func()) { d() }
func (dispatcher) Throughput() int   { return 1 }
