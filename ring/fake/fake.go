// Package fake is a scripted [ring.Kernel] for tests: it performs nothing, and
// completes a request only when the test says so, with the result that the
// test says.
//
// # Invariant
//
// It takes no liberties that the seam does not: what is pushed is seen by the
// "kernel" at an Enter only, a request completes once, and a terminal
// completion, or [Kernel.Vanish] in its place, checks that the memory of the
// request is as it was at Push. A user of the seam that breaks its rules panics
// with a *ring.InvariantError, and the breach is kept for [Kernel.Faults], since
// a ring owner survives its panics.
//
// # Who may call
//
// The methods of ring.Kernel are for its user, the holder of the run token; all
// others are for the test, from any goroutine.
package fake

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringmaster-io/ringmaster/ring"
)

// Kernel is the fake. [New] makes one.
type Kernel struct {
	submits side // Push, Enter, TakeBack, Unsubmitted
	reaps   side // Peek, Advance, Backlog, Mask, Unmask
	ready   chan struct{}
	ended   chan struct{} // closed by Close
	gone    chan struct{} // closed when, after Close, nothing is in flight

	mu       sync.Mutex
	entries  int
	pushed   []*Taken // in the submission queue
	inFlight []*Taken // consumed and not completed, oldest first
	consumed []*Taken // everything ever consumed, once onTaken has seen it
	queue    []ring.CQE
	held     []ring.CQE
	holding  bool
	masked   bool
	peeked   bool
	closed   bool
	asked    bool   // by AwaitGone
	left     string // what was outstanding at Close
	waiting  int
	lacks    []ring.Code
	script   []Enter
	onTaken  func(*Taken)
	onUnmask func()
	enters   uint64
	faults   []string
	changed  chan struct{} // closed and replaced at every change
	gate     chan struct{} // Enter waits for it; nil lets it pass
}

// Taken is one request as the kernel has it.
type Taken struct {
	ring.Request
	Name ring.UserData

	buf         []byte // as it was at Push
	bufs        [][]byte
	path, path2 string
	seen        bool // by Next
}

// Enter is how one call of Kernel.Enter is to go.
type Enter struct {
	// Consume is how many requests are taken at most; All takes what is there.
	Consume int
	Err     error
}

// All of what was pushed.
const All = 1 << 30

// New makes a kernel with a submission queue of so many entries.
func New(entries int) *Kernel {
	return &Kernel{
		entries: entries,
		ready:   make(chan struct{}, 1),
		ended:   make(chan struct{}),
		gone:    make(chan struct{}),
		changed: make(chan struct{}),
	}
}

var _ ring.Kernel = (*Kernel)(nil)

// side is one half of the methods that only the holder of the run token may
// call: for submissions, or for completions. The token may be taken from a
// holder that hangs in Enter, so the two halves can be in use at once; one half
// never is by two.
type side struct{ inUse atomic.Bool }

// begin and end bracket each such method.
func (k *Kernel) begin(s *side) {
	if s.inUse.Swap(true) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.fault("used by two goroutines at once")
	}
	k.mu.Lock()
	if k.closed {
		defer k.end(s)
		k.fault("used after Close")
	}
}

func (k *Kernel) end(s *side) {
	s.inUse.Store(false)
	k.mu.Unlock()
}

// fault records a breach of the seam's rules and panics over it.
// REQUIRES: k.mu.
func (k *Kernel) fault(format string, args ...any) {
	what := "fake kernel: " + fmt.Sprintf(format, args...)
	k.faults = append(k.faults, what)
	panic(&ring.InvariantError{What: what})
}

// note wakes those who wait for a change.
// REQUIRES: k.mu.
func (k *Kernel) note() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// Push implements ring.Kernel.
func (k *Kernel) Push(name ring.UserData, r *ring.Request) bool {
	k.begin(&k.submits)
	defer k.end(&k.submits)
	room := 1
	if r.Linked {
		room = 2
	}
	if len(k.pushed)+room > k.entries {
		return false
	}
	if k.has(name) {
		k.fault("%v pushed twice", name)
	}
	k.pushed = append(k.pushed, take(name, r))
	k.note()
	return true
}

func take(name ring.UserData, r *ring.Request) *Taken {
	t := &Taken{Request: *r, Name: name, buf: bytes.Clone(r.Buf)}
	t.path, t.path2 = r.Paths()
	for _, b := range t.vectors() {
		t.bufs = append(t.bufs, bytes.Clone(b))
	}
	return t
}

func (t *Taken) vectors() [][]byte {
	if t.Code != ring.CodeReadV && t.Code != ring.CodeWriteV {
		return nil
	}
	return t.Bufs()
}

// intact reports whether what the request refers to is as it was at Push.
func (t *Taken) intact() bool {
	path, path2 := t.Paths()
	return bytes.Equal(t.buf, t.Buf) && slices.EqualFunc(t.bufs, t.vectors(), bytes.Equal) &&
		path == t.path && path2 == t.path2
}

func (k *Kernel) has(name ring.UserData) bool {
	if name.Kind() == ring.KindInternal {
		return false // nobody tells these apart
	}
	named := func(t *Taken) bool { return t.Name == name }
	return slices.ContainsFunc(k.pushed, named) || slices.ContainsFunc(k.inFlight, named)
}

// Unsubmitted implements ring.Kernel.
func (k *Kernel) Unsubmitted() int {
	k.begin(&k.submits)
	defer k.end(&k.submits)
	return len(k.pushed)
}

// Enter implements ring.Kernel: it goes as the script says, and without one
// consumes everything.
func (k *Kernel) Enter() (int, error) {
	k.begin(&k.submits)
	k.enters++
	gate := k.gate
	k.note()
	k.mu.Unlock()
	if gate != nil {
		<-gate
	}
	k.mu.Lock()
	step := Enter{Consume: All}
	if len(k.script) > 0 {
		step, k.script = k.script[0], k.script[1:]
	}
	n := min(step.Consume, len(k.pushed))
	taken := slices.Clone(k.pushed[:n])
	k.pushed = slices.Delete(k.pushed, 0, n)
	k.inFlight = append(k.inFlight, taken...)
	on := k.onTaken
	k.note()
	k.end(&k.submits)
	if on != nil {
		for _, t := range taken {
			on(t)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.consumed = append(k.consumed, taken...)
	k.note()
	return n, step.Err
}

// TakeBack implements ring.Kernel.
func (k *Kernel) TakeBack(f func(ring.UserData)) {
	k.begin(&k.submits)
	back := k.pushed
	k.pushed = nil
	k.note()
	k.end(&k.submits)
	for _, t := range back {
		f(t.Name)
	}
}

// Peek implements ring.Kernel.
func (k *Kernel) Peek() (ring.CQE, bool) {
	k.begin(&k.reaps)
	defer k.end(&k.reaps)
	if len(k.queue) == 0 {
		return ring.CQE{}, false
	}
	k.peeked = true
	return k.queue[0], true
}

// Advance implements ring.Kernel.
func (k *Kernel) Advance() {
	k.begin(&k.reaps)
	defer k.end(&k.reaps)
	if !k.peeked {
		k.fault("Advance without Peek")
	}
	k.peeked = false
	k.queue = slices.Delete(k.queue, 0, 1)
	k.note()
}

// Backlog implements ring.Kernel.
func (k *Kernel) Backlog() bool {
	k.begin(&k.reaps)
	defer k.end(&k.reaps)
	return len(k.queue) > 0
}

// Mask implements ring.Kernel.
func (k *Kernel) Mask() {
	k.begin(&k.reaps)
	defer k.end(&k.reaps)
	k.masked = true
}

// Unmask implements ring.Kernel. Like the real one it does not make up for what
// it missed.
func (k *Kernel) Unmask() {
	k.mu.Lock()
	on := k.onUnmask
	k.mu.Unlock()
	if on != nil {
		on()
	}
	k.begin(&k.reaps)
	defer k.end(&k.reaps)
	k.masked = false
}

// Wait implements ring.Kernel.
func (k *Kernel) Wait(ready func()) {
	k.mu.Lock()
	k.waiting++
	if k.waiting > 1 {
		defer k.mu.Unlock()
		k.fault("two goroutines in Wait")
	}
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		k.waiting--
		k.mu.Unlock()
	}()
	for {
		select {
		case <-k.ready:
			ready()
		case <-k.ended:
			return
		}
	}
}

// Enters implements ring.Kernel.
func (k *Kernel) Enters() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.enters
}

// Supports implements ring.Kernel.
func (k *Kernel) Supports(code ring.Code) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !slices.Contains(k.lacks, code)
}

// Close implements ring.Kernel. A ring that still has requests, or completions
// that nobody has seen, may be closed by who asks AwaitGone about them; if
// nobody does, it is a fault.
func (k *Kernel) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil
	}
	k.closed = true
	close(k.ended)
	if len(k.pushed)+len(k.inFlight)+len(k.queue)+len(k.held) > 0 {
		k.left = fmt.Sprintf("fake kernel: closed with %d pushed, %d in flight, %d completions, and nobody asks AwaitGone",
			len(k.pushed), len(k.inFlight), len(k.queue)+len(k.held))
	}
	k.letGo()
	return nil
}

// AwaitGone implements ring.Kernel. Without [Kernel.Vanish] it is over at Close
// if nothing is in flight, or when the test has completed the rest.
func (k *Kernel) AwaitGone(gone func()) {
	k.mu.Lock()
	k.asked = true
	k.note()
	k.mu.Unlock()
	<-k.gone
	gone()
}

// letGo has AwaitGone end if its time has come.
// REQUIRES: k.mu.
func (k *Kernel) letGo() {
	k.note()
	if !k.closed || len(k.inFlight) > 0 {
		return
	}
	select {
	case <-k.gone:
	default:
		close(k.gone)
	}
}

// Vanish ends all that is in flight without a completion: what a kernel does
// once its ring was closed, or has done when it has lost completions.
func (k *Kernel) Vanish() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range k.inFlight {
		k.checkIntact(t)
	}
	k.inFlight = nil
	k.letGo()
}

// checkIntact is for when the kernel lets go of a request.
// REQUIRES: k.mu.
func (k *Kernel) checkIntact(t *Taken) {
	if !t.intact() {
		k.fault("memory of %v was changed while the kernel had it", t.Name)
	}
}

// Lacks has the kernel not support these.
func (k *Kernel) Lacks(codes ...ring.Code) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lacks = append(k.lacks, codes...)
}

// Script says how the next calls of Enter go, one after the other.
func (k *Kernel) Script(steps ...Enter) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.script = append(k.script, steps...)
}

// OnTaken has f called with each request that is consumed, on the goroutine
// that enters, before its Enter returns, and before Next and Consumed know of
// the request. It may call Complete.
func (k *Kernel) OnTaken(f func(*Taken)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.onTaken = f
}

// OnUnmask has f called at the beginning of each Unmask, when what completes is
// not signalled and the runner has looked for the last time.
func (k *Kernel) OnUnmask(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.onUnmask = f
}

// Block has Enter hang until the function that it returns is called.
func (k *Kernel) Block() (release func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	gate := make(chan struct{})
	k.gate = gate
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.gate == gate {
			k.gate = nil
		}
		close(gate)
	}
}

// Hold keeps completions from being seen until Release shows them all at once.
func (k *Kernel) Hold() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.holding = true
}

// Release ends Hold.
func (k *Kernel) Release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.holding = false
	k.queue = append(k.queue, k.held...)
	k.held = nil
	k.signal()
}

// Complete completes a request that was consumed. With ring.FlagMore it stays
// in flight. Completing what is not in flight is the test's mistake: it panics.
func (k *Kernel) Complete(name ring.UserData, res int32, flags uint32) {
	if !k.TryComplete(name, res, flags) {
		panic(fmt.Sprintf("fake kernel: %v is not in flight", name))
	}
}

// TryComplete is Complete, but reports false when the request is not in flight.
func (k *Kernel) TryComplete(name ring.UserData, res int32, flags uint32) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.inFlight, func(t *Taken) bool { return t.Name == name })
	if i < 0 {
		return false
	}
	k.checkIntact(k.inFlight[i])
	if flags&ring.FlagMore == 0 {
		k.inFlight = slices.Delete(k.inFlight, i, i+1)
		k.letGo()
	}
	k.show(ring.CQE{UserData: name, Res: res, Flags: flags})
	return true
}

// CompleteRead completes a Read with data, which it puts into its buffer, and
// with a short or empty result if data is.
func (k *Kernel) CompleteRead(t *Taken, data string) {
	k.Complete(t.Name, k.fill(t, data), 0)
}

// fill puts data into the buffer of a Read.
func (k *Kernel) fill(t *Taken, data string) int32 {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.checkIntact(t)
	n := copy(t.Buf, data)
	copy(t.buf, data)
	return int32(n)
}

// Forge shows a completion of any name, of a request that never was for
// instance.
func (k *Kernel) Forge(cqe ring.CQE) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.show(cqe)
}

func (k *Kernel) show(cqe ring.CQE) {
	if k.holding {
		k.held = append(k.held, cqe)
		return
	}
	k.queue = append(k.queue, cqe)
	k.signal()
}

func (k *Kernel) signal() {
	k.note()
	if k.masked || len(k.queue) == 0 {
		return
	}
	select {
	case k.ready <- struct{}{}:
	default:
	}
}

// InFlight are the requests that were consumed and have not completed, the
// oldest first.
func (k *Kernel) InFlight() []*Taken {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.inFlight)
}

// Find gives the request of that name if it is in flight, or nil.
func (k *Kernel) Find(name ring.UserData) *Taken {
	for _, t := range k.InFlight() {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Consumed are all requests that were ever consumed, in order.
func (k *Kernel) Consumed() []*Taken {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.consumed)
}

// Pushed is how many requests are in the submission queue. Unlike Unsubmitted
// it is for the test.
func (k *Kernel) Pushed() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.pushed)
}

// Closed reports whether the kernel was closed.
func (k *Kernel) Closed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.closed
}

// Faults are the breaches of the seam's rules so far.
func (k *Kernel) Faults() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	faults := slices.Clone(k.faults)
	if k.left != "" && !k.asked {
		faults = append(faults, k.left)
	}
	return faults
}

// TB is what of testing.TB is needed here.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// patience is how long Next and Until wait for what a test is sure of.
const patience = 10 * time.Second

// Next waits for the next request of that code that was consumed and that Next
// has not given yet.
func (k *Kernel) Next(t TB, code ring.Code) *Taken {
	t.Helper()
	var found *Taken
	k.Until(t, fmt.Sprintf("a request of code %d is consumed", code), func() bool {
		for _, taken := range k.consumed {
			if !taken.seen && taken.Code == code {
				taken.seen, found = true, taken
				return true
			}
		}
		return false
	})
	return found
}

// Await waits until the kernel was entered so often.
func (k *Kernel) Await(t TB, enters uint64) {
	t.Helper()
	k.Until(t, fmt.Sprintf("%d enters", enters), func() bool { return k.enters >= enters })
}

// AwaitPushed waits until so many requests are in the submission queue.
func (k *Kernel) AwaitPushed(t TB, n int) {
	t.Helper()
	k.Until(t, fmt.Sprintf("%d pushed", n), func() bool { return len(k.pushed) >= n })
}

// AwaitClosed waits until the kernel is closed.
func (k *Kernel) AwaitClosed(t TB) {
	t.Helper()
	k.Until(t, "it is closed", func() bool { return k.closed })
}

// Until waits until cond holds; it is called with the kernel locked, at every
// change.
func (k *Kernel) Until(t TB, what string, cond func() bool) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		k.mu.Lock()
		ok, changed := cond(), k.changed
		k.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			t.Fatalf("fake kernel: %v passed, and not: %s", patience, what)
		}
	}
}
