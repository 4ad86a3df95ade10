package sim

import "github.com/ringmaster-io/ringmaster/ring"

// words are the notes about one code of request, made once: a note is hashed,
// and mostly not written.
type words struct{ takes, hangs, ends string }

var wordsOf = func() map[ring.Code]words {
	all := make(map[ring.Code]words)
	for code := range ring.Codes() {
		what := code.String() + " of slot %d"
		all[code] = words{
			takes: "ring %d takes " + what,
			hangs: "ring %d hangs with " + what,
			ends:  "ring %d ends " + what + " with %d",
		}
	}
	return all
}()

func (r *request) words() words { return wordsOf[r.Code] }

// callEnds are the notes about the calls of a lane.
var callEnds = func() map[ring.Call]string {
	all := make(map[ring.Call]string)
	for call := ring.CallReadDir; call <= ring.CallCloseFD; call++ {
		all[call] = call.String() + " of descriptor %d ends with %d"
	}
	return all
}()
