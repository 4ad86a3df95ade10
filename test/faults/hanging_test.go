//go:build linux

package faults

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/messages"
)

// hanging is an operation on a file system that hangs: in which of its requests,
// and what makes the operation. A file of it is open.
type hanging struct {
	name, kind string
	flags      int // of the file
	file       string
	op         func(m *fuseMount, file messages.Handle) messages.Op
}

var hangingOps = []hanging{
	{"read", "read", os.O_RDONLY, "file", readOp},
	{"read past the cache", "read", os.O_RDONLY, "raw", readOp},
	{"read with O_DIRECT", "read", os.O_RDONLY | unix.O_DIRECT, "file", readOp},
	{"readv", "read", os.O_RDONLY, "file", func(_ *fuseMount, file messages.Handle) messages.Op {
		return &messages.ReadV{Handle: file, Bufs: [][]byte{make([]byte, 100), make([]byte, 100)}}
	}},
	{"write", "write", os.O_RDWR, "file", writeOp},
	{"write past the cache", "write", os.O_RDWR, "raw", writeOp},
	{"write with O_DIRECT", "write", os.O_RDWR | unix.O_DIRECT, "file", writeOp},
	{"fsync", "fsync", os.O_RDWR, "file", func(_ *fuseMount, file messages.Handle) messages.Op { return &messages.Fsync{Handle: file} }},
	{"truncate", "setattr", os.O_RDWR, "file", func(_ *fuseMount, file messages.Handle) messages.Op {
		return &messages.Truncate{Handle: file, Size: fuseFileSize}
	}},
	{"close", "flush", os.O_RDWR, "file", func(_ *fuseMount, file messages.Handle) messages.Op { return &messages.Close{Handle: file} }},
	{"open in lookup", "lookup", os.O_RDONLY, "file", openOp},
	{"open", "open", os.O_RDONLY, "file", openOp},
	{"stat", "lookup", os.O_RDONLY, "file", func(m *fuseMount, _ messages.Handle) messages.Op { return &messages.Stat{Path: m.path("other")} }},
	{"mkdir", "mkdir", os.O_RDONLY, "file", func(m *fuseMount, _ messages.Handle) messages.Op {
		return &messages.Mkdir{Path: m.path("new"), Mode: 0o700}
	}},
	{"unlink", "unlink", os.O_RDONLY, "file", func(m *fuseMount, _ messages.Handle) messages.Op { return &messages.Unlink{Path: m.path("other")} }},
	{"readlink", "readlink", os.O_RDONLY, "file", func(m *fuseMount, _ messages.Handle) messages.Op { return &messages.ReadLink{Path: m.path("link")} }},
	{"readdir", "readdir", os.O_RDONLY, "dir", func(_ *fuseMount, dir messages.Handle) messages.Op { return &messages.ReadDir{Handle: dir} }},
	{"chmod", "setattr", os.O_RDWR, "file", func(_ *fuseMount, file messages.Handle) messages.Op {
		return &messages.Chmod{Handle: file, Mode: 0o600}
	}},
}

// pageOf is memory that O_DIRECT takes: what Go allocates of that size begins on
// a page.
func pageOf() []byte { return make([]byte, 32<<10) }

func readOp(_ *fuseMount, file messages.Handle) messages.Op {
	return &messages.Read{Handle: file, Buf: pageOf()}
}

func writeOp(_ *fuseMount, file messages.Handle) messages.Op {
	return &messages.Write{Handle: file, Buf: pageOf()}
}

func openOp(m *fuseMount, _ messages.Handle) messages.Op {
	return &messages.Open{Path: m.path("other"), Flags: os.O_RDONLY}
}

// hangOne starts an operation that hangs, and returns when it does. The Submit
// is sent by a goroutine of its own: it is a failure if it does not return, and
// not to be the test's.
func hangOne(m *fuseMount, r *requester, h hanging) (e *entry, file messages.Handle) {
	r.o.t.Helper()
	file = m.open(r.o, h.file, h.flags)
	m.hang(h.kind)
	op := h.op(m, file)
	submitted := make(chan *entry, 1)
	go func() { submitted <- r.submit(op) }()
	m.hung(h.kind, 1)
	select {
	case e = <-submitted:
	case <-time.After(patience):
		m.serve()
		r.o.t.Fatal("who sends the Submit is held up by the device")
	}
	return e, file
}
