package messages_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/messages"
)

// ops is one operation of each kind.
func ops() []messages.Op {
	return []messages.Op{
		&messages.Nop{}, &messages.Timeout{}, &messages.Poll{},
		&messages.Open{}, &messages.Adopt{}, &messages.Give{}, &messages.Close{},
		&messages.Read{}, &messages.Write{}, &messages.ReadV{}, &messages.WriteV{},
		&messages.Fsync{}, &messages.Fdatasync{}, &messages.Truncate{}, &messages.Allocate{},
		&messages.Advise{}, &messages.Chmod{}, &messages.Chown{}, &messages.ReadDir{},
		&messages.Stat{}, &messages.Mkdir{}, &messages.Unlink{}, &messages.Rename{},
		&messages.Link{}, &messages.Symlink{}, &messages.ReadLink{}, &messages.SetTimes{},
	}
}

func TestNamesAreDistinctAndLowerCase(t *testing.T) {
	seen := map[string]bool{}
	for _, op := range ops() {
		name := op.Name()
		require.False(t, seen[name], "%q twice", name)
		seen[name] = true
		require.Equal(t, strings.ToLower(name), name)
		require.Equal(t, strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", op), "*messages.")), name)
	}
}

// check reads the result of a completion as type R.
func check[R any](t *testing.T, c messages.Completion, want R) {
	t.Helper()
	got, err := messages.Result[R](&c)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestResults(t *testing.T) {
	handle := messages.NewHandle(1, 2)
	buf := []byte("abcdef")
	check(t, messages.Completion{Op: &messages.Nop{}}, messages.None{})
	check(t, messages.Completion{Op: &messages.Read{Buf: buf}, N: 3}, buf[:3])
	check(t, messages.Completion{Op: &messages.Read{Buf: buf}}, buf[:0])
	check(t, messages.Completion{Op: &messages.Write{Buf: buf}, N: 6}, 6)
	check(t, messages.Completion{Op: &messages.ReadV{}, N: 7}, 7)
	check(t, messages.Completion{Op: &messages.WriteV{}, N: 8}, 8)
	check(t, messages.Completion{Op: &messages.Open{}, Handle: handle}, handle)
	check(t, messages.Completion{Op: &messages.Adopt{}, Handle: handle}, handle)
	check(t, messages.Completion{Op: &messages.Poll{}, N: 0x11}, messages.Readable|messages.HungUp)
	check(t, messages.Completion{Op: &messages.ReadLink{}, Value: "there"}, "there")
	check(t, messages.Completion{Op: &messages.Stat{}, Value: &messages.Attributes{Size: 9}}, &messages.Attributes{Size: 9})
	check(t, messages.Completion{Op: &messages.ReadDir{}, Value: []messages.DirEntry{{Name: "x"}}}, []messages.DirEntry{{Name: "x"}})
	check(t, messages.Completion{Op: &messages.ReadDir{}}, []messages.DirEntry(nil))
	for _, op := range ops() {
		if _, none := op.(messages.Operation[messages.None]); none {
			check(t, messages.Completion{Op: op}, messages.None{})
		}
	}
}

func TestResultOfAFailure(t *testing.T) {
	_, err := messages.Result[[]byte](&messages.Completion{Op: &messages.Read{}, Err: syscall.EIO})
	require.Equal(t, syscall.EIO, err)
	_, err = messages.Result[[]byte](&messages.Completion{Err: messages.ErrOutcomeUnknown})
	require.ErrorIs(t, err, messages.ErrOutcomeUnknown)
	_, err = messages.Result[int](&messages.Completion{Op: &messages.Read{}})
	require.ErrorIs(t, err, messages.ErrUnknownOp, "of another type")
	_, err = messages.Result[int](&messages.Completion{})
	require.ErrorIs(t, err, messages.ErrUnknownOp, "of nothing")
}

func TestSentinelsAreTheStandardLibrarys(t *testing.T) {
	for err, is := range map[error]error{
		messages.ErrHandleClosed: fs.ErrClosed,
		messages.ErrRights:       fs.ErrPermission,
		messages.ErrPath:         fs.ErrInvalid,
		messages.ErrRange:        fs.ErrInvalid,
		messages.ErrArgument:     fs.ErrInvalid,
		messages.ErrUnsupported:  errors.ErrUnsupported,
	} {
		require.ErrorIs(t, err, is)
		require.ErrorIs(t, fmt.Errorf("detail: %w", err), err)
	}
	all := []error{
		messages.ErrRefused, messages.ErrNilMessage, messages.ErrUnknownOp, messages.ErrBadHandle,
		messages.ErrHandleClosed, messages.ErrRights, messages.ErrPath, messages.ErrRange,
		messages.ErrArgument, messages.ErrDuplicateID, messages.ErrOverloaded, messages.ErrQuota,
		messages.ErrOwner, messages.ErrUnsupported, messages.ErrRestarted, messages.ErrUnavailable,
		messages.ErrStopped, messages.ErrOutcomeUnknown,
	}
	for i, a := range all {
		for k, b := range all {
			require.Equal(t, i == k, errors.Is(a, b), "%v is %v", a, b)
		}
		require.NotEmpty(t, a.Error())
		require.Equal(t, strings.ToLower(a.Error()[:1]), a.Error()[:1])
	}
}

func TestOpError(t *testing.T) {
	err := &messages.OpError{Op: "open", Path: "/x", Err: syscall.ENOENT}
	require.Equal(t, "open /x: no such file or directory", err.Error())
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Equal(t, syscall.ENOENT, err.Errno())
	require.False(t, err.Timeout())

	late := &messages.OpError{Op: "read", Err: syscall.ECANCELED, Why: context.DeadlineExceeded}
	require.Equal(t, "read: context deadline exceeded: operation canceled", late.Error())
	require.ErrorIs(t, late, context.DeadlineExceeded)
	require.ErrorIs(t, late, syscall.ECANCELED)
	require.True(t, late.Timeout())
	var timeout interface{ Timeout() bool }
	require.ErrorAs(t, late, &timeout)

	refused := &messages.OpError{Op: "close", Err: messages.ErrBadHandle, Why: messages.ErrRefused}
	require.ErrorIs(t, refused, messages.ErrRefused)
	require.Zero(t, refused.Errno())
}

// TestHandlesKeepTheirSecret however they are printed.
func TestHandlesKeepTheirSecret(t *testing.T) {
	const key = 0xfeedfacecafebeef
	h := messages.NewHandle(5<<32|3, key)
	require.EqualValues(t, 5<<32|3, h.ID())
	require.EqualValues(t, uint64(key), h.Key())
	require.Equal(t, "handle 3.5", h.String())
	require.Equal(t, "no handle", messages.Handle{}.String())
	require.True(t, messages.Handle{}.IsZero())
	require.False(t, h.IsZero())
	inside := &messages.Read{Handle: h}
	for _, format := range [...]string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%X", "%o", "%q"} {
		for _, v := range [...]any{h, &h, inside, *inside, messages.Completion{Handle: h}} {
			text := strings.ToLower(fmt.Sprintf(format, v))
			for _, base := range [...]int{8, 10, 16} {
				require.NotContains(t, text, strconv.FormatUint(key, base), "%s of %T", format, v)
			}
		}
	}
}

func TestRights(t *testing.T) {
	require.Equal(t, "none", messages.Rights(0).String())
	require.Equal(t, "read|meta", (messages.RightRead | messages.RightMeta).String())
	require.Equal(t, "read|write|meta|path", messages.RightsAll.String())
	require.True(t, messages.RightsAll.Has(messages.RightRead|messages.RightPath))
	require.False(t, messages.RightRead.Has(messages.RightRead|messages.RightWrite))
	require.True(t, messages.Rights(0).Has(0))
}

func TestStrings(t *testing.T) {
	require.Equal(t, "$3#17", messages.OpID{Owner: actor.NewPID("a", "$3"), Seq: 17}.String())
	require.Equal(t, "nobody#0", messages.OpID{}.String())
	for outcome, want := range map[messages.CancelOutcome]string{
		messages.NotFound: "not found", messages.Cancelled: "cancelled", messages.AlreadyDone: "already done",
	} {
		require.Equal(t, want, outcome.String())
	}
}

// TestAnswersStayOutOfTheDeadLetterLog, and so does what is answered by a
// refusal anyway.
func TestAnswersStayOutOfTheDeadLetterLog(t *testing.T) {
	for _, m := range [...]any{
		&messages.Completion{}, &messages.Refused{}, &messages.CancelResult{}, &messages.Ready{},
		&messages.Inspection{}, &messages.Submit{}, &messages.SubmitBatch{},
	} {
		_, ignored := m.(actor.IgnoreDeadLetterLogging)
		require.True(t, ignored, "%T", m)
	}
}
