package main

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// What commands have no form of -o, and why.
var formless = map[string]string{
	"serve":                "its log goes to standard error",
	"demo":                 "a play, for people",
	"simulate":             "a play, for people",
	"verify yousign":       "a diagnosis, for people; its exit code is for programs",
	"verify ignisign":      "the same",
	"sources delete":       "nothing is left to be shown",
	"subscriptions delete": "the same",
	"bench run":            "--json writes its report to a file beside the table",
	"bench baseline":       "for bench itself",
	"events export":        "--format says in what form",
	"import":               "a line that says what came in",
	"completion":           "a script",
	"man":                  "a page",
	"version":              "a line",
	"help":                 "help",
}

// Commands that do something else than to show what there is.
var doing = []string{"tail", "doctor", "verify kept", "backup", "verify-backup", "restore"}

// Every command prints what there is in all forms, or is named above: who adds one
// decides. The page names those that have two.
func TestEveryCommandHasItsForms(t *testing.T) {
	all, two := []string{"text", "wide", "json", "yaml", "name"}, []string{"text", "json"}
	seen := make(map[string]bool)
	for _, node := range aParser(t).Model.Leaves(false) {
		path := pathOf(node)
		seen[path] = true
		want := all
		if slices.Contains(doing, path) {
			want = two
		}
		flag := flagOf(node, "--output")
		switch why := formless[path]; {
		case why != "" && flag != nil:
			t.Errorf("%s has -o, and is named as one that has not", path)
		case why != "":
		case flag == nil:
			t.Errorf("%s has no -o", path)
		case flag.Short != 'o' || flag.Default != "text" || !slices.Equal(flag.EnumSlice(), want):
			t.Errorf("%s has -%c %s, by default %s, want -o %v, by default text", path, flag.Short, flag.Enum, flag.Default, want)
		}
	}
	page, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "as `tail`, `doctor`, `verify --event`, `backup`, `verify-backup` and `restore`, has `text` and `json`") || len(doing) != 6 {
		t.Error("docs/cli.md does not name the commands that have text and json only")
	}
	for _, path := range slices.AppendSeq(slices.Clone(doing), maps.Keys(formless)) {
		if !seen[path] {
			t.Errorf("there is no command %s", path)
		}
	}
}
