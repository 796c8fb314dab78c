package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// The commands and flags that the page for operators quotes are there: a name that is
// misspelt, or that has gone, is seen here.
func TestOperatingPageCommands(t *testing.T) {
	b, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	model := commandModel(t)
	flags := make(map[string]bool)
	for _, leaf := range append(model.Leaves(false), model.Node) {
		for _, group := range leaf.AllFlags(false) {
			for _, f := range group {
				flags["--"+f.Name] = true
			}
		}
	}
	seen := 0
	for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(string(b), -1) {
		words := strings.Fields(m[1])
		for _, w := range words {
			if name, _, _ := strings.Cut(w, "="); strings.HasPrefix(w, "--") && !flags[name] {
				t.Errorf("%s: the page names a flag that is not there", m[1])
			}
		}
		if words[0] != "hookstream" {
			continue
		}
		seen++
		if rest := unknownCommand(model.Node, words[1:]); rest != "" {
			t.Errorf("%s: the page names a command that is not there: %s", m[1], rest)
		}
	}
	if seen < 8 {
		t.Errorf("the page names %d commands: not what was looked for", seen)
	}
}

func commandModel(t *testing.T) *kong.Application {
	t.Helper()
	p := &program{getenv: noEnv}
	parser, _ := p.parser(t.Context())
	return parser.Model
}

// unknownCommand answers the first word that is neither a command nor an argument of
// one.
func unknownCommand(n *kong.Node, words []string) string {
	for i, w := range words {
		if strings.HasPrefix(w, "--") || n.Leaf() {
			return ""
		}
		next := (*kong.Node)(nil)
		for _, child := range n.Children {
			if child.Name == w {
				next = child
			}
		}
		if next == nil {
			return strings.Join(words[i:], " ")
		}
		n = next
	}
	return ""
}
