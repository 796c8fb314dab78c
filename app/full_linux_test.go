package app_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smallDisk is a file system with room for little but the gateway.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("SKIPPED: a file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fill takes all the room of a file system, and answers what gives it back.
func fill(t *testing.T, dir string) (room func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for err == nil {
		_, err = f.Write(make([]byte, 1<<20))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// limited bounds what the running program may have.
func limited(resource int, value uint64) func(t *testing.T, p *process) func() {
	return func(t *testing.T, p *process) func() {
		t.Helper()
		if err := unix.Prlimit(p.cmd.Process.Pid, resource, &unix.Rlimit{Cur: value, Max: value}, nil); err != nil {
			t.Fatal(err)
		}
		return func() {}
	}
}

// A disk that is full is told to senders, who keep what they have, and loses nothing:
// the gateway goes on when there is room, stops in its bound while there is none, and
// is there with everything when it was started without and there is room again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.dir = filepath.Join(smallDisk(t), "data")
	disk, env := filepath.Dir(p.dir), "HOOKSTREAM_MIN_FREE_BYTES=1MiB"
	p.start(env)
	s := newSender("http://"+p.ingress+p.createSource("load", yousignSource()).GetIngressPath(), 1)
	s.sendAll(t, 0, 5)
	refused := func(n int) {
		t.Helper()
		if !p.await(noRoom) {
			t.Fatalf("the program ended: %s", p.tail())
		}
		if status := s.try(n); status != http.StatusServiceUnavailable {
			t.Errorf("a sender was told %d on a full disk", status)
		}
	}
	room := fill(t, disk)
	refused(5)
	if got := len(p.events()); got != 5 {
		t.Errorf("on a full disk %d events can be read, want 5", got)
	}
	room()
	if !p.await(ready) {
		t.Fatalf("the program ended: %s", p.tail())
	}
	s.sendAll(t, 5, 10)
	room = fill(t, disk)
	refused(10)
	p.term()
	p.launch(env)
	if p.await(noRoom) {
		p.term()
	} else if !strings.Contains(p.tail(), "no space left") {
		t.Errorf("it did not say why it ended: %s", p.tail())
	}
	room()
	p.start(env)
	s.sendAll(t, 10, 15)
	p.checkKept(s)
}

func ready(status int, _ string) bool { return status == http.StatusOK }

func noRoom(status int, reason string) bool {
	return status == http.StatusServiceUnavailable && strings.Contains(reason, "no room left")
}

// What keeps the gateway from writing its log is the end of it, which it says: nobody
// is told 200 for what is not kept, it ends by itself, and starts again with all that
// there was.
func TestFailedWrite(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		breaks func(t *testing.T, p *process) (mend func())
		says   string
	}{
		"no room":                  {func(t *testing.T, p *process) func() { return fill(t, filepath.Dir(p.dir)) }, "no space left on device"},
		"no descriptors":           {limited(unix.RLIMIT_NOFILE, 3), "too many open files"},
		"a file that may not grow": {limited(unix.RLIMIT_FSIZE, 1<<10), "file too large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProcess(t)
			p.dir = filepath.Join(smallDisk(t), "data")
			const env = "HOOKSTREAM_MIN_FREE_BYTES=0" // so that it is a write that finds out
			p.start(env)
			s := newSender("http://"+p.ingress+p.createSource("load", yousignSource()).GetIngressPath(), 1)
			s.sendAll(t, 0, 5)
			mend := c.breaks(t, p)
			s.note = strings.Repeat("z", 512<<10)
			if status := s.sendUntilRefused(t); status != http.StatusServiceUnavailable && status != 0 {
				t.Errorf("a sender was told %d", status)
			}
			p.awaitSays("the log can not be written any more")
			p.waitExit("its log cannot be written")
			if p.cmd.ProcessState.Success() || !strings.Contains(p.tail(), c.says) {
				t.Errorf("it ended with %s, and did not say why: %s", p.cmd.ProcessState, p.tail())
			}
			mend()
			p.start(env)
			s.sendAll(t, 5, 8)
			p.checkKept(s)
		})
	}
}

// A gateway that is started where it cannot write says so and ends, and harms nothing:
// what JetStream cannot open it takes for what is not there.
func TestStartedWhereNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limit, says string
	}{
		"no descriptors for the index":   {"ulimit -n 16", "too many open files"},
		"no descriptors for the streams": {"ulimit -n 26", "too many open files"},
		"files that may not grow":        {"ulimit -f 0", "file too large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProcess(t)
			p.start()
			s := newSender("http://"+p.ingress+p.createSource("load", yousignSource()).GetIngressPath(), 1)
			s.sendAll(t, 0, 50)
			p.kill()
			p.under = c.limit
			p.launch()
			p.waitExit("nothing can be written")
			if !strings.Contains(p.tail(), c.says) {
				t.Errorf("it did not say why it ended: %s", p.tail())
			}
			p.under = ""
			p.start()
			s.sendAll(t, 50, 53)
			p.checkKept(s)
		})
	}
}

func (s *sender) sendAll(t *testing.T, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		if err := s.send(n); err != nil {
			t.Fatal(err)
		}
	}
}

// sendUntilRefused posts until it is told anything but 200, and answers what.
func (s *sender) sendUntilRefused(t *testing.T) (status int) {
	t.Helper()
	for n := 1000; n < 1100; n++ {
		if status = s.try(n); status != http.StatusOK {
			return status
		}
	}
	t.Fatal("senders are told 200 though nothing can be written")
	return 0
}

// term asks the program to end, and returns when it has.
func (p *process) term() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	p.waitExit("it was asked to end")
}

// waitExit returns when the program has ended.
func (p *process) waitExit(why string) {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(time.Minute):
		p.t.Fatalf("the program goes on, though %s: %s", why, p.tail())
	}
}

// awaitSays returns when the program's log says the words. It must not need senders that
// wait for a minute to find out: that is how it goes on when all else has missed it.
func (p *process) awaitSays(words string) {
	p.t.Helper()
	says := func() bool {
		p.logMu.Lock()
		defer p.logMu.Unlock()
		return strings.Contains(p.log.String(), words)
	}
	for begun := time.Now(); !says(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > 30*time.Second {
			p.t.Fatalf("it does not say %q: %s", words, p.tail())
		}
	}
}

// checkKept looks for everything that was acknowledged, once.
func (p *process) checkKept(s *sender) {
	p.t.Helper()
	found := make(map[string]int)
	for _, e := range p.events() {
		found[e.GetProviderEventId()]++
	}
	for id := range s.acked {
		if found[id] != 1 {
			p.t.Errorf("event %s was acknowledged and is in the log %d times", id, found[id])
		}
	}
}
