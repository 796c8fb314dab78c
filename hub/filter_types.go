package hub

import (
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
)

// celTypes shows filters the content without a schema where it lies. CEL copies a
// Struct whenever one is looked into, and a sender may put a megabyte into it.
type celTypes struct {
	*types.Registry
	enums *enums
}

// EnumValue answers the number that the name of a value of an enum stands for.
func (t celTypes) EnumValue(name string) ref.Val {
	if n, ok := t.enums.values[name]; ok {
		return types.Int(n)
	}
	return t.Registry.EnumValue(name)
}

// FindStructFieldType answers how a field is read.
func (t celTypes) FindStructFieldType(message, field string) (*types.FieldType, bool) {
	found, ok := t.Registry.FindStructFieldType(message, field)
	if !ok {
		return nil, false
	}
	switch found.Type.Kind() {
	case types.MapKind, types.ListKind, types.DynKind:
	default:
		return found, true
	}
	out := *found
	out.GetFrom = func(target any) (any, error) {
		if v := contentOf(target, field); v != nil {
			return v, nil
		}
		return found.GetFrom(target)
	}
	return &out, true
}

// contentOf answers the content without a schema that a field of a message holds,
// nil for none.
func contentOf(message any, field string) any {
	m, ok := message.(proto.Message)
	if !ok {
		return nil
	}
	r := m.ProtoReflect()
	f := r.Descriptor().Fields().ByName(protoreflect.Name(field))
	if f == nil || f.Message() == nil || f.Cardinality() == protoreflect.Repeated || !r.Has(f) {
		return nil
	}
	switch v := r.Get(f).Message().Interface().(type) {
	case *structpb.Struct, *structpb.ListValue, *structpb.Value:
		return v
	}
	return nil
}

// NativeToValue answers a value for CEL.
func (t celTypes) NativeToValue(v any) ref.Val {
	out := t.Registry.NativeToValue(v)
	fields, ok := out.(interface {
		traits.FieldTester
		traits.Indexer
	})
	if _, done := out.(celMessage); done || !ok {
		return out
	}
	if m, ok := out.Value().(proto.Message); ok && !isContent(m) {
		return celMessage{out, fields, fields, t}
	}
	return out
}

func isContent(m proto.Message) bool {
	switch m.(type) {
	case *structpb.Struct, *structpb.ListValue, *structpb.Value:
		return true
	}
	return false
}

// celMessage is a message whose type an expression does not know, as with `dyn`.
type celMessage struct {
	ref.Val
	traits.FieldTester
	fields traits.Indexer
	types  celTypes
}

// Get answers a field.
func (m celMessage) Get(field ref.Val) ref.Val {
	if name, ok := field.(types.String); ok {
		if v := contentOf(m.Value(), string(name)); v != nil {
			return m.types.NativeToValue(v)
		}
	}
	return m.types.NativeToValue(m.fields.Get(field))
}
