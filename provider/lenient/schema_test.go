package lenient

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	_ "google.golang.org/protobuf/types/known/durationpb" // named by the schema

	optionsv1 "github.com/hookstream/hookstream/gen/hookstream/options/v1"
)

// Types of a schema that has one field for every rule.
var (
	itemType   = schema.Messages().ByName("Item")
	strictType = schema.Messages().ByName("Strict")
	moodType   = schema.Enums().ByName("Mood")
)

func newItem() *dynamicpb.Message { return dynamicpb.NewMessage(itemType) }

var schema = func() protoreflect.FileDescriptor {
	file := &descriptorpb.FileDescriptorProto{
		Name:    proto.String("lenient_test.proto"),
		Package: proto.String("lenient.test"),
		Syntax:  proto.String("proto3"),
		Dependency: []string{
			"google/protobuf/struct.proto", "google/protobuf/timestamp.proto", "google/protobuf/duration.proto",
		},
		EnumType: []*descriptorpb.EnumDescriptorProto{{
			Name: proto.String("Mood"),
			Value: []*descriptorpb.EnumValueDescriptorProto{
				enumValue("MOOD_UNSPECIFIED", 0, nil),
				enumValue("MOOD_HAPPY", 1, &optionsv1.EnumValueFacts{Wire: "happy", Aliases: []string{"glad", "SAD"}}),
				enumValue("MOOD_SAD", 2, nil),
			},
		}},
		MessageType: []*descriptorpb.DescriptorProto{
			item(),
			message("Strict", singular("only_text", "string", nil)),
		},
	}
	fd, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		panic(err)
	}
	return fd
}()

func item() *descriptorpb.DescriptorProto {
	m := message("Item",
		singular("text", "string", nil),
		singular("flag", "bool", nil),
		singular("small", "int32", nil),
		singular("big", "int64", nil),
		singular("unsigned", "uint32", nil),
		singular("huge", "uint64", nil),
		singular("ratio", "double", nil),
		singular("single", "float", nil),
		singular("mood", ".lenient.test.Mood", nil),
		singular("mood_raw", "string", nil),
		singular("at", ".google.protobuf.Timestamp", nil),
		singular("object", ".google.protobuf.Struct", nil),
		singular("array", ".google.protobuf.ListValue", nil),
		singular("anything", ".google.protobuf.Value", nil),
		singular("inner_item", ".lenient.test.Item", nil),
		singular("strict", ".lenient.test.Strict", nil),
		singular("duration", ".google.protobuf.Duration", nil),
		singular("named", "string", &optionsv1.FieldFacts{Json: "theName", JsonAliases: []string{"oldName", "olderName"}}),
		singular("filled_by_code", "string", &optionsv1.FieldFacts{Computed: true}),
		repeated("tags", "string", nil),
		repeated("numbers", "int32", nil),
		repeated("items", ".lenient.test.Item", nil),
		repeated("values", ".google.protobuf.Value", nil),
		repeated("moods", ".lenient.test.Mood", nil),
		repeated("moods_raw", "string", nil),
		union("left", "string"),
		union("right", "string"),
		singular("rest", ".google.protobuf.Struct", &optionsv1.FieldFacts{Rest: true}),
	)
	return m
}

// message numbers its fields and gives scalars presence, as `optional` does.
func message(name string, fields ...*descriptorpb.FieldDescriptorProto) *descriptorpb.DescriptorProto {
	m := &descriptorpb.DescriptorProto{Name: proto.String(name), Field: fields}
	for i, f := range fields {
		f.Number = proto.Int32(int32(i + 1))
		if f.OneofIndex != nil {
			m.OneofDecl = []*descriptorpb.OneofDescriptorProto{{Name: proto.String("side")}}
		}
	}
	for _, f := range fields {
		repeated := f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED
		if repeated || f.TypeName != nil || f.OneofIndex != nil {
			continue
		}
		f.Proto3Optional = proto.Bool(true)
		f.OneofIndex = proto.Int32(int32(len(m.OneofDecl)))
		m.OneofDecl = append(m.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: proto.String("_" + f.GetName())})
	}
	return m
}

func singular(name, typ string, facts *optionsv1.FieldFacts) *descriptorpb.FieldDescriptorProto {
	f := &descriptorpb.FieldDescriptorProto{
		Name:  proto.String(name),
		Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
	if typ[0] == '.' {
		f.TypeName = proto.String(typ)
	} else {
		f.Type = map[string]*descriptorpb.FieldDescriptorProto_Type{
			"string": descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
			"bool":   descriptorpb.FieldDescriptorProto_TYPE_BOOL.Enum(),
			"int32":  descriptorpb.FieldDescriptorProto_TYPE_INT32.Enum(),
			"int64":  descriptorpb.FieldDescriptorProto_TYPE_INT64.Enum(),
			"uint32": descriptorpb.FieldDescriptorProto_TYPE_UINT32.Enum(),
			"uint64": descriptorpb.FieldDescriptorProto_TYPE_UINT64.Enum(),
			"double": descriptorpb.FieldDescriptorProto_TYPE_DOUBLE.Enum(),
			"float":  descriptorpb.FieldDescriptorProto_TYPE_FLOAT.Enum(),
		}[typ]
	}
	if facts != nil {
		f.Options = &descriptorpb.FieldOptions{}
		proto.SetExtension(f.Options, optionsv1.E_Field, facts)
	}
	return f
}

func repeated(name, typ string, facts *optionsv1.FieldFacts) *descriptorpb.FieldDescriptorProto {
	f := singular(name, typ, facts)
	f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	return f
}

func union(name, typ string) *descriptorpb.FieldDescriptorProto {
	f := singular(name, typ, nil)
	f.OneofIndex = proto.Int32(0)
	return f
}

func enumValue(name string, number int32, facts *optionsv1.EnumValueFacts) *descriptorpb.EnumValueDescriptorProto {
	v := &descriptorpb.EnumValueDescriptorProto{Name: proto.String(name), Number: proto.Int32(number)}
	if facts != nil {
		v.Options = &descriptorpb.EnumValueOptions{}
		proto.SetExtension(v.Options, optionsv1.E_EnumValue, facts)
	}
	return v
}

func TestEnumSpellings(t *testing.T) {
	for wire, want := range map[string]protoreflect.EnumNumber{
		"happy":            1,
		"glad":             1,
		"SAD":              2, // a value's own spelling goes before another's alias
		"HAPPY":            0, // the wire spelling replaces the name
		"UNSPECIFIED":      0,
		"MOOD_UNSPECIFIED": 0,
		"":                 0,
	} {
		if got := EnumNumber(moodType, wire); got != want {
			t.Errorf("EnumNumber(%q) = %d, want %d", wire, got, want)
		}
	}
	for number, want := range map[protoreflect.EnumNumber]string{0: "", 1: "happy", 2: "SAD", 9: ""} {
		if got := EnumWire(moodType, number); got != want {
			t.Errorf("EnumWire(%d) = %q, want %q", number, got, want)
		}
	}
}

func TestLint(t *testing.T) {
	err := Lint(newItem())
	if err == nil {
		t.Fatal("a schema with a Duration and a message without a rest passed")
	}
	want := "lenient: lenient.test.Strict has 0 rest fields\n" +
		"lenient: lenient.test.Item.duration cannot be filled from JSON"
	if err.Error() != want {
		t.Errorf("got\n%v\nwant\n%v", err, want)
	}
}
