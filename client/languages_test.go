package client_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/hookstream/hookstream/internal/heavy"
)

// language is a consumer in languages/NAME that is made of a running gateway's
// image, built and run once.
type language struct {
	name string
	// tools must be there, and probe, a shell command, must succeed: else the
	// language is skipped, unless LANGUAGES=all.
	tools []string
	probe string
	// make is a shell command, in a folder that holds the consumer's files and
	// lite.binpb. $FILES are ours and google.rpc's of the image.
	make string
	run  string
}

const protoc = `protoc --descriptor_set_in=lite.binpb `

// Debian's jars of grpc-java and what it stands on.
const jars = `$(ls /usr/share/java/*.jar | grep -E '/(grpc-[a-z-]+|netty-[a-z0-9-]+|netty|protobuf-java|protobuf|guava|failureaccess|perfmark-api|perfmark|javax.annotation-api|geronimo-annotation-1.3-spec|jsr305|gson|opencensus[a-z-]*|animal-sniffer-annotations)\.jar' | tr '\n' ':')`

// What the packages ask for.
const recentNode = `node -e 'process.exit(+process.versions.node.split(".")[0] >= 20 ? 0 : 1)'`

var languages = []language{
	{name: "node", tools: []string{"node", "npm"}, probe: recentNode, run: `node consumer.js $ADDRESSES`},
	{name: "es", tools: []string{"node", "npm"}, probe: recentNode, run: `node consumer.js $ADDRESSES`},
	{
		name: "python", tools: []string{"protoc", "grpc_python_plugin", "/usr/bin/python3"}, probe: `/usr/bin/python3 -c 'import grpc'`,
		make: protoc + `--python_out=. --grpc_out=. --plugin=protoc-gen-grpc=$(command -v grpc_python_plugin) $FILES`,
		run:  `PYTHONPATH=. /usr/bin/python3 -c 'import google; google.__path__.append("google"); import runpy; runpy.run_path("consumer.py", run_name="__main__")' $ADDRESSES`,
	},
	{
		name: "ruby", tools: []string{"protoc", "grpc_ruby_plugin", "ruby"}, probe: `ruby -e 'require "grpc"'`,
		make: protoc + `--ruby_out=. --grpc_out=. --plugin=protoc-gen-grpc=$(command -v grpc_ruby_plugin) $FILES`,
		run:  `ruby -I. consumer.rb $ADDRESSES`,
	},
	{
		name: "php", tools: []string{"protoc", "php"}, probe: `test -d /usr/share/php/Google/Protobuf && php -r "bcadd(1, 1);"`,
		make: protoc + `--php_out=. $FILES`,
		run:  `php consumer.php $ADDRESSES`,
	},
	{
		name: "cpp", tools: []string{"protoc", "grpc_cpp_plugin", "g++", "pkg-config"}, probe: `pkg-config --exists grpc++ protobuf`,
		// All of it in one unit: file by file the headers alone take a quarter of an
		// hour. Two names of protoc's are the same in each file.
		make: protoc + `--cpp_out=. --grpc_out=. --plugin=protoc-gen-grpc=$(command -v grpc_cpp_plugin) $FILES &&
			find . -name '*.cc' -size +0 | awk '{
				print "#define schemas schemas" NR "\n#define file_default_instances instances" NR
				print "#include \"" $0 "\"\n#undef schemas\n#undef file_default_instances"}' > all.cpp &&
			g++ -std=c++17 -O0 -I. all.cpp $(pkg-config --libs grpc++ protobuf) -o consumer`,
		run: `./consumer $ADDRESSES`,
	},
	{
		name: "java", tools: []string{"protoc", "grpc_java_plugin", "javac", "java"}, probe: `ls /usr/share/java/grpc-netty*.jar`,
		make: protoc + `--java_out=. --grpc_out=. --plugin=protoc-gen-grpc=$(command -v grpc_java_plugin) $FILES &&
			javac -nowarn -d classes -cp "` + jars + `" $(find . -name '*.java')`,
		run: `java -cp "classes:` + jars + `" Consumer $ADDRESSES`,
	},
}

// A consumer in any language is made of what a gateway serves and nothing else. It
// reads a typed field, resumes, acknowledges, and reads the reason of an error. What
// the machine has no tools for is not run, unless LANGUAGES=all.
func TestConsumersInOtherLanguages(t *testing.T) {
	ready := make([]language, 0, len(languages))
	for _, l := range languages {
		if missing := l.missing(); missing != "" {
			t.Run(l.name, func(t *testing.T) { lacks(t, missing) })
			continue
		}
		ready = append(ready, l)
	}
	if len(ready) == 0 {
		return
	}
	g := startBinary(t)
	image := fetch(t, "http://"+g.http+"/hookstream-lite.binpb")
	for _, l := range ready {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			dir := l.prepare(t, image)
			env := []string{"FILES=" + strings.Join(files(t, image), " "), "ADDRESSES=" + g.grpc + " " + g.http}
			if l.make != "" {
				if out, err := shell(dir, env, l.make); err != nil {
					t.Fatalf("%v\n%s", err, out)
				} else if len(out) > 0 && l.name != "java" {
					t.Errorf("the image does not make a clean client: %.2000s", out)
				}
			}
			out, err := shell(dir, env, l.run)
			want := "typed signature_request.done 3f1d2c4b-6a79-4e8f-9b0c-1d2e3f4a5b6c\nresumed signer.done\nacknowledged signature_request.done\nreason RESOURCE_NOT_FOUND\n"
			if err != nil || !strings.HasSuffix(out, want) {
				t.Errorf("%v\n%s\nwant\n%s", err, out, want)
			}
		})
	}
}

func (l language) missing() string {
	for _, tool := range l.tools {
		if _, err := exec.LookPath(tool); err != nil {
			return tool
		}
	}
	if out, err := shell(".", nil, l.probe); err != nil {
		return fmt.Sprintf("%s: %.200s", l.probe, out)
	}
	return ""
}

func lacks(t *testing.T, missing string) {
	if os.Getenv("LANGUAGES") == "all" {
		t.Fatalf("LANGUAGES=all, and this machine lacks %s", missing)
	}
	t.Skipf("NOT RUN: this machine lacks %s", missing)
}

// prepare lays the consumer's files and the image into a folder.
func (l language) prepare(t *testing.T, image []byte) string {
	dir := t.TempDir()
	if slices.Contains(l.tools, "npm") {
		modules(t, dir)
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("languages", l.name))); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "lite.binpb"), image)
	if l.name == "es" {
		generate(t, dir, image)
	}
	return dir
}

var installing sync.Mutex

// modules makes the packages that package-lock.json pins visible in dir.
func modules(t *testing.T, dir string) {
	installing.Lock()
	defer installing.Unlock()
	tools, err := filepath.Abs("../tools/node")
	if err != nil {
		t.Fatal(err)
	}
	lock, err := os.ReadFile(filepath.Join(tools, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	stamp := filepath.Join(tools, "node_modules", "installed.json")
	if have, _ := os.ReadFile(stamp); !bytes.Equal(have, lock) {
		if out, err := shell(tools, nil, "npm ci --no-audit --no-fund --ignore-scripts"); err != nil {
			lacks(t, fmt.Sprintf("the packages: npm ci: %v %.500s", err, out))
		}
		write(t, stamp, lock)
	}
	if err := os.Symlink(filepath.Join(tools, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "package.json"), []byte(`{"type": "module"}`))
}

// generate asks protoc-gen-es for JavaScript as protoc and buf would, neither of
// which need be there.
func generate(t *testing.T, dir string, image []byte) {
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(image, set); err != nil {
		t.Fatal(err)
	}
	request, err := proto.Marshal(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: files(t, image), ProtoFile: set.GetFile(), Parameter: proto.String("target=js,import_extension=js"),
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node_modules/.bin/protoc-gen-es")
	cmd.Dir, cmd.Stdin, cmd.Stderr = dir, bytes.NewReader(request), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	response := new(pluginpb.CodeGeneratorResponse)
	if err := proto.Unmarshal(out, response); err != nil || response.GetError() != "" {
		t.Fatal(err, response.GetError())
	}
	for _, f := range response.GetFile() {
		write(t, filepath.Join(dir, f.GetName()), []byte(f.GetContent()))
	}
}

// files are ours and google.rpc's of an image; every language has google.protobuf.
func files(t *testing.T, image []byte) []string {
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(image, set); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range set.GetFile() {
		if !strings.HasPrefix(f.GetName(), "google/protobuf/") {
			names = append(names, f.GetName())
		}
	}
	return names
}

// binary is a gateway in a process of its own, with two events.
type binary struct{ grpc, http string }

var addresses = regexp.MustCompile(`msg=serving .*grpc=(\S+) http=(\S+)`)

func startBinary(t *testing.T) binary {
	t.Helper()
	heavy.Test(t)
	path, err := heavy.Program(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "serve", "--data-dir", filepath.Join(t.TempDir(), "data"),
		"--ingress-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0")
	logs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var g binary
	lines := bufio.NewScanner(logs)
	for g.grpc == "" && lines.Scan() {
		if m := addresses.FindStringSubmatch(lines.Text()); m != nil {
			g = binary{grpc: m[1], http: m[2]}
		}
	}
	if g.grpc == "" {
		t.Fatal("the gateway does not serve")
	}
	go func() { _, _ = io.Copy(io.Discard, logs) }()
	for _, args := range []string{"sources create yousign billing --generate-secret", "trigger yousign signature_request.done --source billing", "trigger yousign signer.done --source billing"} {
		if out, err := exec.Command(path, append(strings.Fields(args), "--server", g.grpc)...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args, err, out)
		}
	}
	return g
}

// The document says what a typed client needs, and redocly finds nothing in it.
func TestOpenAPIIsCleanAndTyped(t *testing.T) {
	heavy.Test(t) // nothing of Go runs
	if missing := (language{tools: []string{"node", "npm"}, probe: recentNode}).missing(); missing != "" {
		lacks(t, missing)
	}
	dir := t.TempDir()
	modules(t, dir)
	if err := os.CopyFS(dir, os.DirFS("languages/openapi")); err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("../image/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "openapi.json"), document)
	for _, command := range []string{
		"REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true node_modules/.bin/redocly lint --extends recommended --max-problems 20 openapi.json",
		"node_modules/.bin/openapi-typescript openapi.json -o api.d.ts",
		"node_modules/.bin/tsc --noEmit --strict --skipLibCheck --target es2022 --module nodenext check.ts",
	} {
		out, err := shell(dir, nil, command)
		if err != nil || strings.Contains(out, "warning") && strings.Contains(out, "rule") {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
}

// shell runs a command that ends, with all that it started, in minutes.
func shell(dir string, env []string, command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // g++ alone takes several where others work too
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", command)
	cmd.WaitDelay = time.Second
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func fetch(t *testing.T, url string) []byte {
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	return b
}

func write(t *testing.T, path string, content []byte) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
