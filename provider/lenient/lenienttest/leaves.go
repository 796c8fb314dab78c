// Package lenienttest finds what a decoder lost, by other means than decoding.
package lenienttest

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	optionsv1 "github.com/hookstream/hookstream/gen/hookstream/options/v1"
)

// Missing answers, as path=value, the leaves of a JSON document (strings,
// numbers, true and false) that cannot be found in the message: neither in a
// field that bears the leaf's key, nor in a field whose facts say that it is
// computed, nor under the leaf's key in a Struct. Each place in the message
// accounts for one leaf. The document must be valid and must not repeat keys.
func Missing(body []byte, m proto.Message) []string {
	var doc any
	if err := json.Unmarshal(body, &doc); err != nil {
		return []string{err.Error()}
	}
	places := make(map[string][]place)
	collect(m.ProtoReflect(), func(value string, p place) { places[value] = append(places[value], p) })
	var missing []string
	walk("", "", doc, func(path, key string, leaf any) {
		if !crossOut(places, key, leaf) {
			missing = append(missing, fmt.Sprintf("%s=%v", path, leaf))
		}
	})
	return missing
}

// A place is where a message holds a value: the keys under which it may have
// been sent; nil for any key.
type place []string

// crossOut finds a leaf and crosses out its place. The place with the fewest keys is
// used up first: it suits the fewest other leaves.
func crossOut(places map[string][]place, key string, leaf any) bool {
	for _, value := range forms(leaf) {
		best := -1
		for i, p := range places[value] {
			if p.holds(key) && (best < 0 || p.width() < places[value][best].width()) {
				best = i
			}
		}
		if best >= 0 {
			places[value] = slices.Delete(places[value], best, best+1)
			return true
		}
	}
	return false
}

func (p place) holds(key string) bool { return p == nil || slices.Contains(p, key) }

func (p place) width() int {
	if p == nil {
		return math.MaxInt
	}
	return len(p)
}

// forms answers how a leaf may appear in a message.
func forms(leaf any) []string {
	switch leaf := leaf.(type) {
	case string:
		forms := []string{"s" + leaf}
		if t, err := time.Parse(time.RFC3339Nano, leaf); err == nil {
			forms = append(forms, instant(t))
		}
		return forms
	case float64:
		return []string{number(leaf), "s" + strconv.FormatFloat(leaf, 'f', -1, 64)}
	}
	return []string{fmt.Sprint(leaf)}
}

func instant(t time.Time) string { return "t" + t.UTC().Format(time.RFC3339Nano) }
func number(f float64) string    { return "n" + strconv.FormatFloat(f, 'g', -1, 64) }

func walk(path, key string, value any, leaf func(path, key string, leaf any)) {
	switch value := value.(type) {
	case nil:
	case map[string]any:
		for k, v := range value {
			walk(path+"."+k, k, v, leaf)
		}
	case []any:
		for i, v := range value {
			walk(fmt.Sprintf("%s[%d]", path, i), key, v, leaf)
		}
	default:
		leaf(path, key, value)
	}
}

func collect(m protoreflect.Message, found func(value string, p place)) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		p := placeOf(fd)
		if !fd.IsList() {
			one(fd, v, p, found)
			return true
		}
		for i := range v.List().Len() {
			one(fd, v.List().Get(i), p, found)
		}
		return true
	})
}

func one(fd protoreflect.FieldDescriptor, v protoreflect.Value, p place, found func(string, place)) {
	switch fd.Kind() {
	case protoreflect.EnumKind, protoreflect.BytesKind: // the text beside an enum counts
	case protoreflect.StringKind:
		found("s"+v.String(), p)
	case protoreflect.MessageKind:
		message(v.Message(), p, found)
	case protoreflect.BoolKind:
		found(fmt.Sprint(v.Bool()), p)
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		found(number(v.Float()), p)
	default:
		n, _ := strconv.ParseFloat(fmt.Sprint(v.Interface()), 64)
		found(number(n), p)
	}
}

func message(m protoreflect.Message, p place, found func(string, place)) {
	leaf := func(_, key string, leaf any) {
		within := p
		if key != "" {
			within = place{key}
		}
		found(forms(leaf)[0], within)
	}
	switch m := generated(m).(type) {
	case *timestamppb.Timestamp:
		found(instant(m.AsTime()), p)
	case *structpb.Struct:
		walk("", "", m.AsMap(), leaf)
	case *structpb.ListValue:
		walk("", "", m.AsSlice(), leaf)
	case *structpb.Value:
		walk("", "", m.AsInterface(), leaf)
	default:
		collect(m.ProtoReflect(), found)
	}
}

// generated answers a message of Google's types as its generated type: within a
// message of a type that was made at run time it is of such a type too.
func generated(m protoreflect.Message) proto.Message {
	t, err := protoregistry.GlobalTypes.FindMessageByName(m.Descriptor().FullName())
	if err != nil || t == m.Type() {
		return m.Interface()
	}
	twin := t.New().Interface()
	wire, err := proto.Marshal(m.Interface())
	if err == nil {
		err = proto.Unmarshal(wire, twin)
	}
	if err != nil {
		panic(err) // only of messages that nobody could send
	}
	return twin
}

// placeOf answers the keys under which a field may be sent.
func placeOf(fd protoreflect.FieldDescriptor) place {
	name := strings.TrimSuffix(string(fd.Name()), "_raw")
	if named := fd.ContainingMessage().Fields().ByName(protoreflect.Name(name)); named != nil {
		fd = named
	}
	facts, _ := proto.GetExtension(fd.Options(), optionsv1.E_Field).(*optionsv1.FieldFacts)
	if facts.GetComputed() && facts.GetJson() == "" {
		return nil
	}
	p := place{facts.GetJson()}
	if p[0] == "" {
		p = place{string(fd.Name()), fd.JSONName()}
	}
	return append(p, facts.GetJsonAliases()...)
}
