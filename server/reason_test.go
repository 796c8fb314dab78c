package server

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// Every reason in the schema is one that is sent, and the page about errors has
// those and no others.
func TestReasonsAreSentAndDocumented(t *testing.T) {
	var schema []string
	for number, name := range hookstreamv1.ErrorReason_name {
		if number != 0 {
			schema = append(schema, strings.TrimPrefix(name, "ERROR_REASON_"))
		}
	}
	slices.Sort(schema)
	if diff := cmp.Diff(schema, reasonsSent(t)); diff != "" {
		t.Errorf("in the schema and sent (-schema +sent):\n%s", diff)
	}
	if diff := cmp.Diff(schema, reasonsDocumented(t)); diff != "" {
		t.Errorf("in the schema and in docs/api.md (-schema +docs):\n%s", diff)
	}
}

// reasonsSent are those that the code of this package, where all errors become
// statuses, names other than to compare.
func reasonsSent(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var sent []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if _, compared := n.(*ast.BinaryExpr); compared {
				return false
			}
			if s, ok := n.(*ast.SelectorExpr); ok {
				if reason, ok := strings.CutPrefix(s.Sel.Name, "ErrorReason_ERROR_REASON_"); ok {
					sent = append(sent, reason)
				}
			}
			return true
		})
	}
	slices.Sort(sent)
	return slices.Compact(sent)
}

// reasonsDocumented are those of the table that begins with the word Reason.
func reasonsDocumented(t *testing.T) (documented []string) {
	t.Helper()
	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(page), "| Reason |")
	if !ok {
		t.Fatal("docs/api.md has no table of reasons")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	for row := range strings.Lines(table) {
		if reason, _, ok := strings.Cut(strings.TrimPrefix(row, "| `"), "` |"); ok && reason != row {
			documented = append(documented, reason)
		}
	}
	slices.Sort(documented)
	return documented
}
