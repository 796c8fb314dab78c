package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// manCommand prints a manual page, made of what --help says.
type manCommand struct{}

// Run prints the page.
func (manCommand) Run(p *program, k *kong.Context) error {
	_, err := fmt.Fprint(p.stdout, manual(k.Model))
	return err
}

// manual is the page in the macros of man(7). It holds no date, so that a version
// has one page.
func manual(model *kong.Application) string {
	var page strings.Builder
	fmt.Fprintf(&page, ".TH HOOKSTREAM 1\n.SH NAME\nhookstream \\- %s\n", roff(model.Help))
	page.WriteString(".SH SYNOPSIS\n.B hookstream\n.I command\n[\\-\\-flag ...]\n.SH COMMANDS\n")
	for _, node := range model.Leaves(true) {
		writeCommand(&page, node)
	}
	page.WriteString(".SH ENVIRONMENT\n" +
		roff("Every flag has a variable, named behind it: its name in capitals after HOOKSTREAM_. The command line wins. Secrets are never flags; these variables hold them:") + "\n")
	for _, name := range otherVariables() {
		fmt.Fprintf(&page, ".TP\n.B %s\n", roff(name))
	}
	page.WriteString(".SH EXIT STATUS\n")
	for _, c := range exitCodes {
		fmt.Fprintf(&page, ".TP\n.B %d\n%s\n", c.code, roff(c.means))
	}
	return page.String()
}

func writeCommand(page *strings.Builder, node *kong.Node) {
	fmt.Fprintf(page, ".SS %s\n%s\n", roff(node.Summary()), roff(node.Help))
	for _, arg := range node.Positional {
		fmt.Fprintf(page, ".TP\n.I %s\n%s\n", roff(arg.Summary()), roff(arg.Help))
	}
	for _, group := range node.AllFlags(true) {
		for _, flag := range group {
			fmt.Fprintf(page, ".TP\n.B %s\n%s\n", roff(flag.String()), roff(helpWithEnvironment(flag.Value)))
		}
	}
	if lines := examples[pathOf(node)]; len(lines) > 0 {
		fmt.Fprintf(page, ".PP\nExamples:\n.PP\n.nf\n%s\n.fi\n", roff(strings.Join(lines, "\n")))
	}
}

// roff makes text safe: a hyphen is one that can be copied, what is not ASCII is
// named, and no line is a command to the formatter.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "~", `\(ti`, "^", `\(ha`).Replace(text)
	var out strings.Builder
	for i, r := range text {
		if r == '.' && (i == 0 || text[i-1] == '\n') {
			out.WriteString(`\&`)
		}
		if r < 0x80 {
			out.WriteRune(r)
			continue
		}
		fmt.Fprintf(&out, `\[u%04X]`, r)
	}
	return out.String()
}
