package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/hookstream/hookstream/internal/heavy"
)

// The commands and flags that the pages quote are there: a name that is misspelt, or
// that has gone, is seen here.
func TestPagesNameCommandsThatAreThere(t *testing.T) {
	heavy.Test(t)
	pages := []string{"../../README.md"}
	for _, folder := range []string{"../../docs/*.md", "../../docs/providers/*.md"} {
		more, err := filepath.Glob(folder)
		if err != nil || len(more) == 0 {
			t.Fatalf("%s: %v", folder, err)
		}
		pages = append(pages, more...)
	}
	seen := 0
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(page), func(t *testing.T) { seen += checkNames(t, string(b)) })
	}
	if seen < 75 {
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
	for _, quote := range slices.Concat(quotedIn(page), typedIn(page)) {
		words := strings.Fields(quote)
		for _, w := range words {
			if name, _, _ := strings.Cut(w, "="); strings.HasPrefix(w, "--") && !flags[name] && !slices.Contains(othersFlags, name) {
				t.Errorf("%s: the page names a flag that is not there", quote)
			}
		}
		if len(words) == 0 || words[0] != "hookstream" {
			continue
		}
		seen++
		if rest := unknownCommand(model.Node, words[1:]); rest != "" {
			t.Errorf("%s: the page names a command that is not there: %s", quote, rest)
		}
	}
	return seen
}

func quotedIn(page string) (all []string) {
	for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(page, -1) {
		all = append(all, m[1])
	}
	return all
}

// typedIn answers the lines of blocks that are typed for this program, from its name on.
func typedIn(page string) (all []string) {
	for _, m := range regexp.MustCompile("(?m)^ *(?:\\$ )?(?:\\w+=\\S+ )*(?:bin/)?(hookstream [a-z-](?:.*\\\\\n)*[^#|>\n]*)").FindAllStringSubmatch(page, -1) {
		if !strings.HasSuffix(m[1], ":") && !strings.Contains(m[1], ": ") { // what it says
			all = append(all, strings.ReplaceAll(m[1], "\\\n", ""))
		}
	}
	return all
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

// The page about the command line says which flags each command has: those that
// anybody may meet in `--help`.
func TestPageHasEveryFlag(t *testing.T) {
	page, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	if table := flagTable(commandModel(t)); !strings.Contains(string(page), "\n"+table) {
		t.Errorf("docs/cli.md has not this table:\n%s", table)
	}
}

// flagTable has a row for all commands with the same flags. What is said once for all
// commands, and what docs/operating.md has of serve, is not in it.
func flagTable(model *kong.Application) string {
	var order []string
	commands := make(map[string][]string)
	for _, leaf := range model.Leaves(true) {
		var flags []string
		for _, group := range leaf.AllFlags(true) {
			for _, f := range group {
				if !slices.Contains(forAll, f.Name) && (f.Group == nil || f.Group.Key != "Connection") {
					flags = append(flags, "`--"+f.Name+"`")
				}
			}
		}
		if pathOf(leaf) == "serve" {
			flags = []string{"[those of a gateway](operating.md#options)"}
		}
		if len(flags) == 0 {
			flags = []string{"none"}
		}
		path := pathOf(leaf)
		if leaf.Parent.DefaultCmd == leaf {
			path = pathOf(leaf.Parent)
		}
		row := strings.Join(flags, ", ")
		if commands[row] == nil {
			order = append(order, row)
		}
		commands[row] = append(commands[row], "`"+path+"`")
	}
	table := "| Command | Flags |\n|---|---|\n"
	for _, row := range order {
		table += "| " + strings.Join(commands[row], ", ") + " | " + row + " |\n"
	}
	return table
}

// forAll are flags of which the page says that all commands have them, or all that show
// something.
var forAll = []string{"help", "version", "output"}
