//go:build race

package simulation

// slowdown is by how much the race detector makes a history slower. It looks at
// fewer: what each of them shows is shown without it.
const slowdown = 5
