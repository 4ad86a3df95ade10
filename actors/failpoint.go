package actors

// Failpoint names a place in the ring owner where a failure can be injected:
// the hook of Config.Failpoint is called there, and may panic. Tests and
// demonstrations use it to crash the owner at its worst moments.
type Failpoint uint8

// The failpoints, in the order in which an operation meets them.
const (
	// FailTaken: a Submit is in hand, and nothing is done for it yet.
	FailTaken Failpoint = iota
	// FailRegistered: an operation is in the lifecycle map, nothing else.
	FailRegistered
	// FailEncoded: its entry is in the submission queue, not published.
	FailEncoded
	// FailBeforeEnter: the kernel is about to be entered.
	FailBeforeEnter
	// FailAfterEnter: the kernel was entered; nothing has been reaped.
	FailAfterEnter
	// FailReaping: some completions of a batch are reaped, others are not.
	FailReaping
	// FailDelivering: an answer is due and not sent.
	FailDelivering
	// FailStarted: an incarnation starts, before it opens its ring.
	FailStarted
	// FailRestarting: an incarnation is being replaced.
	FailRestarting
	// FailStopping: the owner is told to stop.
	FailStopping
	// FailStopped: the owner has stopped.
	FailStopped

	failpointCount
)

var failpointNames = [failpointCount]string{
	"taken", "registered", "encoded", "before-enter", "after-enter", "reaping",
	"delivering", "started", "restarting", "stopping", "stopped",
}

// String names the failpoint.
func (p Failpoint) String() string {
	if p < failpointCount {
		return failpointNames[p]
	}
	return "unknown"
}

// Failpoints lists all of them, in order.
func Failpoints() []Failpoint {
	points := make([]Failpoint, failpointCount)
	for i := range points {
		points[i] = Failpoint(i)
	}
	return points
}
