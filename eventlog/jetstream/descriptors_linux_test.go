package jetstream_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/queue"
)

// An engine that was closed holds no file of its directory open.
func TestClosedEngineHoldsNoFiles(t *testing.T) {
	t.Parallel()
	o := jetstream.DefaultOptions()
	o.Dir = t.TempDir()
	e := logtest.Open(t, o)
	if _, err := e.Events().Append(t.Context(), logtest.Entry("a", 1)); err != nil {
		t.Fatal(err)
	}
	b, err := e.Bucket(t.Context(), "SOURCES")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(t.Context(), "one", []byte("value")); err != nil {
		t.Fatal(err)
	}
	if _, err := queue.On(e).OpenParked(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if path, err := os.Readlink(fd); err == nil && strings.HasPrefix(path, o.Dir) {
			t.Errorf("%s is open", path)
		}
	}
}
