package app_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/setting"
	"github.com/hookstream/hookstream/source"
	"github.com/hookstream/hookstream/subscription"
)

// configured are the resources that have settings.
var configured = []struct {
	message proto.Message
	table   setting.Table
	at      string   // the file of the table
	owner   string   // of a struct beside it, if there is one
	effects []string // packages in which settings have their effect
}{
	{&hookstreamv1.Subscription{}, subscription.Table, "subscription/settings.go", "Settings", []string{"subscription"}},
	{&hookstreamv1.Source{}, source.Table, "source/settings.go", "", []string{"ingress"}},
}

// A field that a caller may set is a setting, and has a row.
func TestEverySettingHasARow(t *testing.T) {
	for _, c := range configured {
		m := c.message.ProtoReflect().Descriptor()
		rows := make(map[protoreflect.Name]bool)
		for row, fd := range c.table.Of(m) {
			if rows[fd.Name()] {
				t.Errorf("%s has two rows", fd.FullName())
			}
			if rows[fd.Name()] = true; row.Help == "" {
				t.Errorf("nobody is told what %s is", fd.FullName())
			}
		}
		for i := range m.Fields().Len() {
			fd := m.Fields().Get(i)
			switch {
			case rows[fd.Name()], fd.Name() == "etag", fd.ContainingOneof() != nil: // a provider's config
			case behaves(fd, annotations.FieldBehavior_OUTPUT_ONLY), behaves(fd, annotations.FieldBehavior_IDENTIFIER):
			default:
				t.Errorf("%s has no row in the table", fd.FullName())
			}
		}
	}
}

func behaves(fd protoreflect.FieldDescriptor, behavior annotations.FieldBehavior) bool {
	all, _ := proto.GetExtension(fd.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	for _, b := range all {
		if b == behavior {
			return true
		}
	}
	return false
}

// At the edges, schema and table refuse the same.
func TestSchemaAndTablesHaveTheSameBounds(t *testing.T) {
	for _, c := range configured {
		for row, fd := range c.table.Of(c.message.ProtoReflect().Descriptor()) {
			for _, v := range edges(row, fd) {
				m := c.message.ProtoReflect().New()
				m.Set(fd, v)
				bySchema, byTable := refused(t, m.Interface(), row.Field), len(c.table.Check(m.Interface())) > 0
				if bySchema != byTable {
					t.Errorf("%s %v: the schema refuses it: %t, the table: %t", fd.FullName(), v, bySchema, byTable)
				}
			}
		}
	}
}

// edges are values on both sides of the bounds.
func edges(row setting.Row, fd protoreflect.FieldDescriptor) (out []protoreflect.Value) {
	switch v := row.Values.(type) {
	case setting.Spans:
		for _, d := range []int64{-1, 0, int64(v.Min) - 1, int64(v.Min), int64(v.Min) + 1, int64(v.Max) - 1, int64(v.Max), int64(v.Max) + 1} {
			out = append(out, protoreflect.ValueOfMessage((&durationpb.Duration{Seconds: d / 1e9, Nanos: int32(d % 1e9)}).ProtoReflect()))
		}
	case setting.Numbers:
		return numberEdges(fd, v.Min, v.Max)
	case setting.Sizes:
		return numberEdges(fd, v.Min, v.Max)
	case setting.Choice:
		values := fd.Enum().Values()
		for i := range values.Len() {
			out = append(out, protoreflect.ValueOfEnum(values.Get(i).Number()))
		}
		out = append(out, protoreflect.ValueOfEnum(999))
	}
	return out
}

func numberEdges(fd protoreflect.FieldDescriptor, least, most float64) (out []protoreflect.Value) {
	for _, x := range []float64{-1, 0, least - 1, least, least + 1, most - 1, most, most + 1} {
		switch fd.Kind() {
		case protoreflect.Int32Kind:
			out = append(out, protoreflect.ValueOfInt32(int32(x)))
		case protoreflect.Int64Kind:
			out = append(out, protoreflect.ValueOfInt64(int64(x)))
		default:
			out = append(out, protoreflect.ValueOfFloat64(x))
		}
	}
	return out
}

func refused(t *testing.T, m proto.Message, field string) bool {
	t.Helper()
	var invalid *protovalidate.ValidationError
	err := protovalidate.Validate(m)
	if err == nil {
		return false
	}
	if !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	for _, v := range invalid.Violations {
		if protovalidate.FieldPathString(v.Proto.GetField()) == field {
			return true
		}
	}
	return false
}

// What callers read in the schema is what the table says.
func TestCommentsSayBoundsAndDefaults(t *testing.T) {
	comments := schemaWithComments(t)
	for _, c := range configured {
		for row, fd := range c.table.Of(comments.message(t, c.message)) {
			if row.Values == nil {
				continue
			}
			comment := strings.Join(strings.Fields(fd.ParentFile().SourceLocations().ByDescriptor(fd).LeadingComments), " ")
			if _, choice := row.Values.(setting.Choice); !choice && !strings.Contains(comment, row.Values.Bounds()) {
				t.Errorf("the comment of %s does not say %q: %s", fd.FullName(), row.Values.Bounds(), comment)
			}
			if preset := row.Values.Default(); preset != "" && !strings.Contains(comment, preset+" by default") {
				t.Errorf("the comment of %s does not say %q: %s", fd.FullName(), preset+" by default", comment)
			}
		}
	}
}

// A commented schema is one as it is served, with its comments.
type commented struct {
	find func(protoreflect.FullName) (protoreflect.Descriptor, error)
}

func schemaWithComments(t *testing.T) commented {
	t.Helper()
	image, err := os.ReadFile("../image/hookstream.binpb")
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(image, &set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		t.Fatal(err)
	}
	return commented{files.FindDescriptorByName}
}

func (c commented) message(t *testing.T, m proto.Message) protoreflect.MessageDescriptor {
	t.Helper()
	d, err := c.find(m.ProtoReflect().Descriptor().FullName())
	if err != nil {
		t.Fatal(err)
	}
	return d.(protoreflect.MessageDescriptor)
}

// Where people read of settings, there is what the tables say.
func TestDocsOfSettings(t *testing.T) {
	for i, file := range []string{"../docs/subscriptions.md", "../docs/api.md"} {
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := configured[i]
		if want := docsOfSettings(c.table, c.message.ProtoReflect().Descriptor()); !strings.Contains(string(page), want) {
			t.Errorf("%s does not have the table of %T:\n%s", file, c.message, want)
		}
	}
}

func docsOfSettings(table setting.Table, m protoreflect.MessageDescriptor) string {
	var out strings.Builder
	out.WriteString("| Field | Default | May be | |\n|---|---|---|---|\n")
	for row, fd := range table.Of(m) {
		preset, bounds := "", ""
		if row.Values != nil {
			preset, bounds = row.Values.Default(), row.Values.Bounds()
		}
		if setting.IsFixed(fd) {
			bounds = strings.TrimPrefix(bounds+"; never changes", "; ")
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", row.Field, preset, bounds, row.Help)
	}
	return out.String()
}
