package actors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/ringmaster-io/ringmaster/messages"
)

// The functions of this file are for goroutines; each is a few operations
// through Await.

// readChunk is how much ReadFile asks for where the file does not say its
// size, and the room it leaves to notice the end of one that does.
const readChunk = 32 << 10

// ReadFile reads a whole file. The path is absolute.
func ReadFile(ctx context.Context, c *Client, path string) (data []byte, err error) {
	file, err := Await(ctx, c, &messages.Open{Path: path, Flags: os.O_RDONLY})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeHandle(ctx, c, file)) }()
	info, err := Await(ctx, c, &messages.Stat{Dir: file})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return readAll(ctx, c, file, path, info)
}

func readAll(ctx context.Context, c *Client, file messages.Handle, path string, info *messages.Attributes) ([]byte, error) {
	stream := !info.Mode.IsRegular()
	data := make([]byte, 0, max(int(info.Size), 0)+512)
	for {
		if len(data) == cap(data) {
			grown := make([]byte, len(data), 2*cap(data)+readChunk)
			copy(grown, data)
			data = grown
		}
		read := &messages.Read{Handle: file, Buf: data[len(data):cap(data)]}
		if !stream {
			read.Offset = int64(len(data))
		}
		part, err := Await(ctx, c, read)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		if len(part) == 0 {
			return data, nil
		}
		data = data[:len(data)+len(part)]
	}
}

// ReadFull reads until buf is full, from offset on; io.ErrUnexpectedEOF says
// that the file ends before, and io.EOF that it ends at offset. On a stream,
// offset is 0, and nobody else should read meanwhile.
func ReadFull(ctx context.Context, c *Client, file messages.Handle, buf []byte, offset int64) (int, error) {
	total, at, stream := 0, offset, false
	for total < len(buf) {
		part, err := Await(ctx, c, &messages.Read{Handle: file, Buf: buf[total:], Offset: at})
		total += len(part)
		if !stream {
			at += int64(len(part))
		}
		switch {
		case isStream(err, offset, at):
			at, stream = 0, true
		case err != nil:
			return total, err
		case len(part) > 0:
		case total == 0:
			return 0, io.EOF
		default:
			return total, io.ErrUnexpectedEOF
		}
	}
	return total, nil
}

// WriteFull writes all of buf at offset. On a stream, or a file opened with
// O_APPEND, offset is 0, and others may write in between.
func WriteFull(ctx context.Context, c *Client, file messages.Handle, buf []byte, offset int64) error {
	at, stream := offset, false
	for len(buf) > 0 {
		n, err := Await(ctx, c, &messages.Write{Handle: file, Buf: buf, Offset: at})
		switch {
		case isStream(err, offset, at):
			at, stream = 0, true
		case err != nil:
			return err
		case n == 0:
			return io.ErrShortWrite
		case stream:
			buf = buf[n:]
		default:
			buf, at = buf[n:], at+int64(n)
		}
	}
	return nil
}

// isStream tells a stream from a file by its refusal of the position at which
// the second part would be. Nothing is done then, and 0 is the way to go on.
func isStream(err error, offset, at int64) bool {
	return offset == 0 && at > 0 && errors.Is(err, messages.ErrRange) && errors.Is(err, messages.ErrRefused)
}

// WriteFile writes data to a file, which it creates with the given permission
// bits or else truncates. A failure in between leaves a partial file; see
// ReplaceFile. The path is absolute.
func WriteFile(ctx context.Context, c *Client, path string, data []byte, perm fs.FileMode) error {
	file, err := Await(ctx, c, &messages.Open{Path: path, Flags: os.O_WRONLY | os.O_CREATE | os.O_TRUNC, Mode: perm})
	if err != nil {
		return err
	}
	if err := WriteFull(ctx, c, file, data, 0); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), closeHandle(ctx, c, file))
	}
	return closeHandle(ctx, c, file)
}

// ReplaceFile replaces a file's content as one step: whoever opens the path
// finds the old content or the new, whole, whatever fails in between, a power
// cut included. It writes beside the file, syncs, renames, and syncs the
// directory. On an error the old file is in place, unless the error is of the
// last step, and says so. The path is absolute.
func ReplaceFile(ctx context.Context, c *Client, path string, data []byte, perm fs.FileMode) error {
	dir, err := Await(ctx, c, &messages.Open{Path: filepath.Dir(path), Flags: os.O_RDONLY | openDirectory})
	if err != nil {
		return err
	}
	name := filepath.Base(path)
	err = replaceIn(ctx, c, dir, name, data, perm)
	if err != nil {
		err = fmt.Errorf("replacing %s: %w", path, err)
	}
	return errors.Join(err, closeHandle(ctx, c, dir))
}

func replaceIn(ctx context.Context, c *Client, dir messages.Handle, name string, data []byte, perm fs.FileMode) error {
	temporary := fmt.Sprintf(".%s.%016x", name, rand.Uint64())
	file, err := Await(ctx, c, &messages.Open{Dir: dir, Path: temporary, Flags: os.O_WRONLY | os.O_CREATE | os.O_EXCL, Mode: perm})
	if err != nil {
		return err
	}
	err = WriteFull(ctx, c, file, data, 0)
	if err == nil {
		_, err = Await(ctx, c, &messages.Fsync{Handle: file})
	}
	err = errors.Join(err, closeHandle(ctx, c, file))
	if err == nil {
		_, err = Await(ctx, c, &messages.Rename{OldDir: dir, OldPath: temporary, NewDir: dir, NewPath: name})
	}
	if err != nil {
		return errors.Join(err, tidyUp(ctx, c, &messages.Unlink{Dir: dir, Path: temporary}))
	}
	if _, err := Await(ctx, c, &messages.Fsync{Handle: dir}); err != nil {
		return fmt.Errorf("the new file is in place, but syncing its directory failed: %w", err)
	}
	return nil
}

// closeHandle closes a file, or a directory.
func closeHandle(ctx context.Context, c *Client, file messages.Handle) error {
	return tidyUp(ctx, c, &messages.Close{Handle: file})
}

// tidyTries bounds how often restarts may come in the way of a tidyUp.
const tidyTries = 1000

// tidyUp performs what must not be left undone because the caller gave up, or
// because the ring owner was restarted over it. It is for what may be performed
// twice: a name that is gone is as good as one that was removed.
func tidyUp(ctx context.Context, c *Client, op messages.Operation[messages.None]) (err error) {
	ctx = context.WithoutCancel(ctx)
	for try := range tidyTries {
		_, err = Await(ctx, c, op)
		switch {
		case try > 0 && errors.Is(err, fs.ErrNotExist):
			return nil
		case !errors.Is(err, messages.ErrRestarted) && !errors.Is(err, messages.ErrRingLost):
			return err
		}
	}
	return err
}
