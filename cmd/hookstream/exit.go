package main

import (
	"fmt"
	"strconv"
)

// What the process answers to its caller.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // as a shell reports SIGINT
)

// exitCodes say what each means, in help, the manual and docs/cli.md alike.
var exitCodes = []struct {
	code  int
	means string
}{
	{exitOK, "done; also when `serve`, `tail`, `demo` or `simulate` were ended by Ctrl-C or SIGTERM"},
	{exitFailed, "not done; also what `verify` does not take for genuine, damage that `doctor` found, and a backup that is not whole"},
	{exitUsage, "the command line is wrong, or a variable that stands for a flag; also a filter or an order of a list that the gateway does not understand"},
	{exitInterrupted, "interrupted before it was done"},
}

// exitCodesTopic is what help knows beside commands.
const exitCodesTopic = "exit-codes"

func (p *program) printExitCodes() error {
	var rows [][]string
	for _, c := range exitCodes {
		rows = append(rows, []string{strconv.Itoa(c.code), c.means})
	}
	if err := writeTable(p.stdout, []string{"CODE", "MEANS"}, rows); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}
