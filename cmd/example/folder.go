package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// folder is one directory on its way: it is opened, looked at and made; its
// entries are copied; and when all of them are done it gets its mode and times,
// which the entries would have changed, or which would have kept them out.
type folder struct {
	director *director
	parent   *folder // nil for the root of the tree
	name     string
	path     string // of the source, for people

	source, target messages.Handle
	attributes     *messages.Attributes
	entries        []messages.DirEntry
	files          []string // regular files that are in no batch yet
	chmod          bool     // of everything in it
	waiting        int      // for so many things, before the next step
}

// ownerBits let the program itself fill a directory that will be read-only.
const ownerBits fs.FileMode = 0o700

const openFolder = os.O_RDONLY | syscall.O_DIRECTORY

func (f *folder) open() {
	open := &messages.Open{Path: f.path, Flags: openFolder}
	if f.parent != nil {
		open = &messages.Open{Dir: f.parent.source, Path: f.name, Flags: openFolder | syscall.O_NOFOLLOW}
		f.chmod = f.parent.chmod
	}
	begin(f.director, &task[messages.Handle]{op: open, path: f.path, then: f.opened})
}

// opened asks for the directory's attributes and entries together.
func (f *folder) opened(_ actor.Context, h messages.Handle) {
	f.source = h
	f.waiting = 2
	begin(f.director, &task[*messages.Attributes]{
		op:   &messages.Stat{Dir: h},
		path: f.path,
		then: func(_ actor.Context, a *messages.Attributes) {
			f.attributes = a
			f.known()
		},
	})
	begin(f.director, &task[[]messages.DirEntry]{
		op:   &messages.ReadDir{Handle: h},
		path: f.path,
		then: func(_ actor.Context, entries []messages.DirEntry) {
			f.entries = entries
			f.known()
		},
	})
}

// known makes the copy once both answers are there.
func (f *folder) known() {
	if f.waiting--; f.waiting > 0 {
		return
	}
	dir, name := f.place()
	begin(f.director, &task[messages.None]{
		op:    &messages.Mkdir{Dir: dir, Path: name, Mode: f.attributes.Mode.Perm() | ownerBits},
		path:  f.path,
		makes: &f.director.job.tally.dirs,
		then:  func(actor.Context, messages.None) { f.openTarget() },
		excuse: func(_ actor.Context, err error) bool {
			there := f.director.job.overwrite && errors.Is(err, fs.ErrExist)
			if there {
				f.openTarget()
			}
			return there
		},
	})
}

// place is where the copy is made.
func (f *folder) place() (messages.Handle, string) {
	if f.parent == nil {
		return f.director.job.targetDir, f.director.job.targetName
	}
	return f.parent.target, f.name
}

func (f *folder) openTarget() {
	dir, name := f.place()
	begin(f.director, &task[messages.Handle]{
		op:   &messages.Open{Dir: dir, Path: name, Flags: openFolder | syscall.O_NOFOLLOW},
		path: f.path,
		then: func(ctx actor.Context, h messages.Handle) {
			f.target = h
			if f.parent == nil {
				f.probe()
				return
			}
			f.spread(ctx)
		},
	})
}

// probe compares the mode that the root of the copy got with the one that it
// was to get. A difference means that more than the umask is at work, as an
// access list that all of the tree inherits: then every mode is set explicitly.
// So it is in a tree that was there before.
func (f *folder) probe() {
	begin(f.director, &task[*messages.Attributes]{
		op:   &messages.Stat{Dir: f.target},
		path: f.path,
		then: func(ctx actor.Context, a *messages.Attributes) {
			job := f.director.job
			expected := (f.attributes.Mode.Perm() | ownerBits) &^ job.lost
			f.chmod = job.overwrite || a.Mode.Perm()|a.Mode&specialBits != expected
			f.spread(ctx)
		},
	})
}

// spread begins with the entries.
func (f *folder) spread(ctx actor.Context) {
	f.waiting = 1 // for this function
	for _, e := range f.entries {
		f.director.entry(ctx, f, e.Name, e.Type)
	}
	f.entries = nil
	f.offerFiles()
	f.childDone()
}

func (f *folder) addFile(name string) { f.files = append(f.files, name) }

// offerFiles makes batches of the files.
func (f *folder) offerFiles() {
	for len(f.files) > 0 {
		n := min(len(f.files), batchMax)
		f.waiting++
		f.director.copiers.offer(&batch{
			folder: f, from: f.source, to: f.target, path: f.path, names: f.files[:n:n], chmod: f.chmod,
		})
		f.files = f.files[n:]
	}
}

// childDone finishes the directory after its last entry.
func (f *folder) childDone() {
	if f.waiting--; f.waiting > 0 {
		return
	}
	f.waiting = 2
	f.begin(&messages.Close{Handle: f.source})
	f.begin(&messages.SetTimes{Dir: f.target, Modified: f.attributes.Modified})
	mode := f.attributes.Mode.Perm() | f.attributes.Mode&specialBits
	if f.chmod || f.director.job.needsChmod(mode) || mode != mode|ownerBits {
		f.waiting++
		f.begin(&messages.Chmod{Handle: f.target, Mode: mode})
	}
}

// begin starts one of the last operations.
func (f *folder) begin(op messages.Operation[messages.None]) {
	begin(f.director, &task[messages.None]{op: op, path: f.path, then: f.finished})
}

func (f *folder) finished(_ actor.Context, _ messages.None) {
	if f.waiting--; f.waiting > 0 {
		return
	}
	begin(f.director, &task[messages.None]{op: &messages.Close{Handle: f.target}, path: f.path, then: f.closed})
}

func (f *folder) closed(_ actor.Context, _ messages.None) {
	f.director.folders--
	if f.parent != nil {
		f.parent.childDone()
	}
}
