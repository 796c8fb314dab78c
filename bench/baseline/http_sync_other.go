//go:build !linux

package baseline

import "os"

func datasync(f *os.File) error { return f.Sync() }
