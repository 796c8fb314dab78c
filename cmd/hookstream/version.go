package main

import (
	"fmt"
	"runtime"

	"github.com/alecthomas/kong"

	"github.com/hookstream/hookstream/app"
)

type versionCommand struct{}

// Run prints the version of this build and what it was built for.
func (versionCommand) Run(p *program) error {
	_, err := fmt.Fprintf(p.stdout, "hookstream %s %s/%s %s\n", app.Version, runtime.GOOS, runtime.GOARCH, runtime.Version())
	return err
}

// showVersion is --version, which does what version does wherever it stands.
type showVersion bool

// BeforeReset prints and ends, before anything that is missing is complained of.
func (showVersion) BeforeReset(k *kong.Kong, p *program) error {
	err := versionCommand{}.Run(p)
	k.Exit(exitOK)
	return err
}

// helpCommand is here to be listed; run makes --help of it.
type helpCommand struct {
	Command []string `arg:"" optional:"" help:"The command, by its words: sources create."`
}
