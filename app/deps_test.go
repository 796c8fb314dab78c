package app_test

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hookstream/hookstream/"

// arrows says which packages of ours a package may import. gen and image hold
// what the build makes and may be used by all. A new package is a line here, on
// purpose.
var arrows = map[string][]string{
	// The version, in the folder of the file that says it.
	"github.com/hookstream/hookstream": {},

	"event":              {},
	"eventlog":           {"event"},
	"eventlog/index":     {"conns"},
	"eventlog/jetstream": {"event", "eventlog", "eventlog/index", "internal/question"},
	"eventlog/queue":     {"event", "eventlog", "eventlog/jetstream"},
	"eventlog/store":     {"eventlog", "internal/question"},
	"eventlog/memlog":    {"event", "eventlog"},
	"source":             {"event", "eventlog", "eventlog/store", "provider", "setting"},
	// What the tables of settings are made of.
	"setting": {},
	// The form of a backup's file.
	"backup": {},
	// What many who want to know the same ask once.
	"internal/question": {},

	"conns":             {},
	"ingress":           {"conns", "event", "eventlog", "source", "provider", "provider/lenient"},
	"provider":          {},
	"provider/lenient":  {},
	"provider/yousign":  {"event", "provider", "provider/lenient"},
	"provider/ignisign": {"event", "provider", "provider/lenient"},

	"history":       {"event", "eventlog", "history/query"},
	"history/query": {},

	"request":      {"eventlog", "history/query"},
	"hub":          {"event", "eventlog", "internal/question", "provider"},
	"subscription": {"event", "eventlog", "eventlog/queue", "eventlog/store", "hub", "internal/question", "setting"},
	"server":       {"cloudevent", "event", "eventlog", "history", "history/query", "hub", "internal/jsonline", "provider", "replay", "request", "server/listing", "source", "subscription"},
	// Events as CloudEvents.
	"cloudevent": {"event", "internal/jsonline"},
	// JSON that every reader takes for one line.
	"internal/jsonline": {},
	"replay":            {"event", "eventlog", "eventlog/store", "history", "hub", "subscription"},
	// Filters and orders of lists: they know protobuf and none of our resources.
	"server/listing": {},

	// What other people's programs import: nothing of ours but gen.
	"client": {},

	// Plays whatever sender it is given. Each is in the folder of its provider.
	"simulator":                  {},
	"provider/yousign/simulate":  {"provider", "provider/yousign", "simulator"},
	"provider/ignisign/simulate": {"provider", "provider/ignisign", "simulator"},

	"app": {
		"conns", "event", "eventlog", "eventlog/jetstream", "eventlog/queue", "source", "ingress", "provider/yousign/simulate", "provider/ignisign/simulate",
		"provider", "server", "history", "hub", "replay", "request", "subscription",
	},

	// Measures from outside: processes and the network.
	"bench/load":     {},
	"bench/baseline": {"event"},
	"bench":          {"bench/baseline", "bench/load", "simulator"},

	"cmd/hookstream": {"app", "backup", "bench", "client", "cloudevent", "event", "eventlog", "eventlog/jetstream", "ingress", "internal/jsonline", "provider", "setting", "simulator", "source", "subscription"},

	// Only for tests.
	"eventlog/logtest":             {"event", "eventlog", "eventlog/jetstream"},
	"eventlog/natstest":            {"internal/heavy", "internal/linktest"},
	"internal/heavy":               {},
	"internal/linktest":            {},
	"internal/toyprovider":         {},
	"simulator/simulatortest":      {},
	"subscription/memengine":       {"event", "eventlog", "eventlog/memlog", "eventlog/queue", "subscription"},
	"provider/providertest":        {"event", "provider"},
	"provider/lenient/lenienttest": {},
}

var madeByTheBuild = []string{"gen/", "image"}

type pkg struct {
	ImportPath string
	Imports    []string
}

// packages answers the imports of all our packages, by name.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]string)
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(p.ImportPath, module)] = p.Imports
	}
	return all
}

func TestArrows(t *testing.T) {
	seen := make(map[string]bool)
	for name, imports := range packages(t) {
		seen[name] = true
		checkImports(t, name, imports)
	}
	for name := range arrows {
		if !seen[name] {
			t.Errorf("%s is in the table and not in the project", name)
		}
	}
}

// mayWire says who meets wire form without generated code, and why. The words of the
// API are written by hand in event alone, whose fuzz test holds them against the
// generated code.
var mayWire = map[string]string{
	"event":            "writes events, deliveries and batches",
	"provider/lenient": "writes what a schema says of a sender's JSON: it knows no field by number",
	"bench/load":       "reads what it measures, and imports nothing of ours",
}

func TestWireFormHasOnePlace(t *testing.T) {
	for name, imports := range packages(t) {
		does := slices.Contains(imports, "google.golang.org/protobuf/encoding/protowire")
		switch _, may := mayWire[name]; {
		case does && !may && !made(name):
			t.Errorf("%s reads or writes wire form by hand: let event do it", name)
		case may && !does:
			t.Errorf("%s is in the table and has nothing to do with wire form", name)
		}
	}
}

func checkImports(t *testing.T, name string, imports []string) {
	t.Helper()
	if made(name) {
		return
	}
	allowed, ok := arrows[name]
	if !ok {
		t.Errorf("%s is a package that nobody placed: add it to the table", name)
	}
	for _, imp := range imports {
		ours, ok := strings.CutPrefix(imp, module)
		if ok && !made(ours) && !slices.Contains(allowed, ours) {
			t.Errorf("%s must not import %s", name, ours)
		}
	}
}

func made(name string) bool {
	return slices.ContainsFunc(madeByTheBuild, func(p string) bool { return strings.HasPrefix(name, p) })
}
