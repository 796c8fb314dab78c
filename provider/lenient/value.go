package lenient

import (
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/types/known/structpb"
)

// maxStructDepth is how deep a document is rebuilt as messages. A level of JSON
// costs three levels of messages in a Struct, and C++, Java and Python refuse
// messages nested deeper than 100.
const maxStructDepth = 24

// Value turns a JSON value of a document that has passed Check into a Value, by
// the rules of this package, and says whether all of it is there.
func Value(value gjson.Result) (*structpb.Value, Result) {
	var b builder
	v := b.value(value, 1)
	return v, b.result
}

// A builder makes Structs.
type builder struct{ result Result }

// value turns a value at this depth of the document into a Value.
func (b *builder) value(value gjson.Result, depth int) *structpb.Value {
	switch value.Type {
	case gjson.True, gjson.False:
		return structpb.NewBoolValue(value.Type == gjson.True)
	case gjson.String:
		return structpb.NewStringValue(clean(value.Str))
	case gjson.Number:
		return toNumber(value)
	case gjson.JSON:
		if depth > maxStructDepth {
			return structpb.NewStringValue(clean(value.Raw))
		}
		if value.IsArray() {
			return structpb.NewListValue(b.list(value, depth))
		}
		return structpb.NewStructValue(b.object(value, depth))
	}
	return structpb.NewNullValue()
}

func (b *builder) object(object gjson.Result, depth int) *structpb.Struct {
	s := &structpb.Struct{Fields: make(map[string]*structpb.Value)}
	object.ForEach(func(key, value gjson.Result) bool {
		b.add(s, key.Str, value, depth)
		return true
	})
	return s
}

func (b *builder) list(array gjson.Result, depth int) *structpb.ListValue {
	l := &structpb.ListValue{}
	array.ForEach(func(_, value gjson.Result) bool {
		l.Values = append(l.Values, b.value(value, depth+1))
		return true
	})
	return l
}

// add adds a value to the Struct of an object at this depth. The first of
// repeated keys counts.
func (b *builder) add(s *structpb.Struct, name string, value gjson.Result, depth int) {
	name = clean(name)
	if _, taken := s.Fields[name]; taken {
		b.result.Repeated = true
		return
	}
	s.Fields[name] = b.value(value, depth+1)
}

// clean answers text that a Protobuf string may hold.
func clean(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
