package simulation

import (
	"strings"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring/sim"
)

// badOperation makes one that is to be refused, or at least to be survived.
func (h *history) badOperation(r *requester, t *ticket) messages.Op {
	forged := messages.NewHandle(uint64(h.plan.Pick(8))|1<<32, 12345)
	switch h.plan.Pick(12) {
	case 0:
		return nil
	case 1:
		return (*messages.Read)(nil)
	case 2:
		return &foreignOp{}
	case 3:
		return &messages.Read{Handle: forged, Buf: make([]byte, 10)}
	case 4:
		return &messages.Open{Path: "relative"}
	case 5:
		return &messages.Open{Path: "/fast/f\x00"}
	case 6:
		return &messages.Open{Path: "/" + strings.Repeat("x", 5000)}
	case 7:
		return &messages.Read{Handle: h.onFile(r, t, sim.Regular), Buf: make([]byte, 10), Offset: -1 << 62}
	case 8:
		return &messages.Timeout{After: -1}
	case 9:
		return &messages.Poll{Handle: h.onFile(r, t, sim.Stream), Events: 1 << 20}
	case 10:
		return &messages.Give{Handle: h.onFile(r, t, sim.Regular)}
	default:
		return &messages.Close{Handle: forged}
	}
}

// foreignOp is an operation that is none of the protocol's.
type foreignOp struct{ messages.Nop }

func isNil(op messages.Op) bool {
	switch op := op.(type) {
	case nil:
		return true
	case *messages.Read:
		return op == nil
	default:
		return false
	}
}

// openDirectly is O_DIRECT by the number that it has on Linux, as everywhere in
// the simulated world.
const openDirectly = 0x4000
