package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// typedFlags are conditions on what a provider says of its events.
type typedFlags struct {
	// Conditions is a struct with a flag for each provider that has a selector: its
	// type is made of the schema, by newTypedFlags. nil: no flags.
	Conditions any `embed:""`
}

// newTypedFlags makes a flag for each provider of the list whose selector is in the
// schema. The flag has its id.
func newTypedFlags() typedFlags {
	var flags []reflect.StructField
	for _, p := range providers().All() {
		id := p.Info().GetId()
		if f := selectorField(id); f == nil || f.Message() == nil {
			continue
		}
		help := fmt.Sprintf("A condition on events of %s%s; may be repeated.", p.Info().GetDisplayName(), exampleConditions(p))
		flags = append(flags, reflect.StructField{
			Name: fmt.Sprintf("Of%d", len(flags)), Type: reflect.TypeFor[[]string](),
			Tag: reflect.StructTag(fmt.Sprintf(`name:%q sep:"none" help:%q placeholder:"FIELD=VALUE" group:"Which events"`, id, help)),
		})
	}
	return typedFlags{reflect.New(reflect.StructOf(flags)).Interface()}
}

func exampleConditions(p provider.Provider) string {
	if p, ok := p.(provider.Exemplifier); ok {
		return ": " + p.ExampleConditions()
	}
	return ""
}

func selectorField(provider string) protoreflect.FieldDescriptor {
	return (*hookstreamv1.EventSelector)(nil).ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(provider))
}

// all answers the conditions that were given, by the flag.
func (f typedFlags) all(yield func(flag string, conditions []string) bool) {
	if f.Conditions == nil {
		return
	}
	flags := reflect.ValueOf(f.Conditions).Elem()
	for i := range flags.NumField() {
		given := flags.Field(i).Interface().([]string)
		if len(given) > 0 && !yield(flags.Type().Field(i).Tag.Get("name"), given) {
			return
		}
	}
}

// given reports whether there is a condition.
func (f typedFlags) given() bool {
	for range f.all {
		return true
	}
	return false
}

// conditions fills the typed parts of a selector and names them.
func (f typedFlags) conditions(selector *hookstreamv1.EventSelector) (paths []string, err error) {
	for id, conditions := range f.all {
		part := selector.ProtoReflect().Mutable(selectorField(id)).Message()
		paths = append(paths, "selector."+id)
		if err := setConditions("--"+id, part, conditions); err != nil {
			return paths, err
		}
	}
	return paths, nil
}

func setConditions(flag string, m protoreflect.Message, conditions []string) error {
	for _, c := range conditions {
		name, text, ok := strings.Cut(c, "=")
		if !ok {
			return misused("%s %q: want FIELD=VALUE", flag, c)
		}
		f := m.Descriptor().Fields().ByName(protoreflect.Name(name))
		if f == nil {
			return misused("%s: there is no field %q, but %s", flag, name, strings.Join(fieldNames(m), ", "))
		}
		value, ok := conditionValue(f, text)
		switch {
		case !ok:
			return misused("%s %s: %q is none of its values", flag, name, text)
		case f.IsList():
			m.Mutable(f).List().Append(value)
		default:
			m.Set(f, value)
		}
	}
	return nil
}

func fieldNames(m protoreflect.Message) (out []string) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		out = append(out, string(fields.Get(i).Name()))
	}
	return out
}

// conditionValue reads a value: of an enum as the sender spells it, or as the schema
// does, with or without the name of the enum before it.
func conditionValue(f protoreflect.FieldDescriptor, text string) (protoreflect.Value, bool) {
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text), true
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(text == "true"), text == "true" || text == "false"
	case protoreflect.EnumKind:
		values := f.Enum().Values()
		for i := 1; i < values.Len(); i++ { // the first stands for none
			if v := values.Get(i); isNamed(v, text) {
				return protoreflect.ValueOfEnum(v.Number()), true
			}
		}
	}
	return protoreflect.Value{}, false
}

func isNamed(v protoreflect.EnumValueDescriptor, text string) bool {
	zero := string(v.Parent().(protoreflect.EnumDescriptor).Values().Get(0).Name())
	name := string(v.Name())
	return text == name || text == strings.TrimPrefix(name, strings.TrimSuffix(zero, "UNSPECIFIED")) || slices.Contains(event.SenderNames(v), text)
}
