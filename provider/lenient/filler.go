package lenient

import (
	"slices"

	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
)

// A filler writes one message in wire form from one object. No message is made:
// to set its fields one by one costs several times as much as their bytes.
type filler struct {
	plan   *plan
	b      []byte
	choice keys
	pass   func(key string, value gjson.Result) // called with what is not chosen; may be nil
	depth  int                                  // of the object, from 1; the document is 1

	seen   bits      // keys of the plan in this object
	taken  bits      // fields that have their value
	chosen bits      // oneofs that have their field
	before bits      // fields that were there before this object
	best   []uint16  // by field: the rank of the name that counts, plus 1; nil without aliases
	left   [4]string // keys that were not chosen, to tell repeated ones
	more   []string  // those beyond
	lefts  int
	rest   *structpb.Struct
	kept   *structpb.Struct // the rest that was there before this object
	result Result
}

// resume notes what a message in wire form has already.
func (f *filler) resume(wire []byte) {
	EachField(wire, func(number protoreflect.FieldNumber, value []byte) {
		if number == f.plan.rest {
			f.mergeRest(value)
			return
		}
		place, ok := f.plan.places[number]
		if ok && place.field >= 0 {
			f.before.set(place.field)
		}
		if ok && place.union >= 0 {
			f.chosen.set(place.union)
		}
	})
}

func (f *filler) mergeRest(rest []byte) {
	if f.kept == nil {
		f.kept = new(structpb.Struct)
	}
	_ = proto.UnmarshalOptions{Merge: true}.Unmarshal(FieldContent(rest), f.kept)
}

func (f *filler) fill(object gjson.Result) {
	if f.plan.aliased {
		f.passOver(object)
	}
	object.ForEach(func(key, value gjson.Result) bool {
		if f.choice.skip(key.Str) {
			if !f.choice.only {
				f.leave(key.Str)
			}
			if f.pass != nil {
				f.pass(key.Str, value)
			}
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
		f.b = appendMessage(f.b, f.plan.rest, f.rest)
	}
}

// known handles a key that a field bears.
func (f *filler) known(name string, k *key, value gjson.Result) {
	if f.seen.has(k.index) {
		f.result.Repeated = true
		return
	}
	f.seen.set(k.index)
	if value.Type == gjson.Null {
		return
	}
	field := k.field
	if f.taken.has(field.index) || f.outranked(k) || !f.free(field) {
		f.keep(name, value)
		return
	}
	// Taken even when the value does not fit: which of several names counts must
	// not depend on what is sent under it.
	f.taken.set(field.index)
	if field.list {
		f.list(name, field, value)
	} else if !f.set(field, value) {
		f.keep(name, value)
	}
}

// leave notes a key that somebody else reads, of whom nobody else would notice
// that it is repeated. There are few of them.
func (f *filler) leave(key string) {
	seen := f.left[:min(f.lefts, len(f.left))]
	if slices.Contains(seen, key) || slices.Contains(f.more, key) {
		f.result.Repeated = true
		return
	}
	if f.lefts < len(f.left) {
		f.left[f.lefts] = key
	} else {
		f.more = append(f.more, key)
	}
	f.lefts++
}

// free reports whether setting a field leaves all that is set as it is. Of a
// oneof the first one counts.
func (f *filler) free(field *field) bool {
	if field.union >= 0 {
		return !f.chosen.has(field.union)
	}
	return !f.before.has(field.index)
}

// keep puts into the rest what has no typed field.
func (f *filler) keep(name string, value gjson.Result) {
	if f.plan.rest == 0 {
		f.result.Lost = true
		return
	}
	var b builder
	f.keepMade(name, b.value(value, f.depth+1))
	f.result = f.result.And(b.result)
}

// keepMade is keep for what is a Value already. The first of repeated keys counts.
func (f *filler) keepMade(name string, value *structpb.Value) {
	if f.plan.rest == 0 {
		f.result.Lost = true
		return
	}
	f.result.Rest = true
	name = clean(name)
	if _, taken := f.kept.GetFields()[name]; taken {
		return
	}
	if _, taken := f.rest.GetFields()[name]; taken {
		f.result.Repeated = true
		return
	}
	if f.rest == nil {
		f.rest = &structpb.Struct{Fields: make(map[string]*structpb.Value)}
	}
	f.rest.Fields[name] = value
}

// passOver notes, for messages whose fields have aliases, under which of its
// names each field counts. The names may come in any order.
func (f *filler) passOver(object gjson.Result) {
	f.best = make([]uint16, len(f.plan.fields))
	object.ForEach(func(name, value gjson.Result) bool {
		k, ok := f.plan.keys[name.Str]
		if !ok || value.Type == gjson.Null {
			return true
		}
		if best := &f.best[k.field.index]; *best == 0 || k.rank < *best-1 {
			*best = k.rank + 1
		}
		return true
	})
}

// outranked reports whether the object has the key's field under a better name.
func (f *filler) outranked(k *key) bool {
	return f.best != nil && k.rank+1 > f.best[k.field.index]
}
