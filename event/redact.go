package event

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	optionsv1 "github.com/hookstream/hookstream/gen/hookstream/options/v1"
)

// Kinds is a set of kinds of sensitive content, as hookstream.options.v1.Sensitivity
// names them.
type Kinds uint8

// AllKinds are all that there are.
const AllKinds Kinds = 1<<2 - 1

const access, identity = Kinds(1) << 0, Kinds(1) << 1

// KindsOf answers the set of the kinds. Those that are not known here are left out.
func KindsOf(kinds ...optionsv1.Sensitivity) Kinds {
	var set Kinds
	for _, k := range kinds {
		switch k {
		case optionsv1.Sensitivity_SENSITIVITY_ACCESS:
			set |= access
		case optionsv1.Sensitivity_SENSITIVITY_IDENTITY:
			set |= identity
		}
	}
	return set
}

// Redact clears every field of m that the schema marks as sensitive in a kind
// that is not shown, however deep, and answers their paths in m, such as
// `signer.signature_link` or `documents[0].token`. Only what was set is answered.
//
// Content without a schema is held to its names, and to what its texts are: in a
// Struct, a key is removed that is spelt like a sensitive field of the same
// Protobuf package, letter case and underscores aside; and, unless links and
// tokens are shown, one whose name ends like theirs, or whose text is a web
// address. In a list null takes the place of such a text. JSON that is kept as
// text is held to the same. A sender that moves a secret to where nobody expected
// it does not thereby publish it.
func Redact(m proto.Message, shown Kinds) []string {
	r := redactor{shown: shown}
	if shown != AllKinds {
		r.message(m.ProtoReflect(), nil)
	}
	return r.paths
}

// redactor walks a message. A path is a list of pieces that hold their own
// separators: joined only when something is found.
type redactor struct {
	shown Kinds
	paths []string
}

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
	plan := planOf(m.Descriptor(), r.shown)
	for _, f := range plan.sensitive {
		if m.Has(f) {
			m.Clear(f)
			r.found(step(path, string(f.Name())))
		}
	}
	for _, f := range plan.walk {
		if m.Has(f.FieldDescriptor) {
			r.field(f, m.Get(f.FieldDescriptor), step(path, string(f.Name())), f.names)
		}
	}
}

func (r *redactor) field(f protoreflect.FieldDescriptor, v protoreflect.Value, path []string, names names) {
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

func (r *redactor) value(m protoreflect.Message, path []string, names names) {
	if !isUntyped(m.Descriptor()) {
		r.message(m, path)
		return
	}
	if names.hideText(textOf(m)) {
		m.Set(m.Descriptor().Fields().ByName("null_value"), protoreflect.ValueOfEnum(structpb.NullValue_NULL_VALUE.Number()))
		r.found(path)
		return
	}
	// Struct, Value and ListValue have one field each that leads deeper, or none.
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			r.object(m.Mutable(f).Map(), path, names)
		case f.IsList() || f.Message() != nil:
			r.field(f, v, path, names)
		}
		return true
	})
}

// textOf answers the text that a Value holds, empty for anything else.
func textOf(m protoreflect.Message) string {
	if f := m.Descriptor().Fields().ByName("string_value"); f != nil {
		return m.Get(f).String()
	}
	return ""
}

func (r *redactor) object(object protoreflect.Map, path []string, names names) {
	keys := make([]protoreflect.MapKey, 0, object.Len())
	object.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k)
		return true
	})
	// The paths of one event come in one order.
	slices.SortFunc(keys, func(a, b protoreflect.MapKey) int { return strings.Compare(a.String(), b.String()) })
	for _, k := range keys {
		value := object.Get(k).Message()
		if names.hideKey(k.String()) || names.hideText(textOf(value)) || names.hidePair(path, k.String(), value) {
			object.Clear(k)
			r.found(step(path, k.String()))
			continue
		}
		r.value(value, step(path, k.String()), names)
	}
}

// redactPlan is what there is to do for messages of one type.
type redactPlan struct {
	sensitive []protoreflect.FieldDescriptor
	walk      []walkedField
}

// walkedField is one below which something may be sensitive.
type walkedField struct {
	protoreflect.FieldDescriptor
	names names // what content without a schema is held to below it
}

// redactPlans are by what is shown: protoreflect.MessageDescriptor to *redactPlan.
var redactPlans [AllKinds + 1]sync.Map

func planOf(d protoreflect.MessageDescriptor, shown Kinds) *redactPlan {
	if p, ok := redactPlans[shown].Load(d); ok {
		return p.(*redactPlan)
	}
	p, names := &redactPlan{}, namesHeldTo(d.ParentFile(), shown)
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		switch {
		case kindOf(f)&^shown != 0:
			p.sensitive = append(p.sensitive, f)
		case messageOf(f) != nil && mayHold(messageOf(f), shown):
			names.closed = KindsOf(factsOf(f).GetInnerSensitivity())&^shown != 0
			p.walk = append(p.walk, walkedField{f, names})
		}
	}
	redactPlans[shown].Store(d, p)
	return p
}

func factsOf(f protoreflect.FieldDescriptor) *optionsv1.FieldFacts {
	facts, _ := proto.GetExtension(f.Options(), optionsv1.E_Field).(*optionsv1.FieldFacts)
	return facts
}

// kindOf answers the kind that a field is sensitive in, none for most.
func kindOf(f protoreflect.FieldDescriptor) Kinds { return KindsOf(factsOf(f).GetSensitivity()) }

// messageOf answers the type of a field's values, nil when they are scalars.
func messageOf(f protoreflect.FieldDescriptor) protoreflect.MessageDescriptor {
	if f.IsMap() {
		return f.MapValue().Message()
	}
	return f.Message()
}

// mayHold reports whether anything sensitive can stand in a message of the type
// or below.
func mayHold(d protoreflect.MessageDescriptor, shown Kinds) bool {
	seen := make(map[protoreflect.FullName]bool) // types may hold themselves
	var visit func(protoreflect.MessageDescriptor) bool
	visit = func(d protoreflect.MessageDescriptor) bool {
		if isUntyped(d) {
			return true
		}
		if seen[d.FullName()] {
			return false
		}
		seen[d.FullName()] = true
		for i := range d.Fields().Len() {
			f := d.Fields().Get(i)
			if m := messageOf(f); kindOf(f)&^shown != 0 || m != nil && visit(m) {
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
