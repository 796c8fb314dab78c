//go:build !linux

package bench

import (
	"errors"
	"time"
)

var errNotLinux = errors.New("bench: CPU and memory of a process are read on Linux only")

// CPU answers an error: it is known on Linux only.
func (p *Process) CPU() (time.Duration, error) { return 0, errNotLinux }

// Memory answers an error: it is known on Linux only.
func (p *Process) Memory() (now, peak int64, err error) { return 0, 0, errNotLinux }
