package actors_test

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/ringmaster-io/ringmaster/actors"
)

// TestNewsIsBounded: what comes while a subscriber blocks takes one goroutine and so
// much memory; what was dropped is counted and logged, in its place.
func TestNewsIsBounded(t *testing.T) {
	system := actor.NewActorSystem()
	core, logs := observer.New(zapcore.ErrorLevel)
	var tell []func()
	h := actors.NewHerald(system, zap.New(core), func(f func()) { tell = append(tell, f) })
	var told []any
	s := system.EventStream.Subscribe(func(event any) { told = append(told, event) })
	defer system.EventStream.Unsubscribe(s)
	var want []any
	for n := range actors.NewsBound {
		h.Announce(n)
		want = append(want, n)
	}
	h.Announce("too", "many")
	require.Len(t, tell, 1)
	tell[0]()
	require.Equal(t, want, told)
	require.Equal(t, 1, logs.Len())
	require.EqualValues(t, 2, logs.All()[0].ContextMap()["events"])

	h.Announce("later")
	require.Len(t, tell, 2)
	tell[1]()
	require.Equal(t, append(want, "later"), told)
	require.Equal(t, 1, logs.Len())
}
