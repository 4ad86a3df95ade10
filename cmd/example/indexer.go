package main

import (
	"errors"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

const (
	// listingsMax bounds the directories that are being read at once.
	listingsMax = 8
	// unsummedMax bounds the files that are known and not hashed.
	unsummedMax = 2048
)

// sumJob is what the actors of a sum share.
type sumJob struct {
	owner *actor.PID // the ring owner
	list  *listing   // the indexer's
	done  chan error // gets the end, once
	// over says so to the indexer's next incarnation, if there is one.
	over bool
}

// indexer finds the files, hands them to the hashers, and prints what they say.
type indexer struct {
	errands
	job     *sumJob
	hashers *pool[*sheaf]
	todo    []*place // directories to be read; a stack, so that it is in order
	open    int      // directories being read
}

// place is a directory to be read. All paths start from the root of the walk,
// so that only that stays open.
type place struct {
	entry *entry
	root  messages.Handle
	rel   string // "." for the root itself
}

// below names an entry of the directory, from the root of the walk.
func (p *place) below(name string) string {
	if p.rel == "." {
		return name
	}
	return p.rel + "/" + name
}

// stopIndexing tells the indexer to print nothing more.
type stopIndexing struct{ reason error }

func newIndexer(job *sumJob) *actor.Props {
	escalate := func(any) actor.Directive { return actor.EscalateDirective }
	return actor.PropsFromProducer(func() actor.Actor {
		return &indexer{job: job, errands: errands{port: port{owner: job.owner}}}
	}, actor.WithSupervisor(actor.NewOneForOneStrategy(0, 0, escalate)))
}

// Receive implements actor.Actor.
func (x *indexer) Receive(ctx actor.Context) {
	if x.job.over {
		return
	}
	switch m := ctx.Message().(type) {
	case *actor.Started:
		x.start(ctx)
	case *actor.Restarting:
		x.end(ctx, errors.New("the indexer failed; see the log"))
		return
	case *stopIndexing:
		x.end(ctx, m.reason)
		return
	case *sheafDone:
		x.summed(m)
	default:
		if !x.receive(ctx) {
			return
		}
	}
	x.goOn(ctx)
	x.flush(ctx)
}

// start gives the paths of the command line to the hashers, who say which of
// them are directories.
func (x *indexer) start(ctx actor.Context) {
	x.self = ctx.Self()
	x.hashers = newPool[*sheaf](ctx, hashersPerCore*runtime.GOMAXPROCS(0), digestsEach, func() actor.Actor {
		return newHasher(x.job, x.self)
	})
	var named []item
	for _, e := range slices.Backward(x.job.list.next) {
		path, err := absolute(e.path)
		if err != nil {
			e.settled, e.err = true, err
			continue
		}
		named = append(named, item{entry: e, path: path})
	}
	x.offer(named, messages.Handle{}, true)
}

func (x *indexer) offer(items []item, dir messages.Handle, named bool) {
	for part := range slices.Chunk(items, batchMax) {
		x.hashers.offer(&sheaf{dir: dir, items: part, named: named})
	}
}

// goOn begins what there is room for, prints, and notices the end.
func (x *indexer) goOn(ctx actor.Context) {
	for len(x.todo) > 0 && x.open < listingsMax && x.hashers.backlog < unsummedMax {
		p := x.todo[len(x.todo)-1]
		x.todo = x.todo[:len(x.todo)-1]
		x.read(p)
	}
	x.hashers.assign(ctx)
	err := x.job.list.advance()
	switch {
	case err != nil:
		x.end(ctx, err)
	case !x.job.list.complete():
	case x.job.list.failed:
		x.end(ctx, errSaid)
	default:
		x.end(ctx, nil)
	}
}

// read reads a directory. The root of a walk stays open for what is below it.
func (x *indexer) read(p *place) {
	x.open++
	open := &messages.Open{Dir: p.root, Path: p.rel, Flags: openFolder | syscall.O_NOFOLLOW}
	if p.root.IsZero() {
		open.Flags = openFolder
	}
	send(&x.errands, open, func(_ actor.Context, h messages.Handle, err error) {
		if err != nil {
			x.listed(p, nil, err)
			return
		}
		send(&x.errands, &messages.ReadDir{Handle: h}, func(_ actor.Context, entries []messages.DirEntry, err error) {
			if p.root.IsZero() {
				p.root, p.rel = h, "."
			} else {
				send(&x.errands, &messages.Close{Handle: h}, func(actor.Context, messages.None, error) {})
			}
			x.listed(p, entries, err)
		})
	})
}

// listed sorts the entries so that the walk is in the order of paths: a
// directory counts with the slash that follows it there.
func (x *indexer) listed(p *place, found []messages.DirEntry, err error) {
	x.open--
	p.entry.settled, p.entry.isDir, p.entry.err = true, true, err
	slices.SortFunc(found, func(a, b messages.DirEntry) int { return strings.Compare(inPath(a), inPath(b)) })
	var files []item
	var folders []*place
	for _, d := range found {
		e := &entry{path: joinPath(p.entry.path, d.Name)}
		switch d.Type {
		case fs.ModeDir:
			folders = append(folders, &place{entry: e, root: p.root, rel: p.below(d.Name)})
		case 0, fs.ModeIrregular: // or what the file system does not tell
			files = append(files, item{entry: e, path: p.below(d.Name), unsure: d.Type != 0})
		default:
			continue
		}
		p.entry.entries = append(p.entry.entries, e)
	}
	slices.Reverse(folders)
	x.todo = append(x.todo, folders...)
	x.offer(files, p.root, false)
}

func inPath(d messages.DirEntry) string {
	if d.Type.IsDir() {
		return d.Name + "/"
	}
	return d.Name
}

// summed takes the results of a sheaf.
func (x *indexer) summed(m *sheafDone) {
	x.hashers.settled(m.sheaf)
	for i, r := range m.results {
		it := m.sheaf.items[i]
		switch {
		case errors.Is(r.err, errIsDir):
			p := &place{entry: it.entry, root: m.sheaf.dir, rel: it.path}
			x.todo = append(x.todo, p)
		case errors.Is(r.err, errSkipped):
			it.entry.settled, it.entry.isDir = true, true // with nothing in it
		default:
			it.entry.settled, it.entry.sum, it.entry.err = true, r.sum, r.err
		}
	}
}

// end reports. The handles of the roots are closed when the indexer stops.
func (x *indexer) end(ctx actor.Context, err error) {
	x.job.over = true
	x.job.done <- err
	ctx.Stop(ctx.Self())
}
