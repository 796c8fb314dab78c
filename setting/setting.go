// Package setting says of what the owner of a resource chooses what the schema does
// not: what a field that is not set stands for, its bounds with their unit, and what
// people are told of it. A setting is a field of the schema and a row of its
// resource's table; all that treats settings alike goes by the two.
package setting

import (
	"slices"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A Table has a row for each setting of a resource, in the order in which people are
// shown them.
type Table []Row

// A Row is one setting.
type Row struct {
	// Field is its name in the schema.
	Field string
	// Values are those that it may have, and the one that it has when it is not set.
	// nil: whatever the schema allows, and none.
	Values Values
	// Switch: people turn it on and off while all else stays, by calls of their own.
	// It is no difference between two resources.
	Switch bool

	// Help is a sentence for people without its full stop: bounds and default come
	// behind it.
	Help string
	// Flag is the flag's name where it is not the field's.
	Flag string
	// Group is the heading above the flag in the help of commands.
	Group string
	// Listed has a column wherever the resource is listed. Others are in wide lists.
	Listed bool
}

// A Violation is one thing that is wrong with settings.
type Violation struct {
	// Field is its path as the API spells it: `ack_deadline`,
	// `selector.filter`.
	Field string
	// Description is for whoever wrote the settings.
	Description string
}

// of answers the field of the row. A row without one is a mistake that the first
// test of any of its resources finds.
func (r Row) of(m protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
	fd := m.Fields().ByName(protoreflect.Name(r.Field))
	if fd == nil {
		panic("setting: " + string(m.FullName()) + " has no field " + r.Field)
	}
	return fd
}

// Of ranges over the rows with their fields in the schema.
func (t Table) Of(m protoreflect.MessageDescriptor) func(yield func(Row, protoreflect.FieldDescriptor) bool) {
	return func(yield func(Row, protoreflect.FieldDescriptor) bool) {
		for _, row := range t {
			if !yield(row, row.of(m)) {
				return
			}
		}
	}
}

// Fill gives their defaults to settings of a message that are not set.
func (t Table) Fill(of proto.Message) {
	m := of.ProtoReflect()
	for row, fd := range t.Of(m.Descriptor()) {
		if row.Values == nil || m.Has(fd) {
			continue
		}
		if v := row.Values.preset(fd); v.IsValid() {
			m.Set(fd, v)
		}
	}
}

// Check answers all settings of a message that are set out of their bounds.
func (t Table) Check(of proto.Message) (bad []Violation) {
	m := of.ProtoReflect()
	for row, fd := range t.Of(m.Descriptor()) {
		if row.Values != nil && m.Has(fd) && !row.Values.allow(fd, m.Get(fd)) {
			bad = append(bad, Violation{row.Field, "must be " + row.Values.Bounds()})
		}
	}
	return bad
}

// Differences names the settings in which two messages of a kind differ, as the API
// spells them. A default and what is not set differ: see Fill.
func (t Table) Differences(one, other proto.Message) (fields []string) {
	a, b := one.ProtoReflect(), other.ProtoReflect()
	for row, fd := range t.Of(a.Descriptor()) {
		if !row.Switch && !same(fd, a.Get(fd), b.Get(fd)) {
			fields = append(fields, row.Field)
		}
	}
	return fields
}

// Fixed answers those of the fields that the schema lets nobody change.
func (t Table) Fixed(fields []string, of proto.Message) (bad []Violation) {
	for row, fd := range t.Of(of.ProtoReflect().Descriptor()) {
		if slices.Contains(fields, row.Field) && IsFixed(fd) {
			bad = append(bad, Violation{row.Field, "never changes: make another"})
		}
	}
	return bad
}

// IsFixed reports whether a field is set when its resource is made and never again.
func IsFixed(fd protoreflect.FieldDescriptor) bool {
	behaviors, _ := proto.GetExtension(fd.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behaviors, annotations.FieldBehavior_IMMUTABLE)
}

// same takes no message and an empty one for the same: a selector that is empty
// selects what none does.
func same(fd protoreflect.FieldDescriptor, a, b protoreflect.Value) bool {
	if fd.Message() == nil || fd.Cardinality() == protoreflect.Repeated {
		return a.Equal(b)
	}
	one, other := a.Message().Interface(), b.Message().Interface()
	return proto.Size(one)+proto.Size(other) == 0 || proto.Equal(one, other)
}
