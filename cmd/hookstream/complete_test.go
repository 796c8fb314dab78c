package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/hookstream/hookstream/internal/heavy"
)

// aParser is the command line of this program.
func aParser(t *testing.T) *kong.Kong {
	t.Helper()
	p := &program{getenv: func(string) string { return "" }, stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}
	parser, _ := p.parser(t.Context())
	return parser
}

func TestCandidates(t *testing.T) {
	model := aParser(t).Model.Node
	names := func(of string) []candidate { return []candidate{{of + "-1", ""}, {of + "-2", ""}} }
	for typed, want := range map[string][]string{
		"tr":                               {"trigger"},
		"sources cr":                       {"create"},
		"sources create ":                  {"yousign", "ignisign"},
		"trigger ":                         {"yousign", "ignisign"},
		"trigger yousign ":                 nil,
		"completion z":                     {"zsh"},
		"subscriptions parked p":           {"purge"},
		"subscriptions replays c":          {"cancel"},
		"events replay --ra":               {"--rate"},
		"sources list --fi":                {"--filter"},
		"subscriptions parked list --or":   {"--order-by"},
		"event-types --or":                 {"--order-by"},
		"sources list -o ":                 {"text", "wide", "json", "yaml", "name"},
		"sources list --output j":          {"json"},
		"sources list --output=y":          {"--output=yaml"},
		"sources list --output = y":        {"yaml"}, // bash
		"sources list --output =":          {"text", "wide", "json", "yaml", "name"},
		"tail --cursor-file ":              nil, // the shell's own
		"tail --cursor-file place --subsc": {"--subscription"},
		"tail --no-color --subsc":          {"--subscription"},
		"nonsense tr":                      {"trigger"},
		"__":                               nil,
		"bench ":                           nil, // what is hidden stays so
		"sources get ":                     {"source-1", "source-2"},
		"sources get source-1 ":            nil,
		"sources get --server x ":          {"source-1", "source-2"},
		"subscriptions parked list ":       {"subscription-1", "subscription-2"},
		"tail --subscription ":             {"subscription-1", "subscription-2"},
		"tail --source=":                   {"--source=source-1", "--source=source-2"},
		"sources create yousign ":          nil, // one that is not there yet
	} {
		var got []string
		for _, c := range candidates(model, strings.Split(typed, " "), names) {
			got = append(got, c.word)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}

// Names are asked of the gateway that the line names, in whatever way shells break it up.
func TestConnectionOfALineThatIsTyped(t *testing.T) {
	for typed, want := range map[string][]string{
		"sources get b":                             nil,
		"sources get --server x:1 b":                {"--server", "x:1"},
		"sources get --server=x:1 --tls b":          {"--server=x:1", "--tls"},
		"sources get --server = x:1 --ca f b":       {"--server", "x:1", "--ca", "f"}, // bash
		"sources get --server x":                    {"--server"},                     // refused, and nothing is asked
		"tail --subscription crm --source s --ca f": {"--ca"},
	} {
		if got := connectionWords(strings.Split(typed, " ")); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}

// Every command that does something has examples, and they are what it takes.
func TestExamples(t *testing.T) {
	heavy.Test(t)
	var paths []string
	parser := aParser(t)
	for _, node := range parser.Model.Leaves(false) {
		if node.Hidden && pathOf(node) != "bench run" {
			continue
		}
		path := strings.TrimSuffix(pathOf(node), " run")
		paths = append(paths, path)
		if len(examples[path]) == 0 {
			t.Errorf("%s has no example", path)
		}
		for _, line := range examples[path] {
			_, line, _ = strings.Cut(line, "hookstream ")
			line, _, _ = strings.Cut(line, ">")
			parsed, err := parser.Parse(shellWords(strings.TrimSuffix(line, ")")))
			if err != nil {
				t.Errorf("%s: %v", line, err)
			} else if got := parsed.Selected(); path != "help" && !strings.HasPrefix(pathOf(got), path) {
				t.Errorf("%s: is %s", line, pathOf(got))
			}
		}
	}
	for path := range examples {
		if !slices.Contains(paths, path) {
			t.Errorf("there is no command %s", path)
		}
	}
}

// shellWords splits at spaces outside of single quotes.
func shellWords(line string) (words []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}

// Every exit code that is told of is one that the program ends with, and the docs
// say the same.
func TestExitCodes(t *testing.T) {
	heavy.Test(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	ways := map[int]struct {
		ctx  context.Context
		args []string
	}{
		exitOK:          {t.Context(), []string{"version"}},
		exitFailed:      {t.Context(), []string{"providers", "--server", "127.0.0.1:1"}},
		exitUsage:       {t.Context(), []string{"trial"}},
		exitInterrupted: {ended, []string{"providers", "--server", "127.0.0.1:1", "--wait", "1m"}},
	}
	docs, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	help := output1(t, "help", "exit-codes")
	for _, c := range exitCodes {
		way, ok := ways[c.code]
		if !ok {
			t.Errorf("nobody knows how to end with %d", c.code)
			continue
		}
		var out bytes.Buffer
		if got := run(way.ctx, way.args, func(string) string { return "" }, strings.NewReader(""), &out, &out); got != c.code {
			t.Errorf("%v ended with %d, want %d: %s", way.args, got, c.code, &out)
		}
		if !strings.Contains(string(docs), fmt.Sprintf("\n| %d | %s |\n", c.code, c.means)) {
			t.Errorf("docs/cli.md does not say what %d means", c.code)
		}
		if !strings.Contains(help, c.means) {
			t.Errorf("help does not say what %d means: %s", c.code, help)
		}
	}
	if len(ways) != len(exitCodes) {
		t.Errorf("%d codes are told of, the program has %d", len(exitCodes), len(ways))
	}
}

// output1 answers what a command prints that is done.
func output1(t *testing.T, args ...string) string {
	t.Helper()
	var out, told bytes.Buffer
	if code := run(t.Context(), args, func(string) string { return "" }, strings.NewReader(""), &out, &told); code != exitOK {
		t.Fatalf("%v ended with %d: %s", args, code, &told)
	}
	return out.String()
}

// The manual has every command and flag that help shows, and no line of it is taken
// for a command of the formatter.
func TestManual(t *testing.T) {
	heavy.Test(t)
	page := output1(t, "man")
	for _, node := range aParser(t).Model.Leaves(true) {
		if !strings.Contains(page, "\n.SS "+roff(pathOf(node))) {
			t.Errorf("%s is missing", pathOf(node))
		}
	}
	for line := range strings.Lines(page) {
		macro, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(line, ".") && !slices.Contains([]string{".TH", ".SH", ".SS", ".TP", ".B", ".I", ".PP", ".nf", ".fi"}, macro) || strings.HasPrefix(line, "'") {
			t.Errorf("a command to the formatter: %s", line)
		}
	}
}
