package main

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookstream/hookstream/event"
	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
)

// typedFlags are conditions on what a provider says of its events.
type typedFlags struct {
	Yousign  []string `sep:"none" help:"A condition on events of Yousign: event_names=signer.done, workspace_ids=…, sandbox=true; may be repeated." placeholder:"FIELD=VALUE" group:"Which events"`
	Ignisign []string `sep:"none" help:"A condition on events of Ignisign: topics=SIGNATURE_PROOF, msg_natures=ERROR; may be repeated." placeholder:"FIELD=VALUE" group:"Which events"`
}

// given reports whether there is a condition.
func (f typedFlags) given() bool { return len(f.Yousign)+len(f.Ignisign) > 0 }

// conditions fills the typed parts of a selector and names them.
func (f typedFlags) conditions(selector *hookstreamv1.EventSelector) (paths []string, err error) {
	if len(f.Yousign) > 0 {
		selector.Yousign = new(yousignv1.Selector)
		paths, err = append(paths, "selector.yousign"), setConditions("--yousign", selector.Yousign, f.Yousign)
	}
	if len(f.Ignisign) > 0 && err == nil {
		selector.Ignisign = new(ignisignv1.Selector)
		paths, err = append(paths, "selector.ignisign"), setConditions("--ignisign", selector.Ignisign, f.Ignisign)
	}
	return paths, err
}

func setConditions(flag string, to proto.Message, conditions []string) error {
	m := to.ProtoReflect()
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
