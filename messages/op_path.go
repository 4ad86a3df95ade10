package messages

import (
	"io/fs"
	"time"
)

// In each operation on a path, a relative path starts from its directory
// handle and is refused without one; an absolute path needs none.

// Stat says what a file is. With an empty Path it speaks of Dir itself, which
// may then be any handle. See statx(2).
type Stat struct {
	Dir  Handle
	Path string
	// NoFollow speaks of a symbolic link instead of what it points to.
	NoFollow bool
}

// Mkdir makes a directory. See mkdirat(2).
type Mkdir struct {
	Dir  Handle
	Path string
	Mode fs.FileMode // permission bits, before the process's umask
}

// Unlink removes a name: of a file, or with Directory of an empty directory.
// See unlinkat(2).
type Unlink struct {
	Dir       Handle
	Path      string
	Directory bool
}

// Rename moves a file to another name. Flags are the RENAME_* bits of
// renameat2(2), for instance unix.RENAME_NOREPLACE.
type Rename struct {
	OldDir  Handle
	OldPath string
	NewDir  Handle
	NewPath string
	Flags   uint32
}

// Link gives a file a further name. See linkat(2).
type Link struct {
	OldDir  Handle
	OldPath string
	NewDir  Handle
	NewPath string
	// Follow links to what a symbolic link at OldPath points to.
	Follow bool
}

// Symlink makes a symbolic link that says Target, which is taken as it is. See
// symlinkat(2).
type Symlink struct {
	Target string
	Dir    Handle
	Path   string
}

// ReadLink gives what a symbolic link says. See readlinkat(2).
type ReadLink struct {
	Dir  Handle
	Path string
}

// SetTimes sets a file's times of access and modification; a zero time leaves
// one as it is. With an empty Path it speaks of Dir itself, which may then be
// any handle. See utimensat(2).
type SetTimes struct {
	Dir      Handle
	Path     string
	NoFollow bool
	Accessed time.Time
	Modified time.Time
}

// Name implements [Op].
func (*Stat) Name() string { return "stat" }

// Name implements [Op].
func (*Mkdir) Name() string { return "mkdir" }

// Name implements [Op].
func (*Unlink) Name() string { return "unlink" }

// Name implements [Op].
func (*Rename) Name() string { return "rename" }

// Name implements [Op].
func (*Link) Name() string { return "link" }

// Name implements [Op].
func (*Symlink) Name() string { return "symlink" }

// Name implements [Op].
func (*ReadLink) Name() string { return "readlink" }

// Name implements [Op].
func (*SetTimes) Name() string { return "settimes" }

// Result implements [Operation].
func (*Stat) Result(c *Completion) *Attributes {
	attributes, _ := c.Value.(*Attributes)
	return attributes
}

// Result implements [Operation].
func (*Mkdir) Result(*Completion) None { return None{} }

// Result implements [Operation].
func (*Unlink) Result(*Completion) None { return None{} }

// Result implements [Operation].
func (*Rename) Result(*Completion) None { return None{} }

// Result implements [Operation].
func (*Link) Result(*Completion) None { return None{} }

// Result implements [Operation].
func (*Symlink) Result(*Completion) None { return None{} }

// Result implements [Operation].
func (*ReadLink) Result(c *Completion) string {
	target, _ := c.Value.(string)
	return target
}

// Result implements [Operation].
func (*SetTimes) Result(*Completion) None { return None{} }

func (*Stat) sealed()     {}
func (*Mkdir) sealed()    {}
func (*Unlink) sealed()   {}
func (*Rename) sealed()   {}
func (*Link) sealed()     {}
func (*Symlink) sealed()  {}
func (*ReadLink) sealed() {}
func (*SetTimes) sealed() {}
