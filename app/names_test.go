package app_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/provider/yousign"
)

// mayName says where providers are named in code: in their own folders, and in the
// list of this package.
var mayName = []string{"provider/" + ignisign.ID + "/", "provider/" + yousign.ID + "/", "app/providers.go"}

// Whoever adds a provider changes nothing that is not its own.
func TestNobodyNamesAProvider(t *testing.T) {
	ids := []string{ignisign.ID, yousign.ID}
	var naming []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		name := strings.TrimPrefix(filepath.ToSlash(path), "../")
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "gen" || name == "tools" || strings.HasPrefix(d.Name(), ".") && d.Name() != ".."):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		case slices.ContainsFunc(mayName, func(p string) bool { return strings.HasPrefix(name, p) }):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil && names(file, ids) {
			naming = append(naming, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(naming) > 0 {
		t.Errorf("these name a provider:\n%s", strings.Join(naming, "\n"))
	}
}

// names reports whether an identifier or a text of a file holds one of the words.
func names(file *ast.File, words []string) (found bool) {
	holds := func(s string) {
		s = strings.ToLower(s)
		found = found || slices.ContainsFunc(words, func(w string) bool { return strings.Contains(s, w) })
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			holds(n.Name)
		case *ast.BasicLit:
			holds(n.Value)
		}
		return !found
	})
	return found
}
