package simulation

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTapeIsText(t *testing.T) {
	tape := &Tape{
		Setup:  []uint32{1, 2, 1 << 31},
		Steps:  [][]uint32{{}, {5}, {0, 0, 7}},
		Ending: []uint32{3},
		Order:  []uint32{},
		Fate:   []uint32{9, 8},
	}
	again, err := ParseTape(tape.String())
	require.NoError(t, err)
	require.Equal(t, tape, again)
}

func FuzzParseTape(f *testing.F) {
	f.Add((&Tape{Steps: [][]uint32{{1}}}).String())
	f.Add("YmBgYGBgDGWJZGDQBgQAAP__")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		tape, err := ParseTape(text)
		if err != nil {
			return
		}
		again, err := ParseTape(tape.String())
		require.NoError(t, err)
		require.Equal(t, tape, again)
	})
}

func TestParseTapeRefusesGarbage(t *testing.T) {
	for _, text := range []string{"!", "AAAA", (&Tape{Setup: []uint32{1, 2, 3}}).String()[:4]} {
		_, err := ParseTape(text)
		require.ErrorContains(t, err, "parsing a tape")
	}
}

func TestTrimmed(t *testing.T) {
	require.Equal(t, []uint32{0, 1}, trimmed([]uint32{0, 1, 0, 0}))
	require.NotNil(t, trimmed(nil))
}

// TestScriptReads checks that a tape is followed, part by part, and that what
// is not on it is made by the seed.
func TestScriptReads(t *testing.T) {
	s := newScript(1, &Tape{Setup: []uint32{4}, Steps: [][]uint32{{2}, {3}}, Ending: []uint32{}, Order: []uint32{}})
	require.Equal(t, 4, s.setup.Pick(10))
	require.Equal(t, 2, s.step().Pick(10))
	require.Equal(t, 3, s.step().Pick(10))
	require.Nil(t, s.step())
	require.False(t, s.ending.Free())
	require.True(t, s.fate.Free())
	require.Equal(t, [][]uint32{{2}, {3}}, s.made().Steps)
}
