package app_test

import (
	"encoding/json"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/setting"
)

// nameSettings says who else names a setting of a subscription or a source, and why.
// Whoever treats settings alike goes by the tables and names none, so that a new one
// is a field of the schema and a row. A line is added for what a setting does, on
// purpose.
var nameSettings = map[string][]string{
	// How long a delivery is a consumer's, before the delivery says so.
	"client/consumer.go": {"subscription.ack_deadline"},
	// What is measured.
	"bench/stream_acked.go": {"subscription.max_outstanding_events"},
	"bench/gateway.go":      {"source.include_sensitive_fields", "source.max_requests_per_second"},
	// What a stream is granted, and what it selects.
	"server/subscription_subscribe.go": {"subscription.max_outstanding_events", "subscription.max_outstanding_bytes", "subscription.selector"},
	// What is withheld of events.
	"app/app.go": {"source.include_sensitive", "source.include_sensitive_fields"},
	// Calls and commands that switch it, and what state people are told.
	"server/source_enable.go":         {"source.disabled"},
	"cmd/hookstream/sources.go":       {"source.disabled", "source.verification_mode"},
	"cmd/hookstream/source_manage.go": {"source.disabled", "source.verification_mode"},
	// It has to do with the path of the source.
	"source/change.go": {"source.keyless"},
	// A selector has flags and lines for each of its parts.
	"cmd/hookstream/subscription_manage.go":   {"subscription.selector"},
	"cmd/hookstream/subscription_settings.go": {"subscription.selector"},
	"cmd/hookstream/subscription_update.go":   {"subscription.selector"},
	"cmd/hookstream/subscriptions.go":         {"subscription.selector"},
	// The sources that it makes.
	"cmd/hookstream/demo_sources.go": {"source.description"},
	// The two are held against each other.
	"subscription/settings.go": {"subscription.backoff_min", "subscription.backoff_max"},
}

// Whoever adds a setting names it twice: in the schema, and in its table. A struct
// beside the table is a part of it, and where a setting has its effect it is read.
func TestASettingIsNamedTwice(t *testing.T) {
	heavy.Test(t)
	t.Parallel()
	places := make(map[string]map[string]int) // where, of each setting, how often
	for _, p := range exported(t) {
		for _, n := range p.settings(t) {
			if places[n.setting] == nil {
				places[n.setting] = make(map[string]int)
			}
			places[n.setting][n.file]++
		}
	}
	for _, c := range configured {
		most := 1 // the row
		if c.owner != "" {
			most = 2 // and the field
		}
		for row := range c.table.Of(c.message.ProtoReflect().Descriptor()) {
			checkPlaces(t, settingName(c.message, row), places, c.at, most)
		}
	}
	for file, names := range nameSettings {
		for _, name := range names {
			if places[name][file] == 0 {
				t.Errorf("%s is said to name %s and does not", file, name)
			}
		}
	}
}

func checkPlaces(t *testing.T, name string, places map[string]map[string]int, table string, most int) {
	t.Helper()
	for file, times := range places[name] {
		switch {
		case slices.Contains(nameSettings[file], name):
		case file != table:
			t.Errorf("%s names the setting %s: let it go by the table", file, name)
		case times > most:
			t.Errorf("%s names the setting %s %d times", file, name, times)
		}
	}
}

func settingName(of proto.Message, row setting.Row) string {
	return strings.ToLower(string(of.ProtoReflect().Descriptor().Name())) + "." + row.Field
}

// A naming is one place where a setting is named.
type naming struct{ setting, file string }

// An exportedPackage is one as go list tells of it.
type exportedPackage struct {
	ImportPath, Dir, Export string
	GoFiles                 []string

	types types.ImporterFrom
	files *token.FileSet
}

// exported answers our packages that are no part of the schema.
func exported(t *testing.T) (ours []exportedPackage) {
	t.Helper()
	out, err := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	exports := make(map[string]string)
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p exportedPackage
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if name, is := strings.CutPrefix(p.ImportPath, module); is && !made(name) {
			ours = append(ours, p)
		}
	}
	files := token.NewFileSet()
	imports := importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	for i := range ours {
		ours[i].files, ours[i].types = files, imports.(types.ImporterFrom)
	}
	return ours
}

// settings answers where the package names settings, but for where it reads those
// that have their effect in it.
func (p exportedPackage) settings(t *testing.T) (out []naming) {
	t.Helper()
	var parsed []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(p.files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
	}
	info := &types.Info{Uses: make(map[*ast.Ident]types.Object), Defs: make(map[*ast.Ident]types.Object)}
	checked, err := (&types.Config{Importer: p.types}).Check(p.ImportPath, p.files, parsed, info)
	if err != nil {
		t.Fatal(err)
	}
	fields := settingFields(checked)
	add := func(at token.Pos, settings ...string) {
		for _, setting := range settings {
			out = append(out, naming{setting, p.name() + "/" + filepath.Base(p.files.Position(at).Filename)})
		}
	}
	for _, f := range parsed {
		for node := range ast.Preorder(f) {
			switch n := node.(type) {
			case *ast.BasicLit:
				if n.Kind == token.STRING {
					add(n.Pos(), spelt(n.Value)...)
				}
			case *ast.SelectorExpr:
				if setting, is := fields[info.Uses[n.Sel]]; is && p.hasEffect(setting) {
					delete(info.Uses, n.Sel)
				}
			}
		}
	}
	for _, named := range []map[*ast.Ident]types.Object{info.Uses, info.Defs} {
		for ident, object := range named {
			if setting, is := fields[object]; is {
				add(ident.Pos(), setting)
			}
		}
	}
	return out
}

func (p exportedPackage) name() string { return strings.TrimPrefix(p.ImportPath, module) }

// hasEffect reports whether a setting has its effect in the package.
func (p exportedPackage) hasEffect(setting string) bool {
	for _, c := range configured {
		of, _, _ := strings.Cut(setting, ".")
		if slices.Contains(c.effects, p.name()) && strings.ToLower(string(c.message.ProtoReflect().Descriptor().Name())) == of {
			return true
		}
	}
	return false
}

// settingFields answers what in Go is a setting: fields and getters of the generated
// messages, and fields of a struct of settings.
func settingFields(seen *types.Package) map[types.Object]string {
	out := make(map[types.Object]string)
	for _, p := range append(seen.Imports(), seen) {
		for _, c := range configured {
			m := c.message.ProtoReflect().Descriptor()
			owner := ""
			switch p.Path() {
			case module + "gen/hookstream/v1":
				owner = string(m.Name())
			case module + filepath.Dir(c.at):
				owner = c.owner
			}
			object := p.Scope().Lookup(owner)
			if object == nil {
				continue
			}
			for row := range c.table.Of(m) {
				for _, name := range []string{inGo(row.Field), "Get" + inGo(row.Field)} {
					if member, _, _ := types.LookupFieldOrMethod(types.NewPointer(object.Type()), true, p, name); member != nil {
						out[member] = settingName(c.message, row)
					}
				}
			}
		}
	}
	return out
}

// spelt answers the settings of several words that are spelt out in a text of Go, as
// the schema, JSON, a flag or people spell them. A single word may mean anything.
func spelt(literal string) (out []string) {
	for _, c := range configured {
		for row, fd := range c.table.Of(c.message.ProtoReflect().Descriptor()) {
			if !strings.Contains(row.Field, "_") {
				continue
			}
			for _, separator := range []string{"_", "-", " "} {
				if strings.Trim(literal, "\"`") == strings.ReplaceAll(row.Field, "_", separator) {
					out = append(out, settingName(c.message, row))
				}
			}
			if strings.Trim(literal, "\"`") == fd.JSONName() {
				out = append(out, settingName(c.message, row))
			}
		}
	}
	return out
}

func inGo(field string) string {
	var out strings.Builder
	for _, word := range strings.Split(field, "_") {
		out.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return out.String()
}
