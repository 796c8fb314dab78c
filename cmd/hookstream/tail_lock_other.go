//go:build !unix

package main

import (
	"errors"
	"os"
)

// lock takes nothing here.
func lock(*os.File) (bool, error) { return true, nil }

var errBusy, errReadOnly = errors.ErrUnsupported, errors.ErrUnsupported
