package main

import (
	"fmt"
	"runtime"

	"github.com/hookstream/hookstream/app"
)

type versionCommand struct{}

// Run prints the version of this build and what it was built for.
func (versionCommand) Run(p *program) error {
	_, err := fmt.Fprintf(p.stdout, "hookstream %s %s/%s %s\n", app.Version, runtime.GOOS, runtime.GOARCH, runtime.Version())
	return err
}
