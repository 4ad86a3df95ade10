package sim

import (
	"hash/fnv"
	"strings"

	"golang.org/x/sys/unix"
)

// Node is what a path stands for. It follows from the path alone.
//
// The first part of the path is the device: on /fast everything is as it should
// be, /blind cannot be told not to wait, /slow has everything done by kernel
// workers that may hang. The first letter of the last part is the kind: f a
// regular file, s a stream (a pipe with somebody at its other end), b a block
// device, c a character device, l a symbolic link, n nothing at all, and anything
// else a directory.
type Node struct {
	Path   string
	Device Device
	Kind   NodeKind
	Inode  uint64
	Size   int64
}

// Device is one simulated file system.
type Device uint8

// The devices.
const (
	Fast Device = iota
	Blind
	Slow
)

// NodeKind is what a Node is.
type NodeKind uint8

// The kinds of node.
const (
	Directory NodeKind = iota
	Regular
	Stream
	BlockDevice
	Character
	Symlink
	Nothing
)

// NodeAt finds what a path stands for.
func NodeAt(path string) Node {
	n := Node{Path: path, Device: deviceAt(path)}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(path))
	n.Inode = hash.Sum64() | 1
	switch last := path[strings.LastIndexByte(path, '/')+1:]; {
	case last == "":
	case last[0] == 'f':
		n.Kind, n.Size = Regular, int64(n.Inode%4096)
	case last[0] == 's':
		n.Kind = Stream
	case last[0] == 'b':
		n.Kind, n.Size = BlockDevice, 1<<30
	case last[0] == 'c':
		n.Kind = Character
	case last[0] == 'l':
		n.Kind = Symlink
	case last[0] == 'n':
		n.Kind = Nothing
	}
	return n
}

func deviceAt(path string) Device {
	switch {
	case strings.HasPrefix(path, "/blind/"):
		return Blind
	case strings.HasPrefix(path, "/slow/"):
		return Slow
	default:
		return Fast
	}
}

// HasPositions reports whether what is read depends on where it is read, and not
// on what was read before.
func (n Node) HasPositions() bool { return n.Kind != Stream && n.Kind != Character }

// Byte is what stands at an offset of the node's content, or of what comes out
// of a stream. Eight bytes at a multiple of eight say where they are.
func (n Node) Byte(offset int64) byte {
	word := uint64(offset>>3)*0x9e3779b97f4a7c15 ^ n.Inode
	return byte(word >> (8 * (offset & 7)))
}

// Target is what a symbolic link says.
func (n Node) Target() string { return "target of " + n.Path }

// Entries is how many entries a directory has, and Entry names one.
func (n Node) Entries() int { return int(n.Inode % 7) }

// Entry names an entry.
func (n Node) Entry(i int) string { return "f" + string(rune('a'+i)) }

// mode is that of a stat.
func (n Node) mode() uint16 {
	switch n.Kind {
	case Regular:
		return unix.S_IFREG | 0o644
	case Stream:
		return unix.S_IFIFO | 0o644
	case BlockDevice:
		return unix.S_IFBLK | 0o600
	case Character:
		return unix.S_IFCHR | 0o600
	case Symlink:
		return unix.S_IFLNK | 0o777
	default:
		return unix.S_IFDIR | 0o755
	}
}

// below is the path that another one stands for, seen from a directory.
func below(dir *Description, path string) string {
	if strings.HasPrefix(path, "/") || dir == nil {
		return path
	}
	if path == "" {
		return dir.Node.Path
	}
	return strings.TrimSuffix(dir.Node.Path, "/") + "/" + path
}
