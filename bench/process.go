package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Process is a child that is measured, or that helps to measure.
type Process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // after ended

	mu   sync.Mutex
	last [][]byte // lines it wrote last
}

// startLimit is how long a child may take until it is ready: a gateway may have
// a long log to read.
const startLimit = 2 * time.Minute

// start runs a program until it is stopped, and waits until it says that it is
// ready. It does not outlive this process, whatever this one dies of, where the
// system can see to that.
func start(ctx context.Context, executable string, args []string, ready func([]byte) bool) (*Process, error) {
	cmd := exec.Command(executable, args...) //nolint:gosec,noctx // our own executable, which Kill ends
	cmd.Args[0] = "hookstream"
	cmd.Env = environment(os.Environ())
	cmd.SysProcAttr = alone()
	said, say, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	cmd.Stdout, cmd.Stderr = say, say
	err = cmd.Start()
	_ = say.Close()
	if err != nil {
		_ = said.Close()
		return nil, fmt.Errorf("bench: %w", err)
	}
	p := &Process{cmd: cmd, ended: make(chan struct{})}
	is := make(chan struct{})
	go p.follow(said, ready, is)
	return p, p.await(ctx, is)
}

// environment is ours without what would change a gateway.
func environment(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(v string) bool { return strings.HasPrefix(v, "HOOKSTREAM_") })
}

// follow reads what the child writes until it has ended.
func (p *Process) follow(said io.ReadCloser, ready func([]byte) bool, is chan<- struct{}) {
	lines := bufio.NewReader(said)
	waiting := true
	for {
		line, err := lines.ReadBytes('\n')
		if waiting && ready(line) {
			waiting = false
			close(is)
		}
		p.remember(line)
		if err != nil {
			break
		}
	}
	_ = said.Close()
	p.err = p.cmd.Wait()
	close(p.ended)
}

// kept is how many of a child's last lines its death is explained by.
const kept = 5

func (p *Process) remember(line []byte) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = append(p.last, line)
	if len(p.last) > kept {
		p.last = slices.Delete(p.last, 0, 1)
	}
}

func (p *Process) await(ctx context.Context, is <-chan struct{}) error {
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	select {
	case <-is:
		return nil
	case <-p.ended:
		return p.Died()
	case <-ctx.Done():
		p.Kill()
		return context.Cause(ctx)
	case <-limit.C:
		p.Kill()
		return errors.Join(fmt.Errorf("bench: %s was not ready after %s", p.what(), startLimit), p.Died())
	}
}

// Died answers nil while the process runs, else what it ended with and what it
// said last.
func (p *Process) Died() error {
	select {
	case <-p.ended:
	default:
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	how := "it ended"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("bench: %s died: %s; it said last:\n%s", p.what(), how, bytes.Join(p.last, []byte("\n")))
}

// what names the child by its command.
func (p *Process) what() string {
	args := p.cmd.Args[1:]
	if i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "-") }); i >= 0 {
		args = args[:i]
	}
	return "`hookstream " + strings.Join(args, " ") + "`"
}

// Kill ends the process as a kill -9 does, and waits for that.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Stop asks the process to end, as an operator would, and waits for that; after
// half a minute it is killed.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("bench: %w", err)
	}
	defer time.AfterFunc(stopLimit, func() { _ = p.cmd.Process.Kill() }).Stop()
	<-p.ended
	if p.err != nil {
		return p.Died()
	}
	return nil
}

const stopLimit = 30 * time.Second

// PID answers the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }
