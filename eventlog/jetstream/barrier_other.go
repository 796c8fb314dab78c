//go:build !linux

package jetstream

import (
	"errors"
	"log/slog"
)

// barrierSupported: elsewhere the server syncs every message itself, which is
// slower and just as safe.
const barrierSupported = false

func newBlockBarrier(string, *slog.Logger) (barrier, error) {
	return nil, errors.New("block barrier: only on Linux")
}

func newFSBarrier(string, *slog.Logger) (barrier, error) {
	return nil, errors.New("file system barrier: only on Linux")
}

// syncFiles does nothing: here the server syncs each write.
func syncFiles(string) error { return nil }
