package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/internal/linktest"
)

// pages are run from top to bottom, each in a folder and at ports of its own. The
// words behind a block's language say what is done with it:
//
//	console         each line behind $ is typed, and shows what follows it
//	console NAME    the same in a terminal of that name, where the last goes on until
//	                it has shown ^C or the page ends
//	sh, sh NAME     the same of lines that are all typed, whatever they show
//	text NAME       what the terminal shows then, in a while and after other things
//	LANGUAGE FILE   what is written into the file
//
// What has no such words is not run.
var pages = []struct {
	name  string
	needs []string
	serve bool              // it takes a gateway for granted
	demo  bool              // which chooses its ports
	means map[string]string // what a reader puts in the place of it
}{
	{name: "docs/quick-start.md", needs: []string{"curl", "openssl", "jq"}},
	{name: "docs/api.md", needs: []string{"curl"}, serve: true},
	{name: "README.md", demo: true, means: map[string]string{"=…": "=k3mW8rTq1Zx6Bv0nLp4sYd7cGh2jFa9e"}},
}

// furtherTools are those without which the rest of a page can be run.
var furtherTools = map[string]*regexp.Regexp{
	"grpcurl": regexp.MustCompile(`^grpcurl `),
	"buf":     regexp.MustCompile(`^(buf generate|go run) `),
}

// inTerminals are the commands that are another thing here: what `make build` makes is
// there, modules and plugins have the versions that the gateway is built with, so that
// nothing is downloaded, and what greets people finds a terminal, and need not tell them
// an address that is not the usual.
const inTerminals = `
hookstream() {
  case $1 in
  serve) script -qec "stty -opost; NO_COLOR=1 hookstream serve" /dev/null | sed -u 's/ --server [0-9.:]*$//' ;;
  *) command hookstream "$@" ;;
  esac
}
make() {
  command make -n -C "$ROOT" "$@" >/dev/null || return
  if [ "$1" = demo ]; then hookstream demo; fi
}
go() {
  case "$1 $2" in
  "mod init") sed "s,^module .*,module $3," "$ROOT/go.mod" >go.mod && cp "$ROOT/go.sum" . ;;
  "mod tidy") ;;
  "install "*)
    test "$(cd "$ROOT" && GOFLAGS= command go list -f '{{.Module.Version}}' "${2%@*}")" = "${2#*@}" || { echo "not the version of go.mod: $2"; return 1; }
    (cd "$ROOT" && GOFLAGS= command go build -o "$TOOLS/" "${2%@*}") ;;
  *) command go "$@" ;;
  esac
}
`

// What the pages have people type works in that order, and shows what they say.
func TestPages(t *testing.T) {
	heavy.Test(t)
	program, err := heavy.Program(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Dir(program)
	for _, p := range pages {
		t.Run(filepath.Base(p.name), func(t *testing.T) {
			for _, tool := range slices.Concat([]string{"bash", "script"}, p.needs) {
				if _, err := exec.LookPath(tool); err != nil {
					t.Skipf("NOT RUN: this machine lacks %s", tool)
				}
			}
			r := readPage(t, bin)
			for text, meant := range p.means {
				r.same[text] = meant
			}
			if p.serve {
				r.enter(t, "gateway", "hookstream serve", "…msg=serving…\n", true)
			}
			if p.demo {
				maps.DeleteFunc(r.same, func(page, _ string) bool { return strings.HasPrefix(page, "127.0.0.1:") })
			}
			r.all(t, p.name)
		})
	}
}

// A pageRun is a page that is being followed.
type pageRun struct {
	reading
	root, dir string
	env       []string
	terminals map[string]*terminal
	owner     *testing.T // of the terminals
}

func readPage(t *testing.T, bin string) *pageRun {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	version, err := os.ReadFile(filepath.Join(root, "VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	r := &pageRun{
		reading: reading{version: strings.TrimSpace(string(version)), same: make(map[string]string)},
		root:    root, dir: t.TempDir(), owner: t, terminals: make(map[string]*terminal),
	}
	tools := filepath.Join(r.dir, "tools")
	if err := os.Symlink(bin, filepath.Join(r.dir, "bin")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(tools, 0o700); err != nil {
		t.Fatal(err)
	}
	if found, _ := filepath.Glob(filepath.Join(root, ".cache", "buf-*")); len(found) > 0 {
		if err := os.Symlink(found[0], filepath.Join(tools, "buf")); err != nil {
			t.Fatal(err)
		}
	}
	r.env = append(os.Environ(), "ROOT="+root, "TZ=UTC", "HOOKSTREAM_WAIT=30s", "HOOKSTREAM_DRAIN_GRACE=100ms",
		"TOOLS="+tools, "GOPROXY=off", "GOSUMDB=off", "GOWORK=off", "GOFLAGS=-mod=mod", "PATH="+strings.Join([]string{tools, bin, os.Getenv("PATH")}, ":"))
	for usual, names := range map[string][]string{
		"127.0.0.1:8080": {"HOOKSTREAM_INGRESS_ADDR"},
		"127.0.0.1:9090": {"HOOKSTREAM_GRPC_ADDR", "HOOKSTREAM_SERVER"},
		"127.0.0.1:9091": {"HOOKSTREAM_HTTP_ADDR"},
		"127.0.0.1:8090": {"HOOKSTREAM_IGNISIGN_ADDR"},
	} {
		r.same[usual] = linktest.Addr(t)
		for _, name := range names {
			r.env = append(r.env, name+"="+r.same[usual])
		}
	}
	return r
}

// fence opens and closes a block.
var fence = regexp.MustCompile("(?m)^```(.*)\n((?s:.*?))^```$")

// all follows the page until something is not as it says.
func (r *pageRun) all(t *testing.T, name string) {
	text, err := os.ReadFile(filepath.Join(r.root, name))
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, m := range fence.FindAllStringSubmatchIndex(string(text), -1) {
		info, block := strings.Fields(string(text[m[2]:m[3]])), string(text[m[4]:m[5]])
		line := strconv.Itoa(1 + strings.Count(string(text[:m[4]]), "\n"))
		if len(info) == 0 || len(info) == 1 && info[0] != "console" && info[0] != "sh" {
			continue
		}
		ran++
		if !t.Run(line, func(t *testing.T) { r.block(t, info[0], strings.Join(info[1:], " "), block) }) {
			t.Fatalf("%s:%s is not so; the rest of the page is not run", name, line)
		}
	}
	if ran == 0 {
		t.Error("no block of the page is run")
	}
}

func (r *pageRun) block(t *testing.T, language, where, block string) {
	switch language {
	case "console":
		steps := typed.FindAllStringSubmatch(block, -1)
		for i, m := range steps {
			r.enter(t, where, m[1], m[2], where != "" && i == len(steps)-1)
		}
	case "sh":
		lines := strings.Split(strings.TrimSpace(block), "\n")
		for i, command := range lines {
			r.enter(t, where, command, "…", where != "" && i == len(lines)-1)
		}
	case "text":
		r.await(t, where, block)
	default:
		if err := os.WriteFile(filepath.Join(r.dir, where), []byte(r.actual(block)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// typed is a command, which goes on in the next line behind a \ or a |, and what it
// shows.
var typed = regexp.MustCompile(`(?m)^\$ ((?:.*[\\|]\n)*.*)\n((?:[^$\n].*\n|\$[^ ].*\n|\n)*)`)

// wall stands where nothing else may be.
const wall = "\n\x00\n"

// enter types a command and looks at what it shows.
func (r *pageRun) enter(t *testing.T, where, command, shows string, goesOn bool) {
	t.Helper()
	for tool, uses := range furtherTools {
		if uses.MatchString(command+" ") && !r.has(tool) {
			t.Skipf("NOT RUN: this machine lacks %s", tool)
		}
	}
	s := r.terminals[where]
	if s == nil {
		s = openTerminal(r.owner, r.dir, r.env)
		s.run(inTerminals)
		r.terminals[where] = s
	}
	command = r.actual(command)
	if goesOn {
		s.begin(command)
		shows, ended := strings.CutSuffix(shows, "^C\n")
		if r.await(t, where, shows); ended {
			s.interrupt()
			s.finish()
		}
		return
	}
	shown, ok := s.run(command)
	shown, shows = strings.TrimSpace(shown), strings.TrimSpace(shows)
	if r.match(wall+shows+wall, wall+shown+wall) < 0 {
		t.Errorf("%s\nshows\n%s\nthe page says\n%s", command, shown, r.actual(shows))
	} else if (shows == "" || shows == "…") && !ok {
		t.Errorf("%s failed", command)
	}
}

func (r *pageRun) has(tool string) bool {
	_, err := exec.LookPath(tool)
	if err != nil {
		_, err = os.Stat(filepath.Join(r.dir, "tools", tool))
	}
	return err == nil
}

// await waits until a terminal shows what the page says it does.
func (r *pageRun) await(t *testing.T, where, shows string) {
	t.Helper()
	s := r.terminals[where]
	if s == nil {
		t.Fatalf("nothing was typed in a terminal %q", where)
	}
	for end, ended := time.Now().Add(commandLimit), false; !ended && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		ended = s.ended() // looked at first: what it shows is all of it then
		if n := r.match(shows, s.fresh()); n >= 0 {
			s.looked(n)
			return
		}
	}
	t.Errorf("the terminal %s shows\n%s\nthe page says\n%s", where, s.fresh(), r.actual(shows))
}
