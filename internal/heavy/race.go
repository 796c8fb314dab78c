//go:build race

package heavy

// RaceDetector says whether the race detector looks on.
const RaceDetector = true
