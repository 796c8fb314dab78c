package event

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	optionsv1 "github.com/hookstream/hookstream/gen/hookstream/options/v1"
)

// Redact clears every field of m that the schema marks as sensitive, however
// deep, and answers their paths in m, such as `signer.signature_link` or
// `documents[0].token`. Only what was set is answered.
//
// Content without a schema is held to the names: in a Struct, a key that is
// spelt like a sensitive field of the same Protobuf package, letter case and
// underscores aside, is removed; and so is text that is itself JSON with such a
// key, which is what deeply nested content is kept as. A sender that moves a secret
// to where nobody expected it does not thereby publish it.
func Redact(m proto.Message) []string {
	r := redactor{}
	r.message(m.ProtoReflect(), nil)
	return r.paths
}

// redactor walks a message. A path is a list of pieces that hold their own
// separators: joined only when something is found.
type redactor struct{ paths []string }

func (r *redactor) found(path []string) { r.paths = append(r.paths, strings.Join(path, "")) }

// step extends a path by a name. The full slice expression keeps siblings apart.
func step(path []string, name string) []string {
	if len(path) > 0 {
		name = "." + name
	}
	return append(path[:len(path):len(path)], name)
}

func index(path []string, i int) []string {
	return append(path[:len(path):len(path)], "["+strconv.Itoa(i)+"]")
}

func (r *redactor) message(m protoreflect.Message, path []string) {
	plan := planOf(m.Descriptor())
	for _, f := range plan.sensitive {
		if m.Has(f) {
			m.Clear(f)
			r.found(step(path, string(f.Name())))
		}
	}
	for _, f := range plan.walk {
		if m.Has(f) {
			r.field(f, m.Get(f), step(path, string(f.Name())), plan.names)
		}
	}
}

func (r *redactor) field(f protoreflect.FieldDescriptor, v protoreflect.Value, path []string, names map[string]bool) {
	switch {
	case f.IsList():
		for i := range v.List().Len() {
			r.value(v.List().Get(i).Message(), index(path, i), names)
		}
	case f.IsMap():
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			r.value(v.Message(), step(path, k.String()), names)
			return true
		})
	default:
		r.value(v.Message(), path, names)
	}
}

func (r *redactor) value(m protoreflect.Message, path []string, names map[string]bool) {
	if !isUntyped(m.Descriptor()) {
		r.message(m, path)
		return
	}
	// Struct, Value and ListValue have one field each that leads deeper, or none.
	secret := false
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			r.object(m.Mutable(f).Map(), path, names)
		case f.IsList() || f.Message() != nil:
			r.field(f, v, path, names)
		case f.Kind() == protoreflect.StringKind && textNames(v.String(), names):
			secret = true
		}
		return true
	})
	if secret {
		r.found(path)
		withhold(m)
	}
}

// withhold makes a Value null: it may be an element of a list, whose others keep
// their places.
func withhold(m protoreflect.Message) {
	null := m.Descriptor().Fields().ByName("null_value")
	m.Set(null, protoreflect.ValueOfEnum(0))
}

func (r *redactor) object(object protoreflect.Map, path []string, names map[string]bool) {
	keys := make([]protoreflect.MapKey, 0, object.Len())
	object.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k)
		return true
	})
	// The paths of one event come in one order.
	slices.SortFunc(keys, func(a, b protoreflect.MapKey) int { return strings.Compare(a.String(), b.String()) })
	for _, k := range keys {
		if names[plainName(k.String())] {
			object.Clear(k)
			r.found(step(path, k.String()))
			continue
		}
		r.value(object.Get(k).Message(), step(path, k.String()), names)
	}
}

// plainName makes `signature_link`, `signatureLink` and `Signature-Link` one.
func plainName(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '_' || c == '-' || c == ' ':
			return -1
		case 'A' <= c && c <= 'Z':
			return c + ('a' - 'A')
		}
		return c
	}, s)
}

// redactPlan is what there is to do for messages of one type.
type redactPlan struct {
	sensitive []protoreflect.FieldDescriptor
	walk      []protoreflect.FieldDescriptor // fields below which something may be sensitive
	names     map[string]bool                // of sensitive fields of the package, in plain form
}

var redactPlans sync.Map // protoreflect.MessageDescriptor to *redactPlan

func planOf(d protoreflect.MessageDescriptor) *redactPlan {
	if p, ok := redactPlans.Load(d); ok {
		return p.(*redactPlan)
	}
	p := &redactPlan{names: sensitiveNames(d.ParentFile())}
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		switch {
		case factsOf(f).GetSensitive():
			p.sensitive = append(p.sensitive, f)
		case messageOf(f) != nil && mayHold(messageOf(f), len(p.names) > 0):
			p.walk = append(p.walk, f)
		}
	}
	redactPlans.Store(d, p)
	return p
}

func factsOf(f protoreflect.FieldDescriptor) *optionsv1.FieldFacts {
	facts, _ := proto.GetExtension(f.Options(), optionsv1.E_Field).(*optionsv1.FieldFacts)
	return facts
}

// messageOf answers the type of a field's values, nil when they are scalars.
func messageOf(f protoreflect.FieldDescriptor) protoreflect.MessageDescriptor {
	if f.IsMap() {
		return f.MapValue().Message()
	}
	return f.Message()
}

// mayHold reports whether anything sensitive can stand in a message of the type
// or below; named says whether content without a schema is held to names there.
func mayHold(d protoreflect.MessageDescriptor, named bool) bool {
	if isUntyped(d) {
		return named
	}
	seen := make(map[protoreflect.FullName]bool) // types may hold themselves
	var visit func(protoreflect.MessageDescriptor) bool
	visit = func(d protoreflect.MessageDescriptor) bool {
		if seen[d.FullName()] {
			return false
		}
		seen[d.FullName()] = true
		named := len(sensitiveNames(d.ParentFile())) > 0
		for i := range d.Fields().Len() {
			f := d.Fields().Get(i)
			m := messageOf(f)
			switch {
			case factsOf(f).GetSensitive(), m != nil && isUntyped(m) && named, m != nil && !isUntyped(m) && visit(m):
				return true
			}
		}
		return false
	}
	return visit(d)
}

func isUntyped(d protoreflect.MessageDescriptor) bool {
	switch d.FullName() {
	case "google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue":
		return true
	}
	return false
}

var namesOfPackages sync.Map // protoreflect.FullName to map[string]bool

// sensitiveNames answers every name, in plain form, of every sensitive field in
// the package of the file.
func sensitiveNames(file protoreflect.FileDescriptor) map[string]bool {
	if names, ok := namesOfPackages.Load(file.Package()); ok {
		return names.(map[string]bool)
	}
	names := make(map[string]bool)
	collectNames(file.Messages(), names)
	protoregistry.GlobalFiles.RangeFilesByPackage(file.Package(), func(f protoreflect.FileDescriptor) bool {
		collectNames(f.Messages(), names)
		return true
	})
	namesOfPackages.Store(file.Package(), names)
	return names
}

func collectNames(messages protoreflect.MessageDescriptors, names map[string]bool) {
	for i := range messages.Len() {
		m := messages.Get(i)
		for j := range m.Fields().Len() {
			addNames(m.Fields().Get(j), names)
		}
		collectNames(m.Messages(), names)
	}
}

func addNames(f protoreflect.FieldDescriptor, names map[string]bool) {
	facts := factsOf(f)
	if !facts.GetSensitive() {
		return
	}
	for _, name := range append([]string{string(f.Name()), facts.GetJson()}, facts.GetJsonAliases()...) {
		if name != "" {
			names[plainName(name)] = true
		}
	}
}
