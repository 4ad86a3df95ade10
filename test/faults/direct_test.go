//go:build linux

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
)

const page = 4096

// pages is memory that begins at a page's boundary.
func pages(n int) []byte {
	mem := make([]byte, (n+1)*page)
	skip := page - int(reflect.ValueOf(mem).Pointer()%page)
	return mem[skip:][:n*page]
}

// TestUnalignedDirect reads and writes with O_DIRECT at odd offsets, of odd
// lengths, from odd addresses (T22). On a disk that wants them even the answer is
// EINVAL, once, and nothing is touched; tmpfs takes any. What succeeds is right.
func TestUnalignedDirect(t *testing.T) {
	onSmallFS(t, func(t *testing.T, o *oracle, dir string) {
		path := filepath.Join(dir, "file")
		content := randomBytes(8 * page)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		file := do(o, &messages.Open{Path: path, Flags: os.O_RDWR | unix.O_DIRECT})
		refused := 0
		for _, c := range []struct{ from, length, offset int }{
			{0, page, 0}, {0, 2 * page, page}, // as it should be
			{0, 100, 0}, {0, page + 1, 0}, {0, 511, 512}, // length
			{0, page, 1}, {0, page, 513}, // offset
			{1, page, 0}, {512, page, 0}, {3, 2 * page, page}, // address
			{1, 77, 13}, // all of it
		} {
			name := fmt.Sprintf("%+v", c)
			got, err := await(o, &messages.Read{Handle: file, Buf: pages(4)[c.from:][:c.length], Offset: int64(c.offset)})
			if err != nil {
				require.ErrorIs(t, err, unix.EINVAL, name)
				refused++
			} else {
				require.Equal(t, content[c.offset:c.offset+c.length], got, name)
			}
			fill := pages(4)[c.from:][:c.length]
			copy(fill, randomBytes(c.length))
			n, err := await(o, &messages.Write{Handle: file, Buf: fill, Offset: int64(c.offset)})
			if err != nil {
				require.ErrorIs(t, err, unix.EINVAL, name)
				refused++
			} else {
				require.Equal(t, c.length, n, name)
				copy(content[c.offset:], fill)
			}
			requireContent(t, path, content)
		}
		require.Empty(t, do(o, &messages.Read{Handle: file, Buf: pages(1), Offset: 8 * page}), "at the end of the file")
		t.Logf("%d of 22 were refused by the kernel", refused)
		do(o, &messages.Close{Handle: file})
	})
}
