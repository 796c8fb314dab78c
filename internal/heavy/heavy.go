// Package heavy is for tests that are run without the race detector: those of real
// processes, of clusters of NATS over sockets, and of much that is none of our
// concurrency. The detector makes them four to twenty times as expensive, and finds in
// them what it finds in the others. `make test` runs them without it, and `make
// test-full` with it; docs/adr/0016-race-detector.md says why.
package heavy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Full reports whether tests are to have the size they have each night, with the race
// detector or without: make test-full.
func Full() bool { return os.Getenv("HOOKSTREAM_TEST_FULL") != "" }

// Test says that what t tests from here on is heavy: it is skipped with the race
// detector, unless all is asked for.
func Test(t testing.TB) {
	t.Helper()
	if RaceDetector && !Full() {
		t.Skip("heavy: without the race detector, or with HOOKSTREAM_TEST_FULL=1")
	}
}

// Count is how many of something there are: fewer, with the race detector, unless all is
// asked for.
func Count(without, with int) int {
	if RaceDetector && !Full() {
		return with
	}
	return without
}

// Program answers the path of the program, which is called hookstream, compiled with a
// tag or with none. `make test` has compiled it for all packages and says where; else it
// is compiled into dir.
func Program(dir, tag string) (path string, err error) {
	if made := os.Getenv("HOOKSTREAM_TEST_PROGRAMS"); made != "" {
		path = filepath.Join(made, "plain", "hookstream")
		if tag != "" {
			path = filepath.Join(made, tag, "hookstream")
		}
		_, err = os.Stat(path) // go test notes it: with another program its answer is another
		return path, err
	}
	path = filepath.Join(dir, "hookstream")
	out, err := exec.Command("go", "build", "-tags", tag, "-o", path, "github.com/hookstream/hookstream/cmd/hookstream").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return path, nil
}
