//go:build unix

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// As a child, this test binary does what its first argument says. TestMain plays
// the children of the scenarios.
func init() {
	if len(os.Args) < 2 || os.Args[0] != "hookstream" {
		return
	}
	switch os.Args[1] {
	case "ready":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		fmt.Println("ready")
		<-stop
		os.Exit(0)
	case "die":
		fmt.Println("ready")
		fmt.Println("the disk is full")
		os.Exit(3)
	case "refuse":
		fmt.Println("no such flag")
		os.Exit(2)
	}
}

func isReady(line []byte) bool { return bytes.Equal(line, []byte("ready\n")) }

func self(t *testing.T) string {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func TestAChildThatDiesSaysWhatItSaidLast(t *testing.T) {
	p, err := start(t.Context(), self(t), []string{"die", "--flag"}, isReady)
	if err != nil {
		t.Fatal(err)
	}
	<-p.ended
	err = p.Died()
	if err == nil || !strings.Contains(err.Error(), "`hookstream die` died: exit status 3") || !strings.Contains(err.Error(), "the disk is full") {
		t.Error(err)
	}
	// A contest with it ends.
	_, err = (&Bench{}).Hold(t.Context(), Contest{Subject: Contender{Name: "gateway", Process: p, Round: noRound}})
	if err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Error(err)
	}
}

func TestAChildThatRefusesToStartSaysWhy(t *testing.T) {
	_, err := start(t.Context(), self(t), []string{"refuse"}, isReady)
	if err == nil || !strings.Contains(err.Error(), "no such flag") {
		t.Error(err)
	}
}

// Ctrl-C in the middle of a scenario leaves no process and no directory behind.
func TestNothingIsLeftBehind(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	dir := t.TempDir()
	var pid int
	s := Scenario{Name: "interrupted", Measure: func(ctx context.Context, b *Bench) (Result, error) {
		p, err := b.Start(ctx, isReady, "ready")
		if err != nil {
			return Result{}, err
		}
		pid = p.PID()
		if err := os.WriteFile(b.Path("data"), []byte("x"), 0o600); err != nil {
			return Result{}, err
		}
		interrupt()
		return Result{}, pause(ctx, startLimit)
	}}
	r := s.run(ctx, Options{Executable: self(t)}, filepath.Join(dir, "0"))
	if !strings.Contains(r.Error, context.Canceled.Error()) {
		t.Errorf("error: %q", r.Error)
	}
	if pid == 0 || !gone(pid) {
		t.Errorf("process %s is there", strconv.Itoa(pid))
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// An operator's stop ends it well, and it has not died then of anything.
func TestAChildStopsWhenAsked(t *testing.T) {
	p, err := start(t.Context(), self(t), []string{"ready"}, isReady)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Died(); err != nil {
		t.Errorf("while it runs: %v", err)
	}
	if err := p.Stop(); err != nil || !gone(p.PID()) {
		t.Errorf("stop: %v, gone: %v", err, gone(p.PID()))
	}
}

func TestUsageOfAProcess(t *testing.T) {
	p, err := start(t.Context(), self(t), []string{"ready"}, isReady)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	now, peak, err := p.Memory()
	if runtime.GOOS != "linux" {
		t.Skip("on Linux only")
	}
	if _, again := p.CPU(); err != nil || again != nil || now <= 0 || peak < now {
		t.Errorf("memory %d, peak %d: %v, CPU: %v", now, peak, err, again)
	}
}

func noRound(ctx context.Context, _ time.Duration) (Sample, error) { return Sample{}, ctx.Err() }
