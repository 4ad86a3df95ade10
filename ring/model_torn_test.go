package ring

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// window is a place within a step of the engine. A failure there leaves the
// step half done.
type window uint8

const (
	whole      window = iota
	inBury            // some of a closed ring's operations have ended
	inMessage         // who cancels is noted down, and nothing is cancelled yet
	inIssue           // an operation has a name, and is not pushed
	inEffects         // an event is in the table, and nothing came of it
	inTakeBack        // some of what the kernel gave back is requeued
	inCancels         // some of what is to be cancelled is
	inForfeits        // some of what is to be given up is
)

// tornStep is what a failure within a step panics with.
type tornStep struct{}

// window is where a step may be torn.
func (m *machine) window(w window) {
	if w != m.torn {
		return
	}
	if m.tear--; m.tear == 0 {
		panic(tornStep{})
	}
}

// tearAt does a step up to its nth window, and reports false when it has not so
// many and was done.
func (m *machine) tearAt(n int, do func()) (torn bool) {
	defer func() {
		m.tear = 0
		r := recover()
		if torn = r == (tornStep{}); !torn && r != nil {
			panic(r)
		}
	}()
	m.tear = n
	do()
	return false
}

// TestModelTornSteps says what it is worth that a step does not fail in the
// middle: which ones would recover, since the table says what is left to be
// done, and which must not fail.
func TestModelTornSteps(t *testing.T) {
	one := configuration{slotCount: 1, linkCount: 2, errands: []errand{opening}, dimensions: cancels | deaths | crashes}
	two := configuration{slotCount: 2, linkCount: 2, errands: []errand{reading}, dimensions: crashes | losses}
	for _, c := range []struct {
		name string
		configuration
		window
		want string // empty: it recovers
	}{
		{"bury", two, inBury, ""},
		{"cancel", one, inMessage, "a cancellation that was not asked for"},
		{"issue", one, inIssue, "do not agree about an operation's request"},
		{"apply", one, inEffects, "nobody frees it"},
		{"take-back", one, inTakeBack, "count of a ring's requests is wrong"},
		{"stop", one, inCancels, "some run never ends"},
		{"forfeit", one, inForfeits, "somebody waits for ever"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.slotCount > 1 {
				skipSlow(t)
			}
			c.torn = c.window
			s := explore(c.configuration)
			if c.want == "" {
				s.requireNothing(t)
				t.Logf("recovers, in %d states", len(s.states))
				return
			}
			require.NotNil(t, s.finding)
			t.Logf("%s, after %d moves:\n%s", s.finding.what, len(s.finding.trace), strings.Join(s.finding.trace, "\n"))
			require.Contains(t, s.finding.what, c.want)
		})
	}
}
