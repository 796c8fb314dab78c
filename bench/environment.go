package bench

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
)

// A Bench is what a scenario works with. What it starts by it is ended for it.
type Bench struct {
	Options
	// Dir is the scenario's own; it is removed when the scenario is done.
	Dir string

	name string

	mu       sync.Mutex
	made     int
	gateways []*Gateway
	cleanups []func() error
}

// gatewayOf answers the gateway that a process is, nil when it is none.
func (b *Bench) gatewayOf(p *Process) *Gateway {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, g := range b.gateways {
		if g.Process == p {
			return g
		}
	}
	return nil
}

// OnClose adds what is to be done when the scenario is done; last in first out.
func (b *Bench) OnClose(f func() error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cleanups = append(b.cleanups, f)
}

func (b *Bench) close() error {
	b.mu.Lock()
	cleanups := b.cleanups
	b.cleanups = nil
	b.mu.Unlock()
	var errs []error
	for _, f := range slices.Backward(cleanups) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// Path answers a path of the scenario's directory that nobody has used.
func (b *Bench) Path(name string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.made++
	return filepath.Join(b.Dir, name+"-"+strconv.Itoa(b.made))
}

// Start runs our own executable with args until the scenario is done: see
// Process. ready is called with each line that it writes until it answers true.
func (b *Bench) Start(ctx context.Context, ready func(line []byte) bool, args ...string) (*Process, error) {
	p, err := start(ctx, b.Executable, args, ready)
	if err != nil {
		return nil, err
	}
	b.OnClose(func() error { p.Kill(); return nil })
	return p, nil
}
