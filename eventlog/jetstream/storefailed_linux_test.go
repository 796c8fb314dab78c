package jetstream_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
)

// tmpfs mounts a file system of its own, and answers what changes its options.
func tmpfs(t *testing.T, options string) (dir string, remount func(flags uintptr, options string) error) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("SKIPPED: a file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir, func(flags uintptr, options string) error {
		return unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT|flags, options)
	}
}

// A start where JetStream cannot write ends, and says why; it does not wait for a
// server that has given up.
func TestStartWhereJetStreamCannotWrite(t *testing.T) {
	t.Parallel()
	o := embedded(t)
	// Nobody can make a file there, not even root.
	if err := os.Symlink("/proc", filepath.Join(o.Dir, "jetstream")); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := jetstream.Open(t.Context(), o)
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "storage directory is not writable") {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it goes on, though JetStream has not started")
	}
}

// A write that fails ends the engine, whatever it was that failed it and even if
// there is room again: it is not well, says so, and closes in bounded time. What
// was acknowledged is there at the next start.
func TestFailedWriteIsTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		options string
		use     func(t *testing.T, dir string, remount func(uintptr, string) error)
		heal    string
	}{
		"no space":  {"size=24m", func(*testing.T, string, func(uintptr, string) error) {}, "size=64m"},
		"no inodes": {"size=64m,nr_inodes=400", useInodes, "nr_inodes=4000"},
		"read only": {"size=64m", func(t *testing.T, _ string, remount func(uintptr, string) error) {
			if err := remount(unix.MS_RDONLY, ""); err != nil {
				t.Skipf("SKIPPED: files that are open for writing keep it writable: %v", err)
			}
		}, "size=64m"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, remount := tmpfs(t, c.options)
			o := embedded(t)
			o.Dir, o.MinFreeBytes = filepath.Join(dir, "data"), 0
			ended := make(chan error, 1)
			o.OnFatal = func(err error) { ended <- err }
			e := logtest.Open(t, o)
			c.use(t, dir, remount)
			acked := appendUntilEnd(t, e, ended)
			if err := e.Healthy(); !errors.Is(err, eventlog.ErrUnavailable) {
				t.Errorf("health: %v", err)
			}
			start := time.Now()
			_ = e.Close() // it may say what it could not write
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("Close took %s", took)
			}
			heal(t, dir, remount, c.heal)
			checkKept(t, o, acked)
		})
	}
}

// heal makes room.
func heal(t *testing.T, dir string, remount func(uintptr, string) error, options string) {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, "filler-*"))
	for _, name := range names {
		_ = os.Remove(name)
	}
	if err := remount(0, options); err != nil {
		t.Fatal(err)
	}
}

func useInodes(t *testing.T, dir string, _ func(uintptr, string) error) {
	t.Helper()
	for n := range 1000 {
		f, err := os.Create(filepath.Join(dir, fmt.Sprint("filler-", n)))
		if err != nil {
			return
		}
		_ = f.Close()
	}
	t.Fatal("inodes have no end")
}

// appendUntilEnd appends until the engine says that it is at its end, and answers
// what was acknowledged. It is to say so by itself when an entry is refused: who sends it
// is not the one to find out, a minute later.
func appendUntilEnd(t *testing.T, e *jetstream.Engine, ended <-chan error) (acked map[int]uint64) {
	t.Helper()
	acked = make(map[int]uint64)
	for n := range 10_000 { // a gigabyte
		entry := logtest.Entry("a", n)
		entry.Data = []byte(strings.Repeat("z", 100<<10))
		got, err := e.Events().Append(t.Context(), entry)
		if err == nil {
			acked[n] = got.Seq
			continue
		}
		select {
		case why := <-ended:
			t.Logf("after %d: %v", len(acked), why)
			return acked
		case <-time.After(10 * time.Second):
			t.Fatalf("%d entries are acknowledged, one is refused, and the engine goes on though nothing can be written: %v", len(acked), err)
		}
	}
	t.Fatalf("%d entries are acknowledged though nothing can be written", len(acked))
	return nil
}

func checkKept(t *testing.T, o jetstream.Options, acked map[int]uint64) {
	t.Helper()
	o.OnFatal = nil
	e := logtest.Open(t, o)
	for n, seq := range acked {
		entry := logtest.Entry("a", n)
		got, err := e.Events().Append(t.Context(), entry)
		if err != nil || !got.Duplicate || got.Seq != seq {
			t.Fatalf("entry %d, acknowledged as %d: %+v, %v", n, seq, got, err)
		}
	}
	if e.Missing() != 0 {
		t.Errorf("%d events are missing", e.Missing())
	}
}
