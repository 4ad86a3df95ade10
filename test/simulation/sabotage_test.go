package simulation

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/ring"
)

// The simulation must find what is wrong: here it is given kernels that are.

// deaf swallows a completion now and then.
type deaf struct {
	ring.Kernel
	seen int
}

func (d *deaf) Peek() (ring.CQE, bool) {
	for {
		cqe, ok := d.Kernel.Peek()
		if !ok || cqe.UserData.Kind() != ring.KindOp {
			return cqe, ok
		}
		if d.seen++; d.seen%40 != 0 {
			return cqe, ok
		}
		d.Advance()
	}
}

// hasty says that a request is done before it is.
type hasty struct {
	ring.Kernel
	done []ring.CQE
	seen int
}

func (h *hasty) Push(name ring.UserData, r *ring.Request) bool {
	if h.seen++; h.seen%40 == 0 && r.Code == ring.CodeRead {
		h.done = append(h.done, ring.CQE{UserData: name})
	}
	return h.Kernel.Push(name, r)
}

func (h *hasty) Peek() (ring.CQE, bool) {
	if len(h.done) > 0 && h.Kernel.Unsubmitted() == 0 {
		return h.done[0], true
	}
	return h.Kernel.Peek()
}

func (h *hasty) Advance() {
	if len(h.done) > 0 && h.Kernel.Unsubmitted() == 0 {
		h.done = h.done[1:]
		return
	}
	h.Kernel.Advance()
}

func TestFaultyKernelsAreFound(t *testing.T) {
	for name, options := range map[string]Options{
		"one that loses completions":  {wrap: func(k ring.Kernel) ring.Kernel { return &deaf{Kernel: k} }},
		"one that completes too soon": {wrap: func(k ring.Kernel) ring.Kernel { return &hasty{Kernel: k} }},
	} {
		t.Run(name, func(t *testing.T) {
			f := Failure{Result: firstFailure(t, options)}
			require.Contains(t, f.String(), f.Violation.Error())
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			f.shorten(ctx, options)
			require.Less(t, len(f.Shortest.Tape.Steps), len(f.Tape.Steps))
			require.Equal(t, kindOf(f.Violation), kindOf(f.Shortest.Violation))
			require.Contains(t, f.String(), "the shortest history found")

			tape, err := ParseTape(f.Shortest.Tape.String())
			require.NoError(t, err)
			options.Tape = tape
			again := (&Machine{}).Run(0, options)
			require.Equal(t, f.Shortest.Digest, again.Digest, "what was found can be seen again")
			require.EqualError(t, again.Violation, f.Shortest.Violation.Error())
		})
	}
}

// firstFailure is the first history that fails, of the first few.
func firstFailure(t *testing.T, options Options) Result {
	t.Helper()
	m := &Machine{}
	for seed := range uint64(200) {
		if r := m.Run(seed, options); r.Violation != nil {
			return r
		}
	}
	t.Fatal("nothing was found")
	return Result{}
}
