package sim

import "math/rand/v2"

// Choices are the decisions of one kind, one after the other. Each is a number
// below a bound, and 0 is always the plainest of them: the oldest task, no
// fault, the whole result. They come from a seed, or from a list that was
// recorded before; behind the end of the list everything is plain. So a list
// may be cut and changed at will, and is still a history.
type Choices struct {
	random *rand.PCG // nil when they come from a list
	list   []uint32
	made   []uint32
}

// NewChoices takes the decisions from a seed. Streams of one seed are
// independent of each other.
func NewChoices(seed, stream uint64) *Choices {
	return &Choices{random: rand.NewPCG(seed, stream)}
}

// ReplayChoices takes the decisions from a list.
func ReplayChoices(list []uint32) *Choices { return &Choices{list: list} }

// Pick decides for one of n.
func (c *Choices) Pick(n int) int {
	if n <= 1 {
		return 0
	}
	pick := uint32(0)
	switch {
	case c.random != nil:
		pick = uint32(c.random.Uint64() >> 32 * uint64(n) >> 32)
	case len(c.made) < len(c.list):
		pick = min(c.list[len(c.made)], uint32(n-1))
	}
	c.made = append(c.made, pick)
	return int(pick)
}

// Chance decides for true in so many of thousand cases. What cannot be is no
// decision.
func (c *Choices) Chance(permille int) bool {
	return permille > 0 && c.Pick(1000) >= 1000-permille
}

// Between decides for a number from least to most.
func (c *Choices) Between(least, most int) int { return least + c.Pick(most-least+1) }

// Made are the decisions so far.
func (c *Choices) Made() []uint32 { return c.made }

// Free reports whether the decisions come from a seed.
func (c *Choices) Free() bool { return c.random != nil }
