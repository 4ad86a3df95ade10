package ring

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// gated is a lane whose jobs stop inside their call until the test lets them
// go, so that every count can be known exactly.
type gated struct {
	*Lane
	entered chan *Job // a worker has taken the job
	done    chan *Job
	doors   map[*Job]chan struct{}
	mu      sync.Mutex
}

func newGated(workers, backlog int) *gated {
	size := workers + backlog
	g := &gated{
		entered: make(chan *Job, size),
		done:    make(chan *Job, size),
		doors:   map[*Job]chan struct{}{},
	}
	g.Lane = NewLane(workers, backlog, func(j *Job) { g.done <- j })
	g.patience = time.Hour // these hang on purpose
	g.perform = func(j *Job, _ *scratch) {
		g.entered <- j
		<-g.door(j)
	}
	return g
}

func (g *gated) door(j *Job) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.doors[j] == nil {
		g.doors[j] = make(chan struct{})
	}
	return g.doors[j]
}

func (g *gated) finish(j *Job) { close(g.door(j)) }

func job(n int) *Job { return &Job{UserData: MakeUserData(KindOp, uint32(n), 1)} }

func submitAll(t *testing.T, l *Lane, jobs ...*Job) {
	t.Helper()
	for _, j := range jobs {
		if !l.Submit(j) {
			t.Fatalf("job %v was refused", j.UserData)
		}
	}
}

func wantCounts(t *testing.T, l *Lane, running, waiting int) {
	t.Helper()
	if r, w := l.Running(), l.Waiting(); r != running || w != waiting {
		t.Fatalf("running %d, waiting %d; want %d and %d", r, w, running, waiting)
	}
}

// join waits for the lane to be idle; a lane that never gets there hangs the
// test, which its time limit reports with all stacks.
func join(t *testing.T, l *Lane) {
	t.Helper()
	if err := l.Join(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestLaneOrder(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var got []UserData
	l := NewLane(1, 100, func(j *Job) { got = append(got, j.UserData) })
	gate := make(chan struct{})
	l.perform = func(*Job, *scratch) { <-gate }
	var want []UserData
	for n := range 101 {
		j := job(n)
		submitAll(t, l, j)
		want = append(want, j.UserData)
	}
	close(gate)
	join(t, l)
	if !slices.Equal(got, want) {
		t.Fatalf("done in order %v", got)
	}
}

func TestLaneBounds(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	const workers, backlog = 3, 5
	g := newGated(workers, backlog)
	var jobs []*Job
	for n := range workers + backlog {
		jobs = append(jobs, job(n))
	}
	submitAll(t, g.Lane, jobs...)
	extra := job(1000)
	if g.Submit(extra) {
		t.Fatal("a job beyond the backlog was taken")
	}
	for range workers {
		<-g.entered
	}
	wantCounts(t, g.Lane, workers, backlog)
	if g.Submit(extra) {
		t.Fatal("a job beyond the backlog was taken")
	}

	// A finished job makes room before done hears of it.
	g.finish(jobs[0])
	<-g.done
	submitAll(t, g.Lane, extra)
	for _, j := range append(jobs[1:], extra) {
		g.finish(j)
	}
	join(t, g.Lane)
	wantCounts(t, g.Lane, 0, 0)
	if n := len(g.done); n != workers+backlog {
		t.Fatalf("%d done, want %d", n, workers+backlog)
	}
}

// A caller that submits the next job out of done is never refused, even where
// nothing may wait.
func TestLaneSubmitFromDone(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, workers := range []int{1, 2} {
		left, refused := 1000, 0
		end := make(chan struct{})
		var l *Lane
		l = NewLane(workers, 0, func(j *Job) {
			if left--; left == 0 {
				close(end)
			} else if !l.Submit(j) {
				refused++
				close(end)
			}
		})
		l.perform = func(*Job, *scratch) {}
		submitAll(t, l, job(0))
		<-end
		join(t, l)
		if left != 0 || refused != 0 {
			t.Fatalf("%d workers: %d left, %d refused", workers, left, refused)
		}
	}
}

// Whoever is held up in done holds up nobody else while another worker may be
// had.
func TestLaneBlockedInDone(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	first, second := job(1), job(2)
	held, gate, through := make(chan struct{}), make(chan struct{}), make(chan struct{})
	l := NewLane(2, 0, func(j *Job) {
		if j == first {
			close(held)
			<-gate
			return
		}
		close(through)
	})
	l.perform = func(*Job, *scratch) {}
	submitAll(t, l, first)
	<-held
	submitAll(t, l, second)
	<-through
	close(gate)
	join(t, l)
}

func TestLaneNeverMoreThanWorkers(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	const workers, jobs = 4, 2000
	var now, most, ran atomic.Int32
	l := NewLane(workers, jobs, func(*Job) { ran.Add(1) })
	l.perform = func(*Job, *scratch) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		runtime.Gosched()
		now.Add(-1)
	}
	for n := range jobs {
		submitAll(t, l, job(n))
	}
	join(t, l)
	if ran.Load() != jobs || most.Load() > workers {
		t.Fatalf("%d ran, %d at a time", ran.Load(), most.Load())
	}
}

func TestLaneWithdraw(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	g := newGated(1, 4)
	a, b, c, d := job(1), job(2), job(3), job(4)
	submitAll(t, g.Lane, a)
	<-g.entered
	submitAll(t, g.Lane, b, c, d)
	if g.Withdraw(a.UserData) {
		t.Fatal("a running job was withdrawn")
	}
	if !g.Withdraw(c.UserData) || g.Withdraw(c.UserData) {
		t.Fatal("a waiting job is withdrawn once")
	}
	if g.Withdraw(MakeUserData(KindOp, 3, 2)) {
		t.Fatal("a job of another generation was withdrawn")
	}
	wantCounts(t, g.Lane, 1, 2)
	submitAll(t, g.Lane, c) // it is the caller's again, and now comes last
	for _, j := range []*Job{a, b, d, c} {
		g.finish(j)
		if got := <-g.done; got != j {
			t.Fatalf("%v was done, want %v", got.UserData, j.UserData)
		}
	}
	join(t, g.Lane)
}

// Jobs that share a name cost no more than others, and are all kept apart.
func TestLaneSameName(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	const jobs = 20_000
	g := newGated(1, jobs)
	blocker := job(1)
	submitAll(t, g.Lane, blocker)
	<-g.entered
	name := MakeUserData(KindInternal, 0, 0)
	for range jobs {
		submitAll(t, g.Lane, &Job{UserData: name})
	}
	for n := range jobs / 2 {
		if !g.Withdraw(name) {
			t.Fatalf("withdrew only %d", n)
		}
	}
	if n := len(g.Close()); n != jobs/2 {
		t.Fatalf("%d handed back, want %d", n, jobs/2)
	}
	g.finish(blocker)
	join(t, g.Lane)
}

func TestLaneClose(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	g := newGated(1, 3)
	a, b, c := job(1), job(2), job(3)
	submitAll(t, g.Lane, a)
	<-g.entered
	submitAll(t, g.Lane, b, c)
	if got := g.Close(); !slices.Equal(got, []*Job{b, c}) {
		t.Fatalf("%d jobs handed back", len(got))
	}
	if g.Submit(job(4)) || g.Withdraw(b.UserData) || len(g.Close()) != 0 {
		t.Fatal("a closed lane has nothing and takes nothing")
	}
	wantCounts(t, g.Lane, 1, 0)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := g.Join(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Join = %v while a job hangs", err)
	}
	idle := g.Idle()
	select {
	case <-idle:
		t.Fatal("idle while a job hangs")
	default:
	}
	g.finish(a)
	<-idle
	if got := <-g.done; got != a {
		t.Fatalf("%v was done", got.UserData)
	}
}

func TestLaneIdleAtOnce(t *testing.T) {
	l := NewLane(1, 1, func(*Job) {})
	for range 2 {
		select {
		case <-l.Idle():
		default:
			t.Fatal("an unused lane is not idle")
		}
	}
}

// The work of a worker whose done ends the goroutine goes on on another one.
func TestLaneDoneEndsGoroutine(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var ran atomic.Int32
	l := NewLane(2, 50, func(*Job) { ran.Add(1); runtime.Goexit() })
	l.perform = func(*Job, *scratch) {}
	for n := range 50 {
		submitAll(t, l, job(n))
	}
	join(t, l)
	if ran.Load() != 50 {
		t.Fatalf("%d of 50 ran", ran.Load())
	}
	wantCounts(t, l, 0, 0)
}

// A panic in done leaves the worker as it is, and the lane in order. The test
// plays the worker, so that it can catch what ends a program otherwise.
func TestLaneDonePanics(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	cause := errors.New("cause")
	bad, good := job(1), job(2)
	ran := make(chan *Job, 1)
	l := NewLane(1, 1, func(j *Job) {
		if j == bad {
			panic(cause)
		}
		ran <- j
	})
	l.perform = func(*Job, *scratch) {}
	hired := make(chan struct{}, 1)
	l.start = func() { hired <- struct{}{} }
	submitAll(t, l, bad, good)
	<-hired
	l.start = l.work
	func() {
		defer func() {
			if got := recover(); got != cause {
				t.Errorf("the worker ended with %v", got)
			}
		}()
		l.work()
	}()
	if got := <-ran; got != good {
		t.Fatalf("%v ran", got.UserData)
	}
	join(t, l)
	wantCounts(t, l, 0, 0)
}

func TestLaneRefusesNonsense(t *testing.T) {
	wantInvariant := func(what string, f func()) {
		t.Helper()
		defer func() {
			if _, ok := recover().(*InvariantError); !ok {
				t.Errorf("%s was let pass", what)
			}
		}()
		f()
	}
	wantInvariant("no worker", func() { NewLane(0, 1, func(*Job) {}) })
	wantInvariant("no done", func() { NewLane(1, 1, nil) })

	g := newGated(1, 2)
	a, b := job(1), job(2)
	submitAll(t, g.Lane, a)
	<-g.entered
	submitAll(t, g.Lane, b)
	wantInvariant("a job submitted twice", func() { g.Submit(b) })
	g.finish(a)
	g.finish(b)
	join(t, g.Lane)
}

// laneModel is what a lane is for, without goroutines: two lists.
type laneModel struct {
	g                *gated
	workers, backlog int
	running, waiting []*Job
	closed           bool
	ends             map[*Job]int // how often a job was given back
}

func (m *laneModel) submit(t *rapid.T, j *Job) {
	want := !m.closed && len(m.running)+len(m.waiting) < m.workers+m.backlog
	if got := m.g.Submit(j); got != want {
		t.Fatalf("Submit(%v) = %v with %d running and %d waiting", j.UserData, got, len(m.running), len(m.waiting))
	}
	if want {
		m.ends[j] = 0
		m.waiting = append(m.waiting, j)
		m.enter(t)
	}
}

// enter waits until the lane has started what the model says it starts.
func (m *laneModel) enter(t *rapid.T) {
	if len(m.waiting) == 0 || len(m.running) == m.workers {
		return
	}
	if got := <-m.g.entered; got != m.waiting[0] {
		t.Fatalf("%v runs, want %v", got.UserData, m.waiting[0].UserData)
	}
	m.running, m.waiting = append(m.running, m.waiting[0]), m.waiting[1:]
}

func (m *laneModel) finish(t *rapid.T, n int) {
	j := m.running[n]
	m.running = slices.Delete(m.running, n, n+1)
	m.g.finish(j)
	m.end(t, <-m.g.done)
	if m.ends[j] != 1 {
		t.Fatalf("another job than %v was done", j.UserData)
	}
	m.enter(t)
}

func (m *laneModel) end(t *rapid.T, j *Job) {
	n, known := m.ends[j]
	if !known || n != 0 {
		t.Fatalf("%v was given back %d times before (known: %v)", j.UserData, n, known)
	}
	m.ends[j] = 1
}

func (m *laneModel) withdraw(t *rapid.T, u UserData) {
	at := slices.IndexFunc(m.waiting, func(j *Job) bool { return j.UserData == u })
	if got := m.g.Withdraw(u); got != (at >= 0) {
		t.Fatalf("Withdraw(%v) = %v", u, got)
	}
	if at >= 0 {
		m.end(t, m.waiting[at])
		m.waiting = slices.Delete(m.waiting, at, at+1)
	}
}

func (m *laneModel) close(t *rapid.T) {
	got := m.g.Close()
	if !slices.Equal(got, m.waiting) {
		t.Fatalf("Close handed back %d jobs, want %d", len(got), len(m.waiting))
	}
	for _, j := range got {
		m.end(t, j)
	}
	m.closed, m.waiting = true, nil
}

func TestLaneModel(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	rapid.Check(t, func(t *rapid.T) {
		workers := rapid.IntRange(1, 4).Draw(t, "workers")
		backlog := rapid.IntRange(0, 6).Draw(t, "backlog")
		m := &laneModel{g: newGated(workers, backlog), workers: workers, backlog: backlog, ends: map[*Job]int{}}
		submitted := 0
		submit := func(t *rapid.T) {
			submitted++
			m.submit(t, job(submitted))
		}
		t.Repeat(map[string]func(*rapid.T){
			"submit": submit, "submit2": submit, "submit3": submit,
			"finish": func(t *rapid.T) {
				if len(m.running) == 0 {
					t.Skip("nothing runs")
				}
				m.finish(t, rapid.IntRange(0, len(m.running)-1).Draw(t, "which"))
			},
			"withdraw": func(t *rapid.T) {
				n := rapid.IntRange(0, submitted+1).Draw(t, "job")
				m.withdraw(t, job(n).UserData)
			},
			"close": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
					m.close(t)
				}
			},
			"": func(t *rapid.T) {
				if r, w := m.g.Running(), m.g.Waiting(); r != len(m.running) || w != len(m.waiting) {
					t.Fatalf("running %d, waiting %d; want %d and %d", r, w, len(m.running), len(m.waiting))
				}
			},
		})
		m.close(t)
		for len(m.running) > 0 {
			m.finish(t, 0)
		}
		<-m.g.Idle()
		for j, n := range m.ends {
			if n != 1 {
				t.Fatalf("%v was given back %d times", j.UserData, n)
			}
		}
		if len(m.g.done) != 0 || len(m.g.entered) != 0 {
			t.Fatal("something ran that nobody submitted")
		}
	})
}

// Everybody at once: submitters, withdrawers, workers, and a Close in the
// middle. Each job is given back exactly once, whoever wins.
func TestLaneStress(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	const submitters, each = 4, 5000
	jobs := make([]Job, submitters*each)
	ends := make([]atomic.Int32, len(jobs))
	end := func(j *Job) { ends[j.UserData.Slot()].Add(1) }
	l := NewLane(3, 64, end)
	l.perform = func(j *Job, _ *scratch) { j.Res = 1 }
	var wg sync.WaitGroup
	for s := range submitters {
		wg.Go(func() {
			for n := s * each; n < (s+1)*each; n++ {
				j := &jobs[n]
				j.UserData = MakeUserData(KindOp, uint32(n), 1)
				if !l.Submit(j) {
					end(j)
				} else if n%3 == 0 && l.Withdraw(j.UserData) {
					end(j)
				}
				if n == each/2 {
					for _, j := range l.Close() {
						end(j)
					}
				}
			}
		})
	}
	wg.Wait()
	join(t, l)
	wantCounts(t, l, 0, 0)
	for n := range ends {
		if got := ends[n].Load(); got != 1 {
			t.Fatalf("job %d was given back %d times", n, got)
		}
	}
}

func TestLaneSubmitAllocates(t *testing.T) {
	done := make(chan struct{}, 1)
	l := NewLane(2, 16, func(*Job) { done <- struct{}{} })
	j := &Job{Call: CallChmod, FD: -1}
	// One worker's whole life, from nothing to nothing.
	if n := testing.AllocsPerRun(1000, func() {
		j.UserData++
		l.Submit(j)
		<-done
	}); n != 0 {
		t.Errorf("%v allocations for a job on an idle lane", n)
	}
	join(t, l)

	g := newGated(1, 256)
	blocker := job(1)
	submitAll(t, g.Lane, blocker)
	<-g.entered
	if n := testing.AllocsPerRun(1000, func() {
		j.UserData++
		g.Submit(j)
		g.Withdraw(j.UserData)
	}); n != 0 {
		t.Errorf("%v allocations for a job that waits", n)
	}
	g.finish(blocker)
	join(t, g.Lane)
}

// What a tree copy asks of the lane: fchmod and utimensat for each file.
func BenchmarkLaneCalls(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for _, workers := range []int{1, 2, 8} {
		b.Run(fmt.Sprint(workers, "workers"), func(b *testing.B) {
			// As many jobs as the lane takes; done gives them to the submitter.
			free := make(chan *Job, 256)
			l := NewLane(workers, cap(free), func(j *Job) { free <- j })
			for n := range cap(free) {
				free <- &Job{FD: int32(f.Fd()), Mode: 0o640, Call: CallChmod + Call(n%2)*(CallSetTimes-CallChmod), Times: [2]unix.Timespec{{Sec: 1}, {Sec: 2}}}
			}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				j := <-free
				if j.Res != 0 {
					b.Fatal(unix.Errno(-j.Res))
				}
				j.UserData = MakeUserData(KindOp, uint32(n%SlotMax), 1)
				if !l.Submit(j) {
					b.Fatal("refused")
				}
			}
			<-l.Idle()
		})
	}
}

// One job at a time: what the start of a worker costs.
func BenchmarkLaneSingle(b *testing.B) {
	done := make(chan struct{}, 1)
	l := NewLane(2, 16, func(*Job) { done <- struct{}{} })
	l.perform = func(*Job, *scratch) {}
	j := job(1)
	b.ReportAllocs()
	for b.Loop() {
		l.Submit(j)
		<-done
	}
	<-l.Idle()
}

// Each job submitted by the done of the one before it.
func BenchmarkLaneChain(b *testing.B) {
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprint(workers, "workers"), func(b *testing.B) {
			end := make(chan struct{})
			left := b.N
			var l *Lane
			l = NewLane(workers, 16, func(j *Job) {
				if left--; left > 0 {
					l.Submit(j)
				} else {
					close(end)
				}
			})
			l.perform = func(*Job, *scratch) {}
			l.Submit(job(1))
			<-end
			<-l.Idle()
		})
	}
}

// TestLaneHurries: jobs that hang do not keep the others waiting, up to a bound.
func TestLaneHurries(t *testing.T) {
	const workers = 2
	g := newGated(workers, 1000)
	g.patience = time.Millisecond
	var hung []*Job
	for n := range hurryFactor * workers {
		j := job(n)
		hung = append(hung, j)
		submitAll(t, g.Lane, j)
		if got := <-g.entered; got != j { // each gets its worker
			t.Fatalf("job %v was taken, want %v", got.UserData, j.UserData)
		}
	}
	last := job(len(hung))
	submitAll(t, g.Lane, last)
	if n := g.Waiting(); n != 1 {
		t.Fatalf("%d wait, want the one that is over the bound", n)
	}
	g.finish(hung[0])
	if got := <-g.entered; got != last {
		t.Fatalf("job %v was taken, want the last", got.UserData)
	}
	g.finish(last)
	for _, j := range hung[1:] {
		g.finish(j)
	}
	g.Close()
	<-g.Idle()
}

// TestLaneGroup: jobs of one group, all of which hang, have some workers and no more,
// and keep nobody else's waiting. They come in order, and what waits of them can be
// withdrawn, and is given back by Close, as any.
func TestLaneGroup(t *testing.T) {
	g := newGated(2*groupMost, 1000)
	var group Group
	var hung []*Job
	for n := range groupMost + 5 {
		j := job(n)
		j.Group = &group
		hung = append(hung, j)
		submitAll(t, g.Lane, j)
	}
	for range groupMost {
		<-g.entered
	}
	other := job(1000)
	other.Group = new(Group)
	submitAll(t, g.Lane, other)
	if got := <-g.entered; got != other {
		t.Fatalf("job %v was taken, want the other group's", got.UserData)
	}
	g.finish(other)
	if n := g.Waiting(); n != 5 {
		t.Fatalf("%d wait, want 5", n)
	}
	held := hung[groupMost:]
	if !g.Withdraw(held[1].UserData) || g.Withdraw(held[1].UserData) {
		t.Fatal("what is held back cannot be withdrawn once")
	}
	for n, next := range []*Job{held[0], held[2]} {
		g.finish(hung[n])
		if got := <-g.entered; got != next {
			t.Fatalf("job %v was taken, want %v", got.UserData, next.UserData)
		}
	}
	if back := g.Close(); !slices.Equal(back, held[3:]) {
		t.Fatalf("given back: %v", back)
	}
	for _, j := range append(hung[2:groupMost], held[0], held[2]) {
		g.finish(j)
	}
	<-g.Idle()
}

// TestLaneGroupWithdraws: when one is withdrawn that waits for a worker, the next is
// one of those that do.
func TestLaneGroupWithdraws(t *testing.T) {
	g := newGated(1, 1000)
	busy := job(1000)
	submitAll(t, g.Lane, busy)
	<-g.entered
	var group Group
	var jobs []*Job
	for n := range 3 * groupMost {
		j := job(n)
		j.Group = &group
		jobs = append(jobs, j)
		submitAll(t, g.Lane, j)
	}
	for _, j := range jobs[:groupMost+1] {
		if !g.Withdraw(j.UserData) {
			t.Fatal("it waits, and cannot be withdrawn")
		}
	}
	last := job(1001)
	submitAll(t, g.Lane, last)
	g.finish(busy)
	want := slices.Clone(jobs[groupMost+1 : 2*groupMost+1]) // those that were held back until a place was free
	want = append(want, last)
	want = append(want, jobs[2*groupMost+1:]...)
	for n, j := range want {
		if got := <-g.entered; got != j {
			t.Fatalf("%d: job %v was taken, want %v", n, got.UserData, j.UserData)
		}
		g.finish(j)
	}
	g.Close()
	<-g.Idle()
}
