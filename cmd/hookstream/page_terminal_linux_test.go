package main

import (
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A terminal is a shell that somebody types into, and what it has shown.
type terminal struct {
	t     *testing.T
	shell *exec.Cmd
	typed io.Writer

	mu    sync.Mutex
	shown strings.Builder
	read  int // how much of it was looked at

	count int  // of commands
	busy  bool // with the last one, as far as anybody looked
}

// openTerminal opens one that is closed, and what runs in it ended, with the test.
func openTerminal(t *testing.T, dir string, env []string) *terminal {
	t.Helper()
	s := &terminal{t: t, shell: exec.Command("bash", "--norc", "--noprofile")}
	s.shell.Dir, s.shell.Env = dir, env
	s.shell.Stdout, s.shell.Stderr = s, s
	s.shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	typed, err := s.shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.typed = typed
	if err := s.shell.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = typed.Close()
		s.interrupt()
		force := time.AfterFunc(awaitLimit, func() { _ = syscall.Kill(-s.shell.Process.Pid, syscall.SIGKILL) })
		_ = s.shell.Wait()
		force.Stop()
	})
	s.run("trap : INT") // Ctrl-C is for what runs in it
	return s
}

// Write is for what runs in the terminal.
func (s *terminal) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown.WriteString(strings.ReplaceAll(string(b), "\r", "")) // HTTP's
	return len(b), nil
}

// send types a command, which finds no standard input, and has its end shown.
func (s *terminal) send(command string) {
	s.count++
	s.busy = true
	if _, err := fmt.Fprintf(s.typed, "{ %s\n} </dev/null\necho \"[%d ended: $?]\"\n", command, s.count); err != nil {
		s.t.Fatal(err)
	}
}

// run types a command and answers what it shows, and whether it succeeded.
func (s *terminal) run(command string) (shown string, ok bool) {
	s.finish()
	s.send(command)
	shown, code := s.finish()
	return shown, code == "0"
}

// begin types a command that goes on by itself.
func (s *terminal) begin(command string) {
	s.finish()
	s.send(command)
}

func (s *terminal) interrupt() { _ = syscall.Kill(-s.shell.Process.Pid, syscall.SIGINT) }

// finish waits until the last command has ended, and answers what it has shown
// since somebody looked, and its exit code.
func (s *terminal) finish() (shown, code string) {
	for end := time.Now().Add(commandLimit); s.busy && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		fresh := s.fresh()
		before, after, _ := strings.Cut(fresh, s.mark())
		if code, _, ok := strings.Cut(after, "]\n"); ok {
			s.busy = false
			s.looked(len(fresh))
			return before, code
		}
	}
	if s.busy {
		s.t.Fatalf("it does not end; it shows\n%s", s.fresh())
	}
	return "", ""
}

// mark is shown at the end of the last command.
func (s *terminal) mark() string { return fmt.Sprintf("[%d ended: ", s.count) }

// ended reports whether nothing runs any more.
func (s *terminal) ended() bool { return !s.busy || strings.Contains(s.fresh(), s.mark()) }

// fresh is what nobody has looked at yet.
func (s *terminal) fresh() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.String()[s.read:]
}

func (s *terminal) looked(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read += n
}

// commandLimit ends a page whose command does not end; some compile.
const commandLimit = 3 * time.Minute
