package main

import (
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

const (
	// foldersMax bounds the directories that are open at once, unless nothing
	// else goes on: a tree may be deeper than that.
	foldersMax = 64
	// backlogMax bounds the files that are known and not copied.
	backlogMax = 1024
	// batchMax is how many files a copier gets at a time.
	batchMax = 16
)

// director walks the source tree. It makes the directories of the copy itself,
// has operation actors make the links, and hands the files to the copiers.
type director struct {
	errands
	crew    crew
	job     *copyJob
	copiers *pool[*batch]
	todo    []*folder // to be opened; a stack, so that the walk goes deep first
	folders int       // that are open
	err     error     // the first one: nothing new is begun
}

// stopDirecting tells the director to end before its time.
type stopDirecting struct{ reason error }

// newDirector gives the properties of a director. A bug in it or in a copier,
// which would be restarted without its memory, ends the copy instead.
func newDirector(job *copyJob) *actor.Props {
	escalate := func(any) actor.Directive { return actor.EscalateDirective }
	return actor.PropsFromProducer(func() actor.Actor {
		return &director{job: job, errands: errands{port: port{owner: job.owner}}, crew: crew{client: job.client}}
	}, actor.WithSupervisor(actor.NewOneForOneStrategy(0, 0, escalate)))
}

// Receive implements actor.Actor.
func (d *director) Receive(ctx actor.Context) {
	if d.job.over {
		return
	}
	switch m := ctx.Message().(type) {
	case *actor.Started:
		d.start(ctx)
	case *actor.Restarting:
		d.end(ctx, errors.New("the director failed; see the log"))
		return
	case *stopDirecting:
		d.fail(ctx, m.reason)
	case *batchDone:
		d.batchDone(ctx, m)
	default:
		if !d.receive(ctx) && !d.crew.receive(ctx) {
			return
		}
	}
	d.goOn(ctx)
	d.flush(ctx)
}

func (d *director) start(ctx actor.Context) {
	d.self = ctx.Self()
	d.copiers = newPool[*batch](ctx, copiers, transfersEach, func() actor.Actor { return newCopier(d.job, d.self) })
	if d.job.attributes.Mode.IsDir() {
		d.todo = append(d.todo, &folder{director: d, path: d.job.source})
		return
	}
	d.copiers.offer(&batch{to: d.job.targetDir, names: []string{d.job.source}, as: d.job.targetName, chmod: true})
}

// goOn begins what there is room for, and notices the end.
func (d *director) goOn(ctx actor.Context) {
	for len(d.todo) > 0 && (d.idle() || d.folders < foldersMax && d.copiers.backlog < backlogMax) {
		f := d.todo[len(d.todo)-1]
		d.todo = d.todo[:len(d.todo)-1]
		d.folders++
		f.open()
	}
	d.copiers.assign(ctx)
	if d.idle() && len(d.todo) == 0 {
		d.end(ctx, d.err)
	}
}

// idle says that nothing is under way.
func (d *director) idle() bool { return d.flying+d.crew.out+d.copiers.backlog == 0 }

func (d *director) batchDone(ctx actor.Context, m *batchDone) {
	d.copiers.settled(m.batch)
	switch {
	case m.err != nil:
		d.fail(ctx, m.err)
	case m.batch.folder != nil && d.err == nil:
		m.batch.folder.childDone()
	}
}

// fail drops what has not begun and has the copiers stop; what is in flight
// ends first.
func (d *director) fail(ctx actor.Context, err error) {
	if d.err != nil {
		if errors.Is(d.err, errGivenUp) { // that was a consequence of this one
			d.err = err
		}
		return
	}
	d.err = err
	d.todo = nil
	d.copiers.drop()
	d.copiers.tell(ctx, &stopCopying{})
}

// end reports. The handles that the director has left open are closed when it
// stops.
func (d *director) end(ctx actor.Context, err error) {
	d.job.over = true
	d.job.done <- err
	ctx.Stop(ctx.Self())
}

// task is an operation on the way of a copy.
type task[R any] struct {
	op   messages.Operation[R]
	path string // for people
	then func(actor.Context, R)
	// excuse, if not nil, may take care of an error.
	excuse func(actor.Context, error) bool
	// makes, if not nil, counts what the operation makes: it is there even if
	// the copy has failed meanwhile, and then said to be left.
	makes *atomic.Int64
}

// begin submits the operation of a task.
func begin[R any](d *director, t *task[R]) {
	send(&d.errands, t.op, t.end(d))
}

// entrust has an operation actor perform it.
func entrust[R any](ctx actor.Context, d *director, t *task[R]) {
	delegate(ctx, &d.crew, t.op, t.end(d))
}

// end is what comes after a task: nothing, when anything has failed meanwhile.
func (t *task[R]) end(d *director) func(actor.Context, R, error) {
	return func(ctx actor.Context, result R, err error) {
		if err == nil && t.makes != nil {
			t.makes.Add(1)
		}
		switch {
		case d.err != nil:
		case err == nil:
			t.then(ctx, result)
		case t.excuse != nil && t.excuse(ctx, err):
		default:
			d.fail(ctx, fmt.Errorf("copying %s: %w", t.path, err))
		}
	}
}

// entry copies one entry of a directory, by its type.
func (d *director) entry(ctx actor.Context, f *folder, name string, mode fs.FileMode) {
	switch mode.Type() {
	case fs.ModeDir:
		f.waiting++
		d.todo = append(d.todo, &folder{director: d, parent: f, name: name, path: joinPath(f.path, name)})
	case fs.ModeSymlink:
		f.waiting++
		(&link{folder: f, name: name}).begin(ctx)
	case 0:
		f.addFile(name)
	case fs.ModeIrregular: // the file system does not say
		f.waiting++
		begin(d, &task[*messages.Attributes]{
			op:   &messages.Stat{Dir: f.source, Path: name, NoFollow: true},
			path: joinPath(f.path, name),
			then: func(ctx actor.Context, a *messages.Attributes) {
				d.entry(ctx, f, name, a.Mode)
				f.offerFiles()
				f.childDone()
			},
		})
	default:
		d.job.tally.skipped.Add(1)
		d.job.warn(fmt.Sprintf("skipping %s: neither a file, a directory nor a link", joinPath(f.path, name)))
	}
}
