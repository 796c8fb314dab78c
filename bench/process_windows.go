package bench

import "syscall"

func alone() *syscall.SysProcAttr { return nil }
