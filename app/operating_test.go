package app_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"google.golang.org/grpc/codes"

	"github.com/hookstream/hookstream/provider/ignisign/simulate"
)

// The page for operators quotes metrics that a gateway serves, and messages, fields
// and reasons that the code has: a name that is misspelt, or that the code has given
// up, is seen here. Flags and commands are held by
// TestPagesNameCommandsThatAreThere.
func TestOperatingPageQuotesWhatIsThere(t *testing.T) {
	page := operatingPage(t, "## Metrics", "## Limits")
	served := servedMetrics(t)
	said := saidInSources(t)
	metrics := 0
	for _, q := range quoted(page) {
		switch {
		case strings.HasPrefix(q, "hookstream_"):
			metrics++
			if !strings.Contains(served, "\n"+q+"{") && !strings.Contains(served, "\n"+q+" ") && !strings.Contains(served, "\n"+q+"_count") {
				t.Errorf("%s is on the page, and no gateway serves it", q)
			}
		case strings.HasPrefix(q, "…_"): // of a subscription, after another in full
			if !strings.Contains(served, "\nhookstream_subscription_"+strings.TrimPrefix(q, "…_")+"{") &&
				!strings.Contains(served, "\nhookstream_subscription_outstanding_"+strings.TrimPrefix(q, "…_")+"{") {
				t.Errorf("%s is on the page, and no gateway serves it", q)
			}
		case isCommand(q):
		default:
			for part := range strings.SplitSeq(q, "…") {
				part = strings.TrimRight(strings.TrimSpace(part), "/>.") // a directory, a subject
				if !strings.Contains(said, part) && !strings.Contains(said, snake(part)) {
					t.Errorf("%q is on the page, and the code does not say it", part)
				}
			}
		}
	}
	if metrics < 40 {
		t.Errorf("the page names %d metrics: not what was looked for", metrics)
	}
}

// operatingPage answers the part of docs/operating.md between two headings.
func operatingPage(t *testing.T, from, to string) string {
	t.Helper()
	b, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, page, ok := strings.Cut(string(b), "\n"+from+"\n")
	page, _, end := strings.Cut(page, "\n"+to+"\n")
	if !ok || !end {
		t.Fatalf("the page has no part from %q to %q", from, to)
	}
	return page
}

var quotes = regexp.MustCompile("`([^`\n]+)`")

func quoted(page string) (out []string) {
	for _, m := range quotes.FindAllStringSubmatch(page, -1) {
		out = append(out, m[1])
	}
	return out
}

// snake is a name of JSON as the schema has it.
func snake(name string) string {
	return regexp.MustCompile("[A-Z]").ReplaceAllStringFunc(name, func(s string) string { return "_" + strings.ToLower(s) })
}

// isCommand reports whether what is quoted is typed: a command, a flag, an expression
// for Prometheus, something of the shell.
func isCommand(q string) bool {
	return strings.HasPrefix(q, "hookstream ") || strings.HasPrefix(q, "--") || strings.HasPrefix(q, "increase(") || strings.HasPrefix(q, "ulimit ") || strings.HasPrefix(q, "chmod ")
}

// saidInSources is every text in the code, and the schema: what is said to people.
func saidInSources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "gen" || d.Name() == ".cache" || d.Name() == ".git" || d.Name() == "bin"):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".proto"):
			b, err := os.ReadFile(path)
			all.Write(b)
			return err
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
					all.WriteString(s + "\n")
				}
			case *ast.TypeSpec: // what the Go client hands its caller
				all.WriteString(n.Name.Name + "\n")
			case *ast.Field:
				for _, name := range n.Names {
					all.WriteString(name.Name + "\n")
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []error{syscall.EMFILE, syscall.EFBIG, syscall.ENOSPC, syscall.EADDRINUSE} { // the system's
		all.WriteString(e.Error() + "\n")
	}
	for _, e := range []error{natsserver.NewJSInsufficientResourcesError(), natsserver.NewJSStorageResourcesExceededError()} {
		all.WriteString(e.Error() + "\n")
	}
	for c := codes.OK; c <= codes.Unauthenticated; c++ {
		all.WriteString(c.String() + "\n")
	}
	return all.String()
}

// servedMetrics is what a gateway serves that has had some of everything: a counter
// with labels appears when it first counts.
func servedMetrics(t *testing.T) string {
	t.Helper()
	o := options(t)
	o.MaxConns = 2
	g := start(t, o)
	api := startSimulator(t, simulate.Options{})
	url := "http://" + g.Addrs().Ingress + g.createSource("esign", ignisignSource(api, 0)).GetIngressPath()
	postIgnisign(t, api, url, "kept", api.MintToken(api.App().ID, api.App().Env))
	api.Close()
	wait(t, "the provider is known not to answer", func() bool {
		http.DefaultClient.CloseIdleConnections()
		postIgnisign(t, api, url, "waits", "token")
		return strings.Contains(g.metrics(), "\nhookstream_verification_paused{")
	})
	path := g.createSource("billing", yousignSource()).GetIngressPath()
	g.mustREST("POST", "/v1/subscriptions?subscriptionId=crm&earliest=true", `{}`)
	g.webhook(path, 1)
	g.mustREST("POST", "/v1/subscriptions/crm:pull", `{"wait": "10s"}`)
	for range 4 {
		conn, err := net.Dial("tcp", g.Addrs().Ingress)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	wait(t, "a silent connection is given up", func() bool { return strings.Contains(g.metrics(), "\nhookstream_ingress_connections_closed_total{") })
	return g.metrics()
}
