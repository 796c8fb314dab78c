package client_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What stands around the blocks of docs/clients.md, and between them.
var around = []string{
	`package main

import (
	"context"
	"fmt"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hookstream/hookstream/client"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

func main() {
	if err := page(); err != nil {
		log.Fatal(err)
	}
}

func page() error {
	creds := insecure.NewCredentials()
	ctx, stop := context.WithCancel(context.Background())
	store := func(_ context.Context, e *hookstreamv1.Event) error {
		fmt.Println("stored", e.GetType())
		stop()
		return nil
	}
	handle := func(_ context.Context, d *hookstreamv1.Delivery) error {
		fmt.Println("handled", d.GetEvent().GetType())
		return client.ErrStop
	}
`,
	"if err != nil { return err }\n",
	"if err != nil { return err }\nctx = context.Background()\n",
	"return err }\n",
}

// The Go of the page about this package is compiled as it stands, and does what it
// says against a gateway.
func TestPageRuns(t *testing.T) {
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(clientsPage(t), -1)
	if len(blocks) != len(around)-1 {
		t.Fatalf("the page has %d blocks of Go; this test joins %d", len(blocks), len(around)-1)
	}
	g := startBinary(t)
	dir := t.TempDir()
	source := around[0]
	for i, b := range blocks {
		source += b[1] + around[i+1]
	}
	cursor := filepath.Join(dir, "cursor")
	source = strings.NewReplacer("gateway:9090", g.grpc, "/var/lib/crm/cursor", cursor).Replace(source)
	file := filepath.Join(dir, "main.go")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "run", file).CombinedOutput()
	if want := "stored signature_request.done\nhandled signer.done\n"; err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
	if _, err := os.Stat(cursor); err != nil {
		t.Errorf("the place was not kept: %v", err)
	}
}

// What the page calls by the name of something of this package is there.
func TestPageNamesWhatIsThere(t *testing.T) {
	there := exported(t)
	seen := 0
	for _, m := range regexp.MustCompile("`\\*?(client\\.)?([A-Z][A-Za-z]*[a-z][A-Za-z]*)(\\([^`]*\\))?`").FindAllStringSubmatch(clientsPage(t), -1) {
		seen++
		if !there[m[2]] {
			t.Errorf("%s is on the page and not in the package", m[0])
		}
	}
	if seen < 20 {
		t.Errorf("the page names %d things: not what was looked for", seen)
	}
}

func clientsPage(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// exported are the names of functions, types, fields and methods of this package.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				names[n.Name.Name] = true
				return false
			case *ast.ValueSpec:
				for _, name := range n.Names {
					names[name.Name] = true
				}
			case *ast.TypeSpec:
				names[n.Name.Name] = true
			case *ast.Field:
				for _, name := range n.Names {
					names[name.Name] = true
				}
			}
			return true
		})
	}
	return names
}
