package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	buf "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

const (
	// maxQuoted is how many characters an answer repeats of what was given.
	maxQuoted = 40
	// maxMistakes is how many an answer tells of a body.
	maxMistakes = 20
	// maxLooked is how many values of a body are looked at for mistakes: to find
	// them costs more than to read it.
	maxLooked = 10_000
	// maxNamed is how many values of an enum an answer names.
	maxNamed = 12
)

// quoted repeats what was given, in quotes unless it is JSON that has some.
func quoted(given string) string {
	given = brief(given)
	if strings.HasPrefix(given, `"`) {
		return given
	}
	return `"` + given + `"`
}

// brief answers the beginning of a text that may be of any length.
func brief(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if utf8.RuneCountInString(text) <= maxQuoted {
		return text
	}
	return string([]rune(text)[:maxQuoted]) + "…"
}

// misfit says what a field takes, and what it was given.
func misfit(fd protoreflect.FieldDescriptor, given string) string {
	return fmt.Sprintf("must be %s, not %s", expected(fd), quoted(given))
}

// expected says in words what a single value of a field is.
func expected(fd protoreflect.FieldDescriptor) string {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.EnumKind:
		return expectedEnum(fd.Enum())
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return expectedWhole(fd)
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return "a number"
	case protoreflect.BytesKind:
		return "bytes in base64"
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return expectedMessage(fd.Message())
	default:
		return "a text in UTF-8"
	}
}

// expectedWhole says which whole numbers the rules of a field let through.
func expectedWhole(fd protoreflect.FieldDescriptor) string {
	rules, _ := proto.GetExtension(fd.Options(), buf.E_Field).(*buf.FieldRules)
	least, most := int64(math.MinInt64), int64(math.MaxInt64)
	if fd.Kind() == protoreflect.Int32Kind {
		least, most = math.MinInt32, math.MaxInt32
	}
	if r, ok := rules.GetInt64().GetGreaterThan().(*buf.Int64Rules_Gte); ok {
		least = r.Gte
	}
	if r, ok := rules.GetInt32().GetGreaterThan().(*buf.Int32Rules_Gte); ok {
		least = int64(r.Gte)
	}
	if r, ok := rules.GetInt32().GetLessThan().(*buf.Int32Rules_Lte); ok {
		most = int64(r.Lte)
	}
	return fmt.Sprintf("a whole number from %d to %d", least, most)
}

func expectedEnum(enum protoreflect.EnumDescriptor) string {
	var names []string
	for i := range enum.Values().Len() {
		if v := enum.Values().Get(i); v.Number() != 0 {
			names = append(names, string(v.Name()))
		}
	}
	if len(names) > maxNamed {
		return fmt.Sprintf("one of the %d values of %s, as %s: see /openapi.json", len(names), enum.Name(), names[0])
	}
	return "one of " + strings.Join(names, ", ")
}

func expectedMessage(md protoreflect.MessageDescriptor) string {
	switch md.FullName() {
	case "google.protobuf.Timestamp":
		return "a time as in RFC 3339, such as 2026-01-31T09:30:00Z"
	case "google.protobuf.Duration":
		return "a duration in seconds, such as 15s or 0.5s"
	case "google.protobuf.FieldMask":
		return "names of fields with commas between them, in one text"
	}
	return expectedObject
}

const expectedObject = "an object"

// bodyMistakes says what of a body cannot be read, when it cannot.
func bodyMistakes(r *restRule, body []byte) violations {
	md, at := r.request, ""
	if r.body != "*" {
		md, at = md.Fields().ByName(protoreflect.Name(r.body)).Message(), r.body
	}
	var f mistakeFinder
	f.object(body, md, at)
	return f.violations
}

// mistakeFinder walks through a body that the decoder of JSON refused. The decoder
// says where in the text it stopped, and with what, in words of its own; a caller
// wants to know which field that is, and of every one.
type mistakeFinder struct {
	violations violations
	looked     int
}

func (f *mistakeFinder) full() bool {
	return len(f.violations) >= maxMistakes || f.looked >= maxLooked
}

// object looks through the fields of a message.
func (f *mistakeFinder) object(raw []byte, md protoreflect.MessageDescriptor, at string) {
	fields := make(map[protoreflect.Name]bool)
	choices := make(map[protoreflect.Name]string)
	f.members(raw, at, func(key string, value json.RawMessage) {
		fd := fieldByName(md, key)
		if fd == nil {
			f.violations.add(part(at, brief(key)), "there is no such field")
			return
		}
		path := join(at, fd)
		choice := choiceOf(fd)
		switch {
		case fields[fd.Name()]:
			f.violations.add(path, "is given more than once")
		case string(value) == "null": // as if it were not there
		case choice != "" && choices[choice] != "":
			f.violations.add(path, "cannot be given beside %s", choices[choice])
		default:
			f.field(value, fd, path)
			choices[choice] = key
		}
		fields[fd.Name()] = true
	})
}

// choiceOf names the oneof that a field is one of; of other fields it is empty.
func choiceOf(fd protoreflect.FieldDescriptor) protoreflect.Name {
	if choice := fd.ContainingOneof(); choice != nil && !choice.IsSynthetic() {
		return choice.Name()
	}
	return ""
}

// field looks through the value of a field.
func (f *mistakeFinder) field(raw json.RawMessage, fd protoreflect.FieldDescriptor, path string) {
	name := fmt.Sprintf("{%q:", fd.JSONName())
	switch {
	case fd.IsMap():
		f.members(raw, path, func(key string, value json.RawMessage) {
			quotedKey, _ := json.Marshal(key)
			f.value(single{fd, fd.MapValue(), name + "{" + string(quotedKey) + ":", "}}"}, value, fmt.Sprintf("%s[%q]", path, brief(key)))
		})
	case fd.IsList():
		f.elements(raw, path, func(i int, value json.RawMessage) {
			f.value(single{fd, fd, name + "[", "]}"}, value, fmt.Sprintf("%s[%d]", path, i))
		})
	default:
		f.value(single{fd, fd, name, "}"}, raw, path)
	}
}

// single is one value of a field: all of it, or one of a list or map.
type single struct {
	field, value  protoreflect.FieldDescriptor // the value's own differs in a map
	before, after string                       // what makes a message of its JSON
}

// value looks through a single value.
func (f *mistakeFinder) value(s single, raw json.RawMessage, path string) {
	f.looked++
	if md := s.value.Message(); md != nil && md.ParentFile().Package() != "google.protobuf" {
		f.object(raw, md, path)
		return
	}
	message := dynamicpb.NewMessage(s.field.ContainingMessage())
	if protojson.Unmarshal([]byte(s.before+string(raw)+s.after), message) == nil {
		return
	}
	if has(s.field, annotations.FieldBehavior_INPUT_ONLY) {
		f.violations.add(path, "must be %s", expected(s.value)) // what was given may be a secret
		return
	}
	f.violations.add(path, "%s", misfit(s.value, string(raw)))
}

// members visits what a JSON object holds.
func (f *mistakeFinder) members(raw []byte, at string, visit func(key string, value json.RawMessage)) {
	f.within('{', raw, at, "must be an object", func(d *json.Decoder) {
		key, _ := d.Token()
		var value json.RawMessage
		_ = d.Decode(&value)
		visit(key.(string), value)
	})
}

// elements visits what a JSON array holds.
func (f *mistakeFinder) elements(raw []byte, at string, visit func(i int, value json.RawMessage)) {
	i := 0
	f.within('[', raw, at, "must be a list", func(d *json.Decoder) {
		var value json.RawMessage
		_ = d.Decode(&value)
		visit(i, value)
		i++
	})
}

// within has next called for what begins with open holds. That it is JSON is known.
func (f *mistakeFinder) within(open json.Delim, raw []byte, at, otherwise string, next func(*json.Decoder)) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if first, _ := d.Token(); first != open {
		f.violations.add(at, "%s", otherwise)
		return
	}
	for d.More() && !f.full() {
		next(d)
	}
}

// part answers the path of what has no field.
func part(at, name string) string { return strings.TrimPrefix(at+"."+name, ".") }
