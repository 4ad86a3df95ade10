//go:build !race

package ring

// raceDetector: see the other file.
const raceDetector = false
