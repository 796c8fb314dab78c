package app_test

import "syscall"

// diesWithUs has a program killed when the test that started it ends, however.
func diesWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
