package sim

import "fmt"

// Profile says how often what happens, in so many of thousand cases each. The
// zero Profile is a kernel that does everything at once and well.
type Profile struct {
	Disorder int // another task than the oldest runs
	Early    int // a timer fires although tasks wait
	Preempt  int // a task lets others run before it goes on
	Spurious int // a bell rings without a cause

	Entries     int // places in a submission queue
	Completions int // places in a completion queue

	Soon   int // a request completes after the Enter, as a task of its own
	Late   int // or after a while
	Async  int // its completion is task work, which an Enter may have to bring
	Waits  int // what can wait (a pipe, a poll) waits until it is cancelled
	Hangs  int // what its kernel worker performs hangs, until Thaw
	Delay  int // the longest delay, in milliseconds
	Touch  int // the kernel writes to a read buffer before it is done with it
	Update int // a poll has updates before it ends

	Short     int // a transfer is short
	Errno     int // it fails
	Again     int // EAGAIN
	Interrupt int // EINTR
	NoMemory  int // ENOMEM
	Withdraw  int // ECANCELED, though nobody asked

	Busy      int // Enter takes a part, and no more for now
	Fatal     int // the ring cannot be entered any more
	Lose      int // a completion is lost, which the next Enter says
	Repeat    int // one is seen a second time, later
	HangEnter int // Enter does not return for a while
	HangFor   int // how long at most, in milliseconds

	CancelBlind  int // a cancel says ENOENT, and the target goes on
	CancelDeaf   int // or EALREADY
	CancelOutrun int // the target succeeds although it is to be cancelled

	Refuse   int // there is no ring to be had
	LaneLate int // a call of the blocking lane takes its time
	LaneErr  int // or fails
}

// Behaviour is something that a simulated system does, to be counted.
type Behaviour uint8

// What a simulated system does.
const (
	DidInline Behaviour = iota
	DidSoon
	DidLate
	DidTaskWork
	DidWait
	DidHang
	DidTouch
	DidUpdate
	DidEndUpdates
	DidShort
	DidErrno
	DidAgain
	DidInterrupt
	DidNoMemory
	DidWithdraw
	DidUnsupported
	DidBusy
	DidPartial
	DidFatalBadFD
	DidFatalNXIO
	DidFatalOwnerDead
	DidFatalInvalid
	DidLose
	DidRepeat
	DidHangEnter
	DidOverflow
	DidSpurious
	DidCancelFound
	DidCancelMissed
	DidCancelAlready
	DidCancelBlind
	DidCancelDeaf
	DidCancelOutrun
	DidCancelFirst
	DidTargetFirst
	DidLateDescriptor
	DidWriteAfterClose
	DidGone
	DidRefuse
	DidThaw
	DidLaneLate
	DidLaneHang
	DidLaneErr
	DidLaneWithdraw

	behaviourCount
)

var behaviourNames = [behaviourCount]string{
	"inline", "soon", "late", "task-work", "waits", "hangs", "touch", "update", "end-of-updates",
	"short", "errno", "eagain", "eintr", "enomem", "withdrawn", "eopnotsupp",
	"busy", "partial", "ebadfd", "enxio", "eownerdead", "einval", "lost-cqe", "repeated-cqe", "enter-hangs",
	"overflow", "spurious",
	"cancel-found", "cancel-missed", "cancel-already", "cancel-blind", "cancel-deaf", "cancel-outrun",
	"cancel-first", "target-first", "late-descriptor",
	"write-after-close", "gone", "no-ring", "thaw",
	"lane-late", "lane-hangs", "lane-error", "lane-withdraw",
}

// String names the behaviour.
func (b Behaviour) String() string {
	if b < behaviourCount {
		return behaviourNames[b]
	}
	return fmt.Sprintf("#%d", uint8(b))
}

// Behaviours lists all of them.
func Behaviours() []Behaviour {
	all := make([]Behaviour, behaviourCount)
	for i := range all {
		all[i] = Behaviour(i)
	}
	return all
}

func (w *World) did(b Behaviour) { w.behaviours[b]++ }

// Did is how often a behaviour was shown.
func (w *World) Did(b Behaviour) uint64 { return w.behaviours[b] }
