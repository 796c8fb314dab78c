package lenient

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// A message in wire form is filled from several objects as one that is not.
func TestAppendTakesUpWhatIsThere(t *testing.T) {
	objects := []string{
		`{"text":"a","mood":"odd","tags":["x"],"right":"r","inner_item":{"text":"i"},"new":1,"theName":null}`,
		`{"text":"b","mood":"happy","tags":["y"],"left":"l","inner_item":{"flag":true},"new":2,"newer":3,"named":4,"oldName":"n"}`,
		`{"flag":false,"right":"s","left":"m","newer":5,"newest":6,"theName":"o"}`,
	}
	decoder := DecoderOf(newItem())
	m, wire := newItem(), []byte(nil)
	for _, object := range objects {
		want := decoder.Decode(gjson.Parse(object), m)
		more, got := decoder.Append(wire, gjson.Parse(object))
		if wire = more; got != want {
			t.Errorf("%s: %+v, want %+v", object, got, want)
		}
	}
	want := newItem()
	if err := protojson.Unmarshal([]byte(`{"text":"a","mood_raw":"odd","tags":["x"],"right":"r","inner_item":{"text":"i"},"flag":false,"named":"n",
		"rest":{"new":1,"newer":3,"newest":6,"text":"b","mood":"happy","tags":["y"],"left":"l","inner_item":{"flag":true},"named":4,"right":"s","theName":"o"}}`), want); err != nil {
		t.Fatal(err)
	}
	read := newItem()
	if err := proto.Unmarshal(wire, read); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(m, want) {
		t.Error("Decode:", cmp.Diff(format(t, want), format(t, m)))
	}
	if !proto.Equal(read, want) {
		t.Error("Append:", cmp.Diff(format(t, want), format(t, read)))
	}
}

// The length of a message stands before it and is known after it.
func TestMessagesOfEveryLength(t *testing.T) {
	for _, n := range []int{0, 1, 100, 120, 125, 126, 127, 128, 16 << 10, 3 << 20} {
		text := strings.Repeat("x", n)
		body := `{"items":[{"text":"` + text + `"},{"inner_item":{"text":"` + text + `"}}],"text":"after"}`
		m := newItem()
		if _, err := Decode([]byte(body), m); err != nil {
			t.Fatal(err)
		}
		want := newItem()
		if err := protojson.Unmarshal([]byte(body), want); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(m, want) {
			t.Errorf("texts of %d bytes: the message is another", n)
		}
	}
}

func TestAppendField(t *testing.T) {
	field := itemType.Fields().ByName("inner_item").Number()
	before := appendText(nil, itemType.Fields().ByName("text").Number(), "a")
	wire, result := DecoderOf(newItem()).AppendField(before, field, gjson.Parse(`{"text":"b","new":1}`))
	m, want := newItem(), newItem()
	if err := proto.Unmarshal(wire, m); err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal([]byte(`{"text":"a","inner_item":{"text":"b","rest":{"new":1}}}`), want); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(m, want) || result != (Result{Rest: true}) {
		t.Errorf("%+v\n%s", result, cmp.Diff(format(t, want), format(t, m)))
	}
	if got, result := DecoderOf(newItem()).AppendField(before, field, gjson.Parse(`[]`)); !bytes.Equal(got, before) || result != (Result{Lost: true}) {
		t.Errorf("of no object %x, %+v", got, result)
	}
}

func TestText(t *testing.T) {
	text, named := itemType.Fields().ByName("text").Number(), itemType.Fields().ByName("named").Number()
	wire, _ := DecoderOf(newItem()).Append(nil, gjson.Parse(`{"small":1,"ratio":2,"items":[{"text":"x"}],"text":"a"}`))
	if a, none := Text(wire, text), Text(wire, named); a != "a" || none != "" {
		t.Errorf("got %q and %q", a, none)
	}
	if got := Text(wire[:len(wire)-1], text); got != "" {
		t.Errorf("of a message that is cut %q", got)
	}
}

// Numbers are written in as many ways as there are types of numbers.
func TestEveryTypeOfNumber(t *testing.T) {
	kinds := []descriptorpb.FieldDescriptorProto_Type{
		descriptorpb.FieldDescriptorProto_TYPE_INT32, descriptorpb.FieldDescriptorProto_TYPE_SINT32, descriptorpb.FieldDescriptorProto_TYPE_SFIXED32,
		descriptorpb.FieldDescriptorProto_TYPE_INT64, descriptorpb.FieldDescriptorProto_TYPE_SINT64, descriptorpb.FieldDescriptorProto_TYPE_SFIXED64,
		descriptorpb.FieldDescriptorProto_TYPE_UINT32, descriptorpb.FieldDescriptorProto_TYPE_FIXED32,
		descriptorpb.FieldDescriptorProto_TYPE_UINT64, descriptorpb.FieldDescriptorProto_TYPE_FIXED64,
		descriptorpb.FieldDescriptorProto_TYPE_FLOAT, descriptorpb.FieldDescriptorProto_TYPE_DOUBLE,
	}
	var fields []*descriptorpb.FieldDescriptorProto
	for _, kind := range kinds {
		name := strings.ToLower(strings.TrimPrefix(kind.String(), "TYPE_"))
		one, many := singular(name, "int32", nil), repeated(name+"_list", "int32", nil)
		one.Type, many.Type = kind.Enum(), kind.Enum()
		fields = append(fields, one, many)
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("numbers_test.proto"), Package: proto.String("lenient.numbers"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{message("Numbers", fields...)},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range file.Messages().Get(0).Fields().Len() {
		field := file.Messages().Get(0).Fields().Get(i)
		values := []string{"0", "1", "2147483647"}
		if !strings.HasPrefix(string(field.Name()), "uint") && !strings.HasPrefix(string(field.Name()), "fixed") {
			values = append(values, "-1", "-2147483648")
		}
		if strings.HasPrefix(string(field.Name()), "float") {
			values = []string{"0", "-1.5"}
		}
		if field.IsList() {
			values = []string{"[" + strings.Join(values, ",") + "]"}
		}
		for _, value := range values {
			body := `{"` + string(field.Name()) + `":` + value + `}`
			got, want := dynamicpb.NewMessage(file.Messages().Get(0)), dynamicpb.NewMessage(file.Messages().Get(0))
			if err := protojson.Unmarshal([]byte(body), want); err != nil {
				t.Fatal(err)
			}
			if result, err := Decode([]byte(body), got); err != nil || result != (Result{}) || !proto.Equal(got, want) {
				t.Errorf("%s: %v, %+v, %v", body, got, result, err)
			}
		}
	}
}

// An enum without its text beside it takes what it knows, and a list of such
// nothing: what it does not know would be lost.
func TestEnumsWithoutTheirTexts(t *testing.T) {
	one, many := singular("mood", ".lenient.bare.Mood", nil), repeated("moods", ".lenient.bare.Mood", nil)
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("bare_test.proto"), Package: proto.String("lenient.bare"), Syntax: proto.String("proto3"),
		EnumType: []*descriptorpb.EnumDescriptorProto{{Name: proto.String("Mood"), Value: []*descriptorpb.EnumValueDescriptorProto{
			enumValue("MOOD_UNSPECIFIED", 0, nil), enumValue("MOOD_SAD", 1, nil),
		}}},
		MessageType: []*descriptorpb.DescriptorProto{message("Bare", one, many)},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for body, lost := range map[string]bool{
		`{"mood":"SAD"}`: false, `{"mood":"odd"}`: true, `{"moods":["SAD"]}`: true, `{"moods":[]}`: true, `{"moods":null}`: false,
	} {
		m := dynamicpb.NewMessage(file.Messages().Get(0))
		result, err := Decode([]byte(body), m)
		if err != nil || result.Lost != lost || m.Has(file.Messages().Get(0).Fields().ByName("mood")) != (body == `{"mood":"SAD"}`) {
			t.Errorf("%s: %v, %+v, %v", body, m, result, err)
		}
	}
}

// Whoever keeps frames or compares them may rely on it.
func TestAppendMakesTheSameBytes(t *testing.T) {
	object := gjson.Parse(`{"a":1,"b":{"c":2,"d":3,"e":4},"f":5,"object":{"a":1,"b":2,"c":3},"text":"x"}`)
	first, _ := DecoderOf(newItem()).Append(nil, object)
	for range 20 {
		if again, _ := DecoderOf(newItem()).Append(nil, object); !bytes.Equal(first, again) {
			t.Fatalf("%x and %x", first, again)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	object := gjson.ParseBytes(benchBody())
	decoder := DecoderOf(newItem())
	b.SetBytes(int64(len(object.Raw)))
	b.ReportAllocs()
	var wire []byte
	for b.Loop() {
		wire, _ = decoder.Append(wire[:0], object)
	}
}
