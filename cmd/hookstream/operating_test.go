package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// The commands and flags that the pages quote are there: a name that is misspelt, or
// that has gone, is seen here.
func TestPagesNameCommandsThatAreThere(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(page), func(t *testing.T) { seen += checkNames(t, string(b)) })
	}
	if seen < 30 {
		t.Errorf("the pages name %d commands: not what was looked for", seen)
	}
}

// othersFlags are of curl, and of the provider that a page has its reader add.
var othersFlags = []string{"--data-binary", "--parcelo"}

// checkNames answers how many commands a page names.
func checkNames(t *testing.T, page string) (seen int) {
	model := commandModel(t)
	flags := make(map[string]bool)
	for _, leaf := range append(model.Leaves(false), model.Node) {
		for _, group := range leaf.AllFlags(false) {
			for _, f := range group {
				flags["--"+f.Name] = true
			}
		}
	}
	for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(page, -1) {
		words := strings.Fields(m[1])
		for _, w := range words {
			if name, _, _ := strings.Cut(w, "="); strings.HasPrefix(w, "--") && !flags[name] && !slices.Contains(othersFlags, name) {
				t.Errorf("%s: the page names a flag that is not there", m[1])
			}
		}
		if len(words) == 0 || words[0] != "hookstream" {
			continue
		}
		seen++
		if rest := unknownCommand(model.Node, words[1:]); rest != "" {
			t.Errorf("%s: the page names a command that is not there: %s", m[1], rest)
		}
	}
	return seen
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
		if strings.HasPrefix(w, "--") || n.Leaf() || w == "COMMAND" {
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
