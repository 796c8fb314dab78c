package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

// A program is what a command may touch of the world around it.
type program struct {
	getenv func(string) string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// run does what args say until it is done or ctx ends, and answers the exit
// code. What is wrong is told on stderr.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	out := &written{Writer: stdout}
	p := &program{getenv: getenv, stdin: stdin, stdout: out, stderr: stderr}
	parser, exited := p.parser(ctx)
	var parsed *kong.Context
	var err error
	switch {
	case len(args) > 0 && args[0] == completeWord:
		p.printCandidates(ctx, parser.Model, args[1:])
		return exitOK // a shell shows nothing
	case slices.Equal(args, []string{"help", exitCodesTopic}):
		return p.tell(p.printExitCodes())
	case len(args) > 0 && args[0] == "help":
		args = append(slices.Clone(args[1:]), "--help")
	}
	if code, ended := exited(func() { parsed, err = parser.Parse(args) }); ended {
		return max(code, p.tell(out.failed(nil))) // --help, --version
	}
	if err != nil {
		return p.tell(usage(err))
	}
	if err := emptyFlag(parsed); err != nil {
		return p.tell(err)
	}
	return p.tell(out.failed(parsed.Run()))
}

// parser makes the command line. The second result calls a function and reports
// whether kong wanted the process to end meanwhile, which it does after help.
func (p *program) parser(ctx context.Context) (parser *kong.Kong, exited func(func()) (int, bool)) {
	type exit struct{ code int }
	parser = kong.Must(newCommands(),
		kong.Name("hookstream"),
		kong.Description("Webhooks in, typed gRPC streams out, nothing lost in between."),
		kong.Writers(p.stdout, p.stderr),
		kong.Exit(func(code int) { panic(exit{code}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.ValueFormatter(helpWithEnvironment),
		kong.Resolvers(environment(p.getenv)),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(p),
		defaults(),
	)
	showExamples(parser.Model.Node)
	exited = func(f func()) (code int, ended bool) {
		defer func() {
			switch r := recover().(type) {
			case nil:
			case exit:
				code, ended = r.code, true
			default:
				panic(r)
			}
		}()
		f()
		return exitOK, false
	}
	return parser, exited
}

// tell shows an error to people and answers the exit code it stands for.
func (p *program) tell(err error) int {
	if err == nil {
		return exitOK
	}
	what, hint := explain(err)
	fmt.Fprintf(p.stderr, "hookstream: %s\n", printable(what))
	if hint != "" {
		fmt.Fprintf(p.stderr, "hint: %s\n", hint)
	}
	switch {
	case errors.As(err, new(usageError)):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailed
}

// say prints a line for people who watch, beside the output.
func (p *program) say(format string, args ...any) {
	fmt.Fprintf(p.stderr, "hookstream: "+format+"\n", args...)
}

// isTerminal reports whether people look at w.
func isTerminal(w any) bool {
	if out, ok := w.(*written); ok {
		w = out.Writer
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// columns answers how wide the terminal w is; 0: it is none.
func columns(w any) int {
	if out, ok := w.(*written); ok {
		w = out.Writer
	}
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// colourful reports whether w should get colours: a terminal, and nobody said
// otherwise (no-color.org).
func (p *program) colourful(w io.Writer) bool {
	return isTerminal(w) && p.getenv("NO_COLOR") == "" && p.getenv("TERM") != "dumb"
}
