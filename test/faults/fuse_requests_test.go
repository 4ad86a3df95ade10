//go:build linux

package faults

import (
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

const (
	firstNode    = fuse.FUSE_ROOT_ID + 1
	fuseFileSize = 1 << 20
	fuseTarget   = "where the link leads"
	// forLong is for how long the kernel may keep attributes. Names it may not
	// keep at all, so that each use of a path asks for it.
	forLong = 3600
)

// pattern fills a part of a file with what it holds at an offset.
func pattern(buf []byte, offset int64) []byte {
	for i := range buf {
		at := offset + int64(i)
		buf[i] = byte(at) ^ byte(at>>9)*7
	}
	return buf
}

// entry gives a name its node.
func (s *fuseServer) entry(name string, out *fuse.EntryOut) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, known := range s.names {
		if known == name {
			out.NodeId = uint64(firstNode + k)
		}
	}
	if out.NodeId == 0 {
		s.names = append(s.names, name)
		out.NodeId = uint64(firstNode + len(s.names) - 1)
	}
	out.AttrValid = forLong
	attributesOf(name, out.NodeId, &out.Attr)
}

func attributesOf(name string, node uint64, out *fuse.Attr) {
	out.Ino, out.Nlink, out.Mode, out.Size = node, 1, unix.S_IFREG|0o644, fuseFileSize
	switch {
	case strings.HasPrefix(name, "dir"), strings.HasPrefix(name, "new"):
		out.Mode, out.Size = unix.S_IFDIR|0o755, 0
	case strings.HasPrefix(name, "link"):
		out.Mode, out.Size = unix.S_IFLNK|0o777, uint64(len(fuseTarget))
	}
}

// Lookup implements [fuse.RawFileSystem].
func (s *fuseServer) Lookup(_ <-chan struct{}, _ *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if a := s.ask("lookup", name); a.errno != 0 {
		return fuse.Status(a.errno)
	}
	if strings.HasPrefix(name, "new") {
		return fuse.ENOENT
	}
	s.entry(name, out)
	return fuse.OK
}

// GetAttr implements [fuse.RawFileSystem].
func (s *fuseServer) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	attributesOf(s.name(in.NodeId), in.NodeId, &out.Attr)
	return s.askOf("getattr", in.NodeId) // and what it says is not kept
}

// SetAttr implements [fuse.RawFileSystem].
func (s *fuseServer) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	out.AttrValid = forLong
	attributesOf(s.name(in.NodeId), in.NodeId, &out.Attr)
	return s.askOf("setattr", in.NodeId)
}

// Mkdir implements [fuse.RawFileSystem].
func (s *fuseServer) Mkdir(_ <-chan struct{}, _ *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	if a := s.ask("mkdir", name); a.errno != 0 {
		return fuse.Status(a.errno)
	}
	s.entry(name, out)
	return fuse.OK
}

// Unlink implements [fuse.RawFileSystem].
func (s *fuseServer) Unlink(_ <-chan struct{}, _ *fuse.InHeader, name string) fuse.Status {
	return fuse.Status(s.ask("unlink", name).errno)
}

// Readlink implements [fuse.RawFileSystem].
func (s *fuseServer) Readlink(_ <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	return []byte(fuseTarget), s.askOf("readlink", in.NodeId)
}

// OpenDir implements [fuse.RawFileSystem].
func (s *fuseServer) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, _ *fuse.OpenOut) fuse.Status {
	return s.askOf("opendir", in.NodeId)
}

// ReadDir implements [fuse.RawFileSystem]: directories are empty.
func (s *fuseServer) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, _ *fuse.DirEntryList) fuse.Status {
	return s.askOf("readdir", in.NodeId)
}

// ReadDirPlus implements [fuse.RawFileSystem].
func (s *fuseServer) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return s.ReadDir(cancel, in, out)
}

// Open implements [fuse.RawFileSystem].
func (s *fuseServer) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if strings.HasPrefix(s.name(in.NodeId), "raw") {
		out.OpenFlags |= fuse.FOPEN_DIRECT_IO
	}
	status := s.askOf("open", in.NodeId)
	if status.Ok() {
		s.say("opened %s", s.name(in.NodeId))
	}
	return status
}

// Read implements [fuse.RawFileSystem].
func (s *fuseServer) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	a := s.ask("read", s.name(in.NodeId))
	if a.errno != 0 {
		return nil, fuse.Status(a.errno)
	}
	n := min(int(in.Size), len(buf), max(0, fuseFileSize-int(in.Offset)))
	if a.short {
		n /= 2
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if content := s.written[in.NodeId]; content != nil {
		copy(buf[:n], content[in.Offset:])
	} else {
		pattern(buf[:n], int64(in.Offset))
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

// Write implements [fuse.RawFileSystem]. It keeps what is written within the
// file's size, which stays as it is.
func (s *fuseServer) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	a := s.ask("write", s.name(in.NodeId))
	if a.errno != 0 {
		return 0, fuse.Status(a.errno)
	}
	if a.short {
		data = data[:len(data)/2]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.written[in.NodeId] == nil {
		s.written[in.NodeId] = pattern(make([]byte, fuseFileSize), 0)
	}
	return uint32(copy(s.written[in.NodeId][in.Offset:], data)), fuse.OK
}

// Flush implements [fuse.RawFileSystem]: each close(2) asks for one.
func (s *fuseServer) Flush(_ <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	return s.askOf("flush", in.NodeId)
}

// Fsync implements [fuse.RawFileSystem].
func (s *fuseServer) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return s.askOf("fsync", in.NodeId)
}

// Release implements [fuse.RawFileSystem]: the last close of an open file. The
// test is told of it, since nobody else is.
func (s *fuseServer) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	s.say("released %s", s.name(in.NodeId))
	_ = s.askOf("release", in.NodeId)
}
