//go:build !linux

package app_test

import "syscall"

// diesWithUs leaves it to the test's clean-up.
func diesWithUs() *syscall.SysProcAttr { return nil }
