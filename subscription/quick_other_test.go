//go:build !linux

package subscription_test

import "os"

// quickDir answers where files of plays in a bubble lie.
func quickDir() string { return os.TempDir() }
