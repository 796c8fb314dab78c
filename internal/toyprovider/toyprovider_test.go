package toyprovider

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/internal/heavy"
)

const page = "docs/adding-a-provider.md"

// Whoever follows the page gets a provider that works: a folder, a package of protos
// with a field in the central messages, and a line in the list of package app. Nothing
// of the checkout is changed: what the page adds is laid over it for the compiler.
func TestThePageBuildsAProvider(t *testing.T) {
	heavy.Test(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	found, _ := filepath.Glob(filepath.Join(root, ".cache", "buf-*"))
	if len(found) == 0 {
		t.Skip("NOT TRIED: there is no buf in .cache; `make generate` puts it there")
	}
	toy := &toy{t: t, root: root, dir: t.TempDir(), over: make(map[string]string)}
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	toy.page = string(text)

	toy.writeProto()
	toy.generate(found[0])
	toy.writeProvider()
	toy.join()
	toy.run("provider/parcelo")
	toy.add("internal/toyprovider/gateway/gateway_test.go", toy.read("internal/toyprovider/testdata/gateway_test.go"))
	toy.run("internal/toyprovider/gateway")
	toy.command()
}

// A toy is a checkout with what the page adds to it.
type toy struct {
	t         *testing.T
	page      string
	root, dir string            // of the checkout, and of what is beside it
	over      map[string]string // files of the checkout: what the compiler reads in their place
}

var (
	// file is a block under the name of a file.
	file = regexp.MustCompile("(?m)(?:^| )`([a-z_./0-9]+/[a-z_.0-9]+)`:\n\n```[a-z]*\n((?s:.*?)\n)```$")
	// field is a block that goes into a file, behind the field of another provider.
	field = regexp.MustCompile("(?m)In `[A-Za-z.]+` of `([a-z_./0-9]+)`:\n\n```proto\n((?s:.*?)\n)```$")
	// line is a block of what goes into one.
	line = regexp.MustCompile("(?m)^In `(app/providers.go)`, a line in the list:\n\n```go\n((?s:.*?)\n)```$")
)

// files answers the page's blocks by their files.
func (s *toy) files(block *regexp.Regexp) map[string]string {
	out := make(map[string]string)
	for _, m := range block.FindAllStringSubmatch(s.page, -1) {
		out[m[1]] = m[2]
	}
	if len(out) == 0 {
		s.t.Fatalf("%s has no %s", page, block)
	}
	return out
}

// writeProto writes the schema as it is with the provider's, where buf finds it.
func (s *toy) writeProto() {
	for _, name := range []string{"proto", "third_party/proto"} {
		if err := os.CopyFS(filepath.Join(s.dir, name), os.DirFS(filepath.Join(s.root, name))); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, name := range []string{"buf.yaml", "buf.gen.yaml", "go.mod", "go.sum"} {
		s.write(name, s.read(name))
	}
	for name, text := range s.files(file) {
		if strings.HasSuffix(name, ".proto") {
			s.write(name, text)
		}
	}
	another := regexp.MustCompile(`(?m)^ *hookstream\.yousign\.v1\.\w+ yousign = \d+;\n`)
	imported := regexp.MustCompile(`(?m)^import "hookstream/yousign/v1/(\w+\.proto)";\n`)
	for name, text := range s.files(field) {
		central := another.ReplaceAllStringFunc(s.read(name), func(m string) string { return m + text })
		central = imported.ReplaceAllString(central, "import \"hookstream/parcelo/v1/$1\";\n$0")
		s.write(name, central)
	}
}

// generate makes code of the schema, and lays over the checkout what is new in it.
func (s *toy) generate(buf string) {
	s.exec(s.dir, buf, "generate")
	gen := filepath.Join(s.dir, "gen")
	err := filepath.WalkDir(gen, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(s.dir, path)
		if err != nil {
			return err
		}
		made, err := os.ReadFile(path)
		if was, _ := os.ReadFile(filepath.Join(s.root, name)); err == nil && !bytes.Equal(was, made) {
			s.over[filepath.Join(s.root, name)] = path
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// writeProvider writes the provider's folder.
func (s *toy) writeProvider() {
	for name, text := range s.files(file) {
		if strings.HasPrefix(name, "provider/") {
			s.add(name, text)
		}
	}
}

// join adds the line to the list of package app.
func (s *toy) join() {
	const (
		last     = "\t\tyousign.Provider{},\n"
		imported = "import (\n"
	)
	for name, text := range s.files(line) {
		list := strings.Replace(s.read(name), last, last+text, 1)
		s.add(name, strings.Replace(list, imported, imported+"\t\"github.com/hookstream/hookstream/provider/parcelo\"\n", 1))
	}
}

// run compiles the tests of a package, and runs them in the provider's folder.
func (s *toy) run(pkg string) {
	s.t.Helper()
	binary := filepath.Join(s.dir, filepath.Base(pkg)+".test")
	s.exec(s.root, "go", "test", "-c", "-vet=off", "-overlay", s.overlay(), "-o", binary, "./"+pkg)
	out := s.exec(filepath.Join(s.dir, "provider/parcelo"), binary, "-test.v")
	if !strings.Contains(out, "--- PASS: Test") {
		s.t.Errorf("%s: no test ran:\n%s", pkg, out)
	}
}

// overlay writes down for the compiler what is laid over the checkout.
func (s *toy) overlay() (path string) {
	s.t.Helper()
	overlay, err := json.Marshal(map[string]any{"Replace": s.over})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.write("overlay.json", string(overlay))
}

// command runs what the page shows of the command line, which knows nothing of the
// provider but what it and its schema say.
func (s *toy) command() {
	s.t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		s.t.Log("NOT TRIED: what the page shows of the command line needs a shell")
		return
	}
	binary := filepath.Join(s.dir, "hookstream")
	s.exec(s.root, "go", "build", "-overlay", s.overlay(), "-o", binary, "./cmd/hookstream")
	shown := regexp.MustCompile("(?m)^\\$ (?:(\\w+)=(\\S+) )?hookstream (.*)\n((?:[^$`].*\n)*)").FindAllStringSubmatch(s.page, -1)
	if len(shown) == 0 {
		s.t.Fatalf("%s shows no command", page)
	}
	for _, m := range shown {
		cmd := exec.CommandContext(s.t.Context(), "sh", "-c", binary+" "+m[3])
		cmd.Dir, cmd.Env = s.dir, append(os.Environ(), m[1]+"="+m[2])
		out, _ := cmd.CombinedOutput() // the page shows what fails too
		for _, line := range strings.Split(strings.TrimSpace(m[4]), "\n") {
			if !strings.Contains(string(out), line) {
				s.t.Errorf("hookstream %s: no line %q in:\n%s", m[3], line, out)
			}
		}
	}
}

// add writes a file beside the checkout and lays it over it.
func (s *toy) add(name, text string) {
	s.over[filepath.Join(s.root, name)] = s.write(name, text)
}

func (s *toy) write(name, text string) (path string) {
	s.t.Helper()
	path = filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// read answers a file of the checkout.
func (s *toy) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.root, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func (s *toy) exec(dir, name string, args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
