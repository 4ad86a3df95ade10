//go:build race

package ring

// raceDetector says that everything takes some ten times as long.
const raceDetector = true
