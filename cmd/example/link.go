package main

import (
	"errors"
	"io/fs"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// link copies one symbolic link as what it says, not what it points to.
type link struct {
	folder     *folder
	name       string
	attributes *messages.Attributes
	says       string
	waiting    int
}

func (l *link) path() string { return joinPath(l.folder.path, l.name) }

func (l *link) begin(ctx actor.Context) {
	l.waiting = 2
	entrust(ctx, l.folder.director, &task[*messages.Attributes]{
		op:   &messages.Stat{Dir: l.folder.source, Path: l.name, NoFollow: true},
		path: l.path(),
		then: func(ctx actor.Context, a *messages.Attributes) {
			l.attributes = a
			l.known(ctx)
		},
	})
	entrust(ctx, l.folder.director, &task[string]{
		op:   &messages.ReadLink{Dir: l.folder.source, Path: l.name},
		path: l.path(),
		then: func(ctx actor.Context, says string) {
			l.says = says
			l.known(ctx)
		},
	})
}

func (l *link) known(ctx actor.Context) {
	if l.waiting--; l.waiting == 0 {
		l.make(ctx)
	}
}

func (l *link) make(ctx actor.Context) {
	entrust(ctx, l.folder.director, &task[messages.None]{
		op:     &messages.Symlink{Target: l.says, Dir: l.folder.target, Path: l.name},
		path:   l.path(),
		makes:  &l.folder.director.job.tally.symlinks,
		then:   l.made,
		excuse: l.replace,
	})
}

// replace makes room where the name is taken, if it may.
func (l *link) replace(ctx actor.Context, err error) bool {
	if !l.folder.director.job.overwrite || !errors.Is(err, fs.ErrExist) {
		return false
	}
	entrust(ctx, l.folder.director, &task[messages.None]{
		op:   &messages.Unlink{Dir: l.folder.target, Path: l.name},
		path: l.path(),
		then: func(ctx actor.Context, _ messages.None) { l.make(ctx) },
	})
	return true
}

func (l *link) made(ctx actor.Context, _ messages.None) {
	entrust(ctx, l.folder.director, &task[messages.None]{
		op:   &messages.SetTimes{Dir: l.folder.target, Path: l.name, NoFollow: true, Modified: l.attributes.Modified},
		path: l.path(),
		then: func(actor.Context, messages.None) { l.folder.childDone() },
	})
}
