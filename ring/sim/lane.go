package sim

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring"
)

// Lane is a simulated blocking lane.
type Lane struct {
	world            *World
	workers, backlog int
	done             func(*ring.Job)
	queue            []*job
	running          int // jobs in their call
	alive            int // workers, those that are in done among them
	closed           bool
	left             func()
}

// job is one that the lane has.
type job struct {
	*ring.Job
	file *Description
}

var _ ring.Blocking = (*Lane)(nil)

// OpenLane implements ring.Host.
func (w *World) OpenLane(workers, backlog int, done func(*ring.Job)) ring.Blocking {
	l := &Lane{world: w, workers: workers, backlog: backlog, done: done}
	w.lanes = append(w.lanes, l)
	return l
}

// Lanes are all that were opened.
func (w *World) Lanes() []*Lane { return w.lanes }

// Jobs is how many jobs all lanes have.
func (w *World) Jobs() (n int) {
	for _, l := range w.lanes {
		n += len(l.queue) + l.running
	}
	return n
}

// Submit implements ring.Blocking.
func (l *Lane) Submit(j *ring.Job) bool {
	w := l.world
	if slices.ContainsFunc(l.queue, func(other *job) bool { return other.Job == j }) {
		w.Violate("a job was submitted while it waits in a lane")
	}
	if l.closed || l.running+len(l.queue) >= l.workers+l.backlog {
		return false
	}
	own := &job{Job: j}
	if j.FD != ring.NoDir {
		own.file = w.use(j.FD, j.Call.String())
	}
	own.checkSubmit(w)
	l.queue = append(l.queue, own)
	if l.alive < l.workers {
		l.alive++
		w.Go(l.work)
	}
	return true
}

func (j *job) checkSubmit(w *World) {
	d := j.file
	switch {
	case d == nil:
	case j.Call == ring.CallCloseFD && d.refs > 1:
		w.Violate("descriptor %d (%s) is to be closed, and %d requests refer to it", d.FD, d.Node.Path, d.refs-1)
	case j.ordered():
		if d.reads++; d.reads > 1 {
			w.Violate("two reads of %s at a time", d.Node.Path)
		}
	}
}

// ordered reports whether a job is one of those that are to be performed one at
// a time.
func (j *job) ordered() bool {
	return j.Call == ring.CallReadDir && j.file != nil && j.file.Node.Kind == Directory
}

// letGo ends what the lane has of a job.
func (j *job) letGo() {
	if j.ordered() {
		j.file.reads--
	}
	j.file.unuse()
}

// Withdraw implements ring.Blocking.
func (l *Lane) Withdraw(u ring.UserData) bool {
	i := slices.IndexFunc(l.queue, func(j *job) bool { return j.UserData == u })
	if i < 0 {
		return false
	}
	l.queue[i].letGo()
	l.queue = slices.Delete(l.queue, i, i+1)
	l.world.did(DidLaneWithdraw)
	return true
}

// Close implements ring.Blocking.
func (l *Lane) Close() []*ring.Job {
	l.closed = true
	var back []*ring.Job
	for _, j := range l.queue {
		j.letGo()
		back = append(back, j.Job)
	}
	l.queue = nil
	return back
}

// Left implements ring.Blocking.
func (l *Lane) Left(left func()) {
	if l.alive == 0 {
		left()
		return
	}
	l.left = left
}

// Ended reports whether the lane is closed and has nothing any more.
func (l *Lane) Ended() bool { return l.closed && l.alive == 0 }

// work is a worker who looks for a job.
func (l *Lane) work() {
	if len(l.queue) == 0 {
		l.leave()
		return
	}
	w, j := l.world, l.queue[0]
	l.queue = slices.Delete(l.queue, 0, 1)
	l.running++
	end := func() { l.end(j) }
	switch {
	case !w.thawed && j.device() == Slow && w.chance(w.Profile.Hangs, DidLaneHang):
		w.thaw = append(w.thaw, func() { w.Go(end) })
	case w.chance(w.Profile.LaneLate, DidLaneLate):
		w.AfterFunc(time.Duration(w.pick(max(w.Profile.Delay, 1)))*time.Millisecond, end)
	default:
		end()
	}
}

func (l *Lane) leave() {
	if l.alive--; l.alive == 0 && l.left != nil {
		left := l.left
		l.left = nil
		left()
	}
}

// end is a worker whose call returns. As in a real lane the job counts as
// finished before it is given back.
func (l *Lane) end(j *job) {
	w := l.world
	w.check(j.file, j.Call.String())
	j.perform(w)
	l.running--
	j.letGo()
	w.Note(callEnds[j.Call], int64(j.FD), int64(j.Res))
	l.done(j.Job)
	w.Go(l.work)
}

func (j *job) device() Device {
	if j.file != nil {
		return j.file.Node.Device
	}
	return deviceAt(j.Path)
}

// perform makes the call.
func (j *job) perform(w *World) {
	j.Res, j.Entries, j.Target = 0, nil, ""
	if j.Call == ring.CallCloseFD {
		w.close(j.file, 1)
		return
	}
	if w.chance(w.Profile.LaneErr, DidLaneErr) {
		j.Res = -int32(unix.EIO)
		return
	}
	switch j.Call {
	case ring.CallReadDir:
		j.readDir()
	case ring.CallReadLink:
		n := NodeAt(below(j.file, j.Path))
		if n.Kind != Symlink {
			j.Res = -int32(unix.EINVAL)
			return
		}
		j.Target = n.Target()
		j.Res = int32(len(j.Target))
	}
}

// readDir goes on where the last one stopped.
func (j *job) readDir() {
	d := j.file
	if d == nil || d.Node.Kind != Directory {
		j.Res = -int32(unix.ENOTDIR)
		return
	}
	for int(d.position) < d.Node.Entries() && (j.Limit == 0 || len(j.Entries) < j.Limit) {
		j.Entries = append(j.Entries, ring.DirEntry{
			Name:  d.Node.Entry(int(d.position)),
			Type:  unix.DT_REG,
			Inode: uint64(d.position) + 1,
		})
		d.position++
	}
	j.Res = int32(len(j.Entries))
}
