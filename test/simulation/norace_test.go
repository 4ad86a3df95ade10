//go:build !race

package simulation

// slowdown: see the other file.
const slowdown = 1
