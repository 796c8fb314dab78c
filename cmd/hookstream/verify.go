package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// verifyCommand checks captured requests without a gateway, and kept ones by it.
type verifyCommand struct {
	Yousign  verifyYousignCommand  `cmd:"" help:"Check the signature of a captured request of Yousign."`
	Kept     verifyEventCommand    `cmd:"" default:"withargs" name:"kept" help:"Check again, from what is kept with an event, that its sender vouched for it: verify --event events/…"`
	Ignisign verifyIgnisignCommand `cmd:"" help:"Check what can be told of a captured request of Ignisign; --ask asks Ignisign for the rest."`
}

// maxCapturedBytes is more than any gateway accepts.
const maxCapturedBytes = 16 << 20

// errNotGenuine ends every verification that failed.
var errNotGenuine = errors.New("not genuine")

// A report tells step by step how a check went.
type report struct{ out *tabwriter.Writer }

func newReport(w io.Writer) report { return report{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)} }

// step tells one step. What it says is for people and holds no secret.
func (r report) step(name, format string, args ...any) {
	fmt.Fprintf(r.out, "%s\t%s\n", name, oneLine(fmt.Sprintf(format, args...)))
}

func (r report) end() { _ = r.out.Flush() }

// told joins what there is.
func told(parts ...string) string { return strings.Join(nonEmpty(parts), ", ") }

func nonEmpty(texts []string) []string {
	return slices.DeleteFunc(texts, func(text string) bool { return text == "" })
}
