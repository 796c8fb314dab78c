package lenient

import (
	"fmt"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	optionsv1 "github.com/hookstream/hookstream/gen/hookstream/options/v1"
)

// A plan is what the schema says of one type of message, in the form in which
// decoding asks for it.
type plan struct {
	desc    protoreflect.MessageDescriptor
	fields  []*field
	keys    map[string]*key
	places  map[protoreflect.FieldNumber]place // what it says that a number is there
	rest    protoreflect.FieldNumber           // 0: none
	aliased bool                               // some field has aliases
}

// A place is what a field that is set keeps from being filled.
type place struct {
	field int // the index of a field; -1: none
	union int // the index of a oneof; -1: none
}

// A key is one name under which a field may be sent.
type key struct {
	field *field
	index int
	rank  uint16 // 0 for the field's own name, then its aliases
}

// A field is a field that is filled by name.
type field struct {
	number   protoreflect.FieldNumber
	index    int
	kind     kind
	encoding protoreflect.Kind // numbers: how they are written
	list     bool
	digits   bool                               // text that may be sent as a number: ids
	raw      protoreflect.FieldNumber           // enums: where the text goes; 0: nowhere
	enum     map[string]protoreflect.EnumNumber // enums: by what is sent
	union    int                                // the index of the oneof it is in; -1: none
	plan     func() *plan                       // messages; lazily, for they may hold themselves
}

// A kind is how a value becomes a field.
type kind int

const (
	kindNone kind = iota // not from JSON: everything sent for it goes to the rest
	kindString
	kindBool
	kindInt32
	kindInt64
	kindUint32
	kindUint64
	kindFloat
	kindDouble
	kindEnum
	kindTimestamp
	kindStruct
	kindList
	kindValue
	kindMessage
)

// maxNames bounds the fields and the names of one message, so that what was seen
// of them fits a few machine words.
const maxNames = 256

type bits [maxNames / 64]uint64

func (b *bits) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b *bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

var plans sync.Map // protoreflect.MessageDescriptor to *plan

func planOf(desc protoreflect.MessageDescriptor) *plan {
	if p, ok := plans.Load(desc); ok {
		return p.(*plan)
	}
	p, _ := plans.LoadOrStore(desc, newPlan(desc))
	return p.(*plan)
}

// emptyPlan plans for no field.
func emptyPlan(desc protoreflect.MessageDescriptor) *plan {
	p := &plan{desc: desc, keys: make(map[string]*key), places: make(map[protoreflect.FieldNumber]place)}
	for i := range desc.Fields().Len() {
		if fd := desc.Fields().Get(i); unionOf(fd) >= 0 {
			p.places[fd.Number()] = place{field: -1, union: unionOf(fd)}
		}
	}
	return p
}

// newPlan plans for all fields that are filled by name.
func newPlan(desc protoreflect.MessageDescriptor) *plan {
	p := emptyPlan(desc)
	for i := range desc.Fields().Len() {
		fd := desc.Fields().Get(i)
		switch facts := factsOf(fd); {
		case facts.GetRest():
			p.rest = fd.Number()
		case facts.GetComputed() || rawOf(fd):
		default:
			p.add(fd, facts)
		}
	}
	return p
}

// partOf plans for some of the fields, by name.
func partOf(desc protoreflect.MessageDescriptor, rest protoreflect.Name, fields []protoreflect.Name) *plan {
	p := emptyPlan(desc)
	p.rest = mustField(desc, rest).Number()
	if kindOf(mustField(desc, rest)) != kindStruct {
		panic(fmt.Sprintf("lenient: %s.%s is not a Struct", desc.FullName(), rest))
	}
	for _, name := range fields {
		fd := mustField(desc, name)
		p.add(fd, factsOf(fd))
	}
	return p
}

func mustField(desc protoreflect.MessageDescriptor, name protoreflect.Name) protoreflect.FieldDescriptor {
	fd := desc.Fields().ByName(name)
	if fd == nil {
		panic(fmt.Sprintf("lenient: %s has no field %s", desc.FullName(), name))
	}
	return fd
}

func (p *plan) add(fd protoreflect.FieldDescriptor, facts *optionsv1.FieldFacts) {
	f := &field{
		number: fd.Number(), index: len(p.fields), kind: kindOf(fd), encoding: fd.Kind(), list: fd.IsList(),
		union: unionOf(fd), digits: kindOf(fd) == kindString && isIDName(fd.Name()),
	}
	if f.kind == kindEnum {
		f.raw = rawFor(fd)
		f.enum = spellings(fd.Enum())
		p.places[f.raw] = place{field: f.index, union: -1}
	}
	if f.kind == kindMessage {
		f.plan = sync.OnceValue(func() *plan { return planOf(fd.Message()) })
	}
	p.places[f.number] = place{field: f.index, union: f.union}
	p.fields = append(p.fields, f)
	for rank, names := range namesOf(fd, facts) {
		for _, name := range names {
			p.name(name, f, uint16(rank))
		}
	}
	p.aliased = p.aliased || len(facts.GetJsonAliases()) > 0
}

func (p *plan) name(name string, f *field, rank uint16) {
	if _, taken := p.keys[name]; taken {
		return // the field declared first bears it
	}
	if len(p.keys) == maxNames {
		panic(fmt.Sprintf("lenient: %s has over %d names", p.desc.FullName(), maxNames))
	}
	p.keys[name] = &key{field: f, index: len(p.keys), rank: rank}
}

// isIDName reports whether a field holds an id. Some senders have ids that are
// numbers, and JSON libraries that write texts of digits as such.
func isIDName(name protoreflect.Name) bool {
	return name == "id" || strings.HasSuffix(string(name), "_id")
}

// namesOf answers the names of a field by rank: those it goes by, then each
// alias.
func namesOf(fd protoreflect.FieldDescriptor, facts *optionsv1.FieldFacts) [][]string {
	own := []string{string(fd.Name()), fd.JSONName()}
	if facts.GetJson() != "" {
		own = []string{facts.GetJson()}
	}
	if own[0] == own[len(own)-1] {
		own = own[:1]
	}
	names := [][]string{own}
	for _, alias := range facts.GetJsonAliases() {
		names = append(names, []string{alias})
	}
	return names
}

func factsOf(fd protoreflect.FieldDescriptor) *optionsv1.FieldFacts {
	facts, _ := proto.GetExtension(fd.Options(), optionsv1.E_Field).(*optionsv1.FieldFacts)
	return facts
}

// unionOf answers the index of the oneof that a field is in, -1 for none.
func unionOf(fd protoreflect.FieldDescriptor) int {
	if union := fd.ContainingOneof(); union != nil && !union.IsSynthetic() {
		return union.Index()
	}
	return -1
}

// rawOf reports whether a field holds the text beside an enum.
func rawOf(fd protoreflect.FieldDescriptor) bool {
	const suffix = "_raw"
	name := string(fd.Name())
	if fd.Kind() != protoreflect.StringKind || len(name) <= len(suffix) || name[len(name)-len(suffix):] != suffix {
		return false
	}
	beside := fd.ContainingMessage().Fields().ByName(protoreflect.Name(name[:len(name)-len(suffix)]))
	return beside != nil && beside.Kind() == protoreflect.EnumKind
}

// rawFor answers the field that holds the text beside an enum, or 0.
func rawFor(fd protoreflect.FieldDescriptor) protoreflect.FieldNumber {
	raw := fd.ContainingMessage().Fields().ByName(fd.Name() + "_raw")
	if raw == nil || raw.Kind() != protoreflect.StringKind || raw.IsList() != fd.IsList() {
		return 0
	}
	return raw.Number()
}

var scalars = map[protoreflect.Kind]kind{
	protoreflect.StringKind:   kindString,
	protoreflect.BoolKind:     kindBool,
	protoreflect.Int32Kind:    kindInt32,
	protoreflect.Sint32Kind:   kindInt32,
	protoreflect.Sfixed32Kind: kindInt32,
	protoreflect.Int64Kind:    kindInt64,
	protoreflect.Sint64Kind:   kindInt64,
	protoreflect.Sfixed64Kind: kindInt64,
	protoreflect.Uint32Kind:   kindUint32,
	protoreflect.Fixed32Kind:  kindUint32,
	protoreflect.Uint64Kind:   kindUint64,
	protoreflect.Fixed64Kind:  kindUint64,
	protoreflect.FloatKind:    kindFloat,
	protoreflect.DoubleKind:   kindDouble,
	protoreflect.EnumKind:     kindEnum,
}

func kindOf(fd protoreflect.FieldDescriptor) kind {
	if fd.IsMap() {
		return kindNone
	}
	if fd.Kind() != protoreflect.MessageKind {
		return scalars[fd.Kind()]
	}
	switch name := fd.Message().FullName(); {
	case name == "google.protobuf.Timestamp":
		return kindTimestamp
	case name == "google.protobuf.Struct":
		return kindStruct
	case name == "google.protobuf.ListValue":
		return kindList
	case name == "google.protobuf.Value":
		return kindValue
	case name.Parent() == "google.protobuf":
		return kindNone
	}
	return kindMessage
}
