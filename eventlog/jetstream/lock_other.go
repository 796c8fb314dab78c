//go:build !unix

package jetstream

import "os"

// lockDir does not lock here; the index, which is opened later, does.
func lockDir(dir string) (*os.File, error) { return os.Open(dir) }
