package test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/supervisor"
)

func TestSmoke(t *testing.T) {
	system := actor.NewActorSystem()
	rm, err := supervisor.Start(system)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c := rm.Client()
	_, err = actors.Await(ctx, c, &messages.Nop{})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, actors.WriteFile(ctx, c, path, []byte("hello"), 0o644))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	require.NoError(t, actors.ReplaceFile(ctx, c, path, []byte("hello again"), 0o644))
	data, err := actors.ReadFile(ctx, c, path)
	require.NoError(t, err)
	require.Equal(t, "hello again", string(data))
	_, err = actors.Await(ctx, c, &messages.Timeout{After: time.Millisecond})
	require.NoError(t, err)
	in, err := rm.Inspect(ctx)
	require.NoError(t, err)
	t.Logf("%+v", in)
	report, err := rm.Shutdown(ctx)
	t.Logf("%+v", report)
	require.NoError(t, err)
}
