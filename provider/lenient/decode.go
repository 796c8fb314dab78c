// Package lenient turns the JSON of a sender into our Protobuf messages, by the
// facts that the schema states (hookstream.options.v1), and loses nothing: what
// has no typed field is kept as sent in the Struct of the message it belongs to.
//
// # What fills a field
//
// A key of an object fills the field that bears its name: FieldFacts.json when
// given; otherwise the field's name as written (`workspace_id`) or its JSON name
// (`workspaceId`), whichever is sent. FieldFacts.json_aliases are tried in their
// order when that is absent or null. Fields marked computed or rest, and the raw
// text beside an enum, have no name.
//
//	string                      a string; one named `id` or `x_id` an integer too
//	bool                        true or false
//	int32, int64, uint32, ...   a number without fraction, in range (3 and 3.0)
//	double, float               a number that it holds without rounding
//	Timestamp                   a time in the forms of Time
//	Struct, ListValue           an object; an array
//	google.protobuf.Value       anything
//	another message             an object, by these same rules
//	an enum `x`                 a string. It goes to the field `x_raw` as sent; `x`
//	                            is set when an EnumValueFacts.wire or alias equals it
//	repeated                    an array
//
// null leaves a field unset. A value of another type, and a key that no field
// bears, go to the rest Struct under the key as sent; of an array the elements
// that do not fit, in a list. A message without a rest field takes an object only
// as a whole. Of keys that are repeated, the first counts, and Result says so.
//
// # What a Struct can hold
//
// A number in a Struct is a float64: integers beyond 2^53, and whatever else a
// float64 would round, are kept as a string of their digits. What is
// nested deeper than 24 levels is kept as a string of JSON, because Protobuf
// libraries in other languages refuse messages nested deeper than 100. Bytes
// that are not UTF-8 become U+FFFD, because no string field may hold them. The
// raw body has it all.
package lenient

import (
	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A Result says how well an object fitted its message.
type Result struct {
	// Rest says that something has no typed field and is kept in a rest Struct,
	// of the message or of one within.
	Rest bool
	// Lost says that something has neither a typed field nor a rest Struct. It
	// does not happen with messages that pass Lint.
	Lost bool
	// Repeated says that an object has a key more than once: the first counts, and
	// what else was sent for it is in neither.
	Repeated bool
}

// Partial reports whether anything has no typed field.
func (r Result) Partial() bool { return r != Result{} }

// And combines what was said of two parts of a document.
func (r Result) And(other Result) Result {
	return Result{Rest: r.Rest || other.Rest, Lost: r.Lost || other.Lost, Repeated: r.Repeated || other.Repeated}
}

// Decode fills m from the JSON object in body. What of m is set already stays.
// It never fails on content: the only error is that of Check.
func Decode(body []byte, m proto.Message) (Result, error) {
	if err := Check(body); err != nil {
		return Result{}, err
	}
	return DecodeObject(gjson.ParseBytes(body), m), nil
}

// DecodeObject is Decode for an object within a document that has passed Check.
// A value that is not an object leaves m as it is, and is lost.
func DecodeObject(object gjson.Result, m proto.Message) Result {
	return DecoderOf(m).Decode(object, m)
}

// A Decoder fills some of the fields of one type of message, for messages that
// are assembled from several objects. It may be used from many goroutines.
type Decoder struct {
	plan *plan
	keys keys
}

// keys chooses among the keys of an object: the listed ones, or all others.
type keys struct {
	listed map[string]bool
	only   bool
}

func (k keys) skip(key string) bool { return k.listed != nil && k.listed[key] != k.only }

// NewDecoder makes a Decoder for messages of m's type that knows only the named
// fields and keeps what fits none of them in the field rest, of type Struct. It
// panics when there are no such fields: they are fixed in the caller's code.
func NewDecoder(m proto.Message, rest protoreflect.Name, fields ...protoreflect.Name) *Decoder {
	return &Decoder{plan: partOf(m.ProtoReflect().Descriptor(), rest, fields)}
}

// DecoderOf makes a Decoder that knows all fields of messages of m's type.
func DecoderOf(m proto.Message) *Decoder {
	return &Decoder{plan: planOf(m.ProtoReflect().Descriptor())}
}

// Skip answers a Decoder that reads all keys but the given ones, which the
// caller reads by itself.
func (d *Decoder) Skip(names ...string) *Decoder {
	return &Decoder{plan: d.plan, keys: keys{listed: setOf(names)}}
}

// Only answers a Decoder that reads the given keys and ignores all others.
func (d *Decoder) Only(names ...string) *Decoder {
	return &Decoder{plan: d.plan, keys: keys{listed: setOf(names), only: true}}
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// Decode fills m from an object of a document that has passed Check. A field
// that is set already keeps its value, and what was sent for it goes to the
// rest. A value that is not an object leaves m as it is, and is lost.
func (d *Decoder) Decode(object gjson.Result, m proto.Message) Result {
	// Text that is not UTF-8 is the only error there is, and the bytes are complete
	// all the same.
	before, _ := proto.MarshalOptions{AllowPartial: true}.Marshal(m)
	wire, result := d.Append(before, object)
	Merge(wire[len(before):], m)
	return result
}

// Merge sets in m what Append wrote. What of m is set stays, where wire was
// written beside it.
func Merge(wire []byte, m proto.Message) {
	if err := (proto.UnmarshalOptions{Merge: true, AllowPartial: true}).Unmarshal(wire, m); err != nil {
		panic("lenient: not a message: " + err.Error()) // Append writes no such thing
	}
}

// AppendMessage appends to a message in wire form the fields of another of its
// type, in an order that is always the same. Who reads the whole finds both.
func AppendMessage(wire []byte, m proto.Message) []byte {
	// Text that is not UTF-8 is the only error there is, and decoders make none.
	wire, _ = proto.MarshalOptions{Deterministic: true}.MarshalAppend(wire, m)
	return wire
}

// Append is Decode for a message in wire form: wire is what there is of it, or
// nothing, and the fields that Decode sets are appended. Who reads the whole finds
// in it what wire held.
//
// Decode is made of it, and costs twice as much. The same object makes the same
// bytes.
func (d *Decoder) Append(wire []byte, object gjson.Result) ([]byte, Result) {
	return d.AppendPassing(wire, object, nil)
}

// AppendPassing is Append, and calls pass with each member of the object that the
// Decoder does not read because of Skip or Only: who reads those need not look
// for them.
func (d *Decoder) AppendPassing(wire []byte, object gjson.Result, pass func(key string, value gjson.Result)) ([]byte, Result) {
	if !object.IsObject() {
		return wire, Result{Lost: true}
	}
	f := filler{plan: d.plan, b: wire, choice: d.keys, pass: pass, depth: 1}
	f.resume(wire)
	f.fill(object)
	return f.b, f.result
}

// AppendField appends to a message in wire form a field that holds a message of
// the Decoder's type, filled from an object.
func (d *Decoder) AppendField(wire []byte, field protoreflect.FieldNumber, object gjson.Result) ([]byte, Result) {
	if !object.IsObject() {
		return wire, Result{Lost: true}
	}
	b, start := begin(wire, field)
	f := filler{plan: d.plan, b: b, choice: d.keys, depth: 1}
	f.fill(object)
	return end(f.b, start), f.result
}
