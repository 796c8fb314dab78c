//go:build unix

package main

import (
	"errors"
	"os"
	"syscall"
)

// lock takes the file for this process, until it is closed or the process ends,
// and reports whether nobody else has it.
func lock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	if errors.Is(err, syscall.ENOLCK) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS) {
		return true, nil // a file system without locks
	}
	return err == nil, err
}

const (
	errBusy     = syscall.EBUSY
	errReadOnly = syscall.EROFS
)
