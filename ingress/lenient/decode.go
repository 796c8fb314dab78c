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
//	string                      a string
//	bool                        true or false
//	int32, int64, uint32, ...   a number without fraction, in range (3 and 3.0)
//	double, float               a number that a float64 can hold
//	Timestamp                   a string in RFC 3339, with Z or an offset
//	Struct, ListValue           an object; an array
//	google.protobuf.Value       anything
//	another message             an object, by these same rules
//	an enum `x`                 a string. It goes to the field `x_raw` as sent; `x`
//	                            is set when an EnumValueFacts.wire or alias equals it
//	repeated                    an array of which every element fits
//
// null leaves a field unset. A value of another type, and a key that no field
// bears, go to the rest Struct under the key as sent; of an array with one
// element that does not fit, all does. A message without a rest field takes an
// object only as a whole. Of keys that are repeated, the first counts.
//
// # What a Struct can hold
//
// A number in a Struct is a float64: integers beyond 2^53 are rounded, and a
// number too large for a float64 is kept as a string of its digits. What is
// nested deeper than 24 levels is kept as a string of JSON, because Protobuf
// libraries in other languages refuse messages nested deeper than 100. Bytes
// that are not UTF-8 become U+FFFD, because no string field may hold them. The
// raw body has it all.
package lenient

import (
	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
)

// A Result says how well an object fitted its message.
type Result struct {
	// Rest says that something has no typed field and is kept in a rest Struct,
	// of the message or of one within.
	Rest bool
	// Lost says that something has neither a typed field nor a rest Struct. It
	// does not happen with messages that pass Lint.
	Lost bool
}

// And combines what was said of two parts of a document.
func (r Result) And(other Result) Result {
	return Result{Rest: r.Rest || other.Rest, Lost: r.Lost || other.Lost}
}

// Decode fills m from the JSON object in body. What of m is set already stays.
// It never fails on content: the only error is that of Check.
func Decode(body []byte, m proto.Message) (Result, error) {
	if err := Check(body); err != nil {
		return Result{}, err
	}
	// One copy, of which all strings of the message are parts.
	return DecodeObject(gjson.ParseBytes(body), m), nil
}

// DecodeObject is Decode for an object within a document that has passed Check.
// A value that is not an object leaves m as it is, and is lost.
func DecodeObject(object gjson.Result, m proto.Message) Result {
	msg := m.ProtoReflect()
	return planOf(msg.Descriptor()).decode(object, msg)
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
	f := filler{plan: d.plan, m: m.ProtoReflect(), choice: d.keys}
	return f.run(object)
}

func (p *plan) decode(object gjson.Result, m protoreflect.Message) Result {
	f := filler{plan: p, m: m}
	return f.run(object)
}

// A filler fills one message from one object.
type filler struct {
	plan   *plan
	m      protoreflect.Message
	choice keys
	depth  int  // of the object, from 1; the document is 1
	refill bool // fields may be set already

	seen   bits           // keys of the plan in this object
	taken  bits           // fields that have their value
	best   map[*field]int // the rank of the name that counts, where fields have aliases
	rest   *structpb.Struct
	result Result
}

// run fills a message that may be partly filled, from the outermost object.
func (f *filler) run(object gjson.Result) Result {
	if !object.IsObject() {
		return Result{Lost: true}
	}
	f.depth = 1
	f.refill = true
	if f.plan.rest != nil && f.m.Has(f.plan.rest) {
		f.rest, _ = f.m.Get(f.plan.rest).Message().Interface().(*structpb.Struct)
	}
	f.fill(object)
	return f.result
}

func (f *filler) fill(object gjson.Result) {
	if f.plan.aliased {
		f.passOver(object)
	}
	object.ForEach(func(key, value gjson.Result) bool {
		if f.choice.skip(key.Str) {
			return true
		}
		if k, ok := f.plan.keys[key.Str]; ok {
			f.known(key.Str, k, value)
		} else {
			f.keep(key.Str, value)
		}
		return true
	})
	if f.rest != nil {
		f.m.Set(f.plan.rest, protoreflect.ValueOfMessage(f.rest.ProtoReflect()))
	}
}

// known handles a key that a field bears.
func (f *filler) known(name string, k *key, value gjson.Result) {
	if f.seen.has(k.index) {
		return
	}
	f.seen.set(k.index)
	if value.Type == gjson.Null {
		return
	}
	field := k.field
	if f.taken.has(field.index) || k.rank > f.best[field] || !field.free(f.m, f.refill) {
		f.keep(name, value)
		return
	}
	// Taken even when the value does not fit: which of several names counts must
	// not depend on what is sent under it.
	f.taken.set(field.index)
	if !f.set(field, value) {
		f.keep(name, value)
	}
}

// keep puts into the rest what has no typed field.
func (f *filler) keep(name string, value gjson.Result) {
	if f.plan.rest == nil {
		f.result.Lost = true
		return
	}
	f.result.Rest = true
	if f.rest == nil {
		f.rest = &structpb.Struct{Fields: make(map[string]*structpb.Value)}
	}
	addTo(f.rest, name, value, f.depth)
}

// passOver notes, for messages whose fields have aliases, under which of its
// names each field counts. The names may come in any order.
func (f *filler) passOver(object gjson.Result) {
	f.best = make(map[*field]int)
	object.ForEach(func(name, value gjson.Result) bool {
		k, ok := f.plan.keys[name.Str]
		if !ok || value.Type == gjson.Null {
			return true
		}
		if rank, ok := f.best[k.field]; !ok || k.rank < rank {
			f.best[k.field] = k.rank
		}
		return true
	})
}
