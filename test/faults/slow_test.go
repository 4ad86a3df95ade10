//go:build linux && race

package faults

// slowdown is by how much the race detector makes everything slower and larger.
const slowdown = 10
