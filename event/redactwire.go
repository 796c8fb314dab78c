package event

import (
	"slices"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// RedactWire is Redact for a message of type d in wire form, of which no message
// is made: b is shortened in place. It answers false, and b may be spoilt, when
// there is more to do than it can: something sensitive is in content without a
// schema or in a map, or a message comes in several parts.
func RedactWire(d protoreflect.MessageDescriptor, b []byte, shown Kinds) (redacted []byte, paths []string, ok bool) {
	if shown == AllKinds {
		return b, nil, true
	}
	r := wireRedactor{shown: shown, ok: true}
	b, paths = r.message(wirePlanOf(d, shown), b, nil)
	return b, paths, r.ok
}

// wirePlan is a redactPlan by field number.
type wirePlan struct {
	fields map[protowire.Number]wireField
	walks  int // fields that are walked into
}

type wireField struct {
	protoreflect.FieldDescriptor
	order     int // among the sensitive ones, or among those that are walked into
	sensitive bool
	names     names // of those that are walked into
}

// wirePlans are by what is shown: protoreflect.MessageDescriptor to *wirePlan.
var wirePlans [AllKinds + 1]sync.Map

func wirePlanOf(d protoreflect.MessageDescriptor, shown Kinds) *wirePlan {
	if p, ok := wirePlans[shown].Load(d); ok {
		return p.(*wirePlan)
	}
	from := planOf(d, shown)
	p := &wirePlan{fields: make(map[protowire.Number]wireField), walks: len(from.walk)}
	for i, f := range from.sensitive {
		p.fields[f.Number()] = wireField{FieldDescriptor: f, order: i, sensitive: true}
	}
	for i, f := range from.walk {
		p.fields[f.Number()] = wireField{FieldDescriptor: f.FieldDescriptor, order: i, names: f.names}
	}
	wirePlans[shown].Store(d, p)
	return p
}

// wireRedactor walks a message in wire form.
type wireRedactor struct {
	shown Kinds
	ok    bool
}

// holdsHidden reports whether a Struct, Value or ListValue, with its length before
// it, has a key or a text that is withheld, or cannot be read.
func holdsHidden(b []byte, d protoreflect.MessageDescriptor, names names) bool {
	content, n := protowire.ConsumeBytes(b)
	if n < 0 {
		return true
	}
	for len(content) > 0 {
		number, typ, tag := protowire.ConsumeTag(content)
		if tag < 0 {
			return true
		}
		size := protowire.ConsumeFieldValue(number, typ, content[tag:])
		if size < 0 {
			return true
		}
		value := content[tag : tag+size]
		content = content[tag+size:]
		f := d.Fields().ByNumber(number)
		switch {
		case f == nil || f.Message() == nil && f.Kind() != protoreflect.StringKind:
		case f.Message() != nil:
			if holdsHidden(value, f.Message(), names) {
				return true
			}
		default: // a key, or the text of a Value
			text, n := protowire.ConsumeString(value)
			if n < 0 || d.IsMapEntry() && (names.hideKey(text) || names.mayHidePair("", text) || names.isObject(text)) || !d.IsMapEntry() && names.hideText(text) {
				return true
			}
		}
	}
	return false
}

// place is where a message stands, nil for the outermost: a path that is made when
// there is something to tell.
type place struct {
	up    *place
	field wireField
	index int // in a list; -1: of none
}

func (p *place) path() []string {
	if p == nil {
		return nil
	}
	path := step(p.up.path(), string(p.field.Name()))
	if p.index >= 0 {
		path = index(path, p.index)
	}
	return path
}

// wireFound are the paths that one message was found to have, in the order in
// which Redact answers them, which is not that of the bytes.
type wireFound struct {
	own   []wireField
	below [][]string // by order
}

func (r *wireRedactor) message(plan *wirePlan, b []byte, at *place) ([]byte, []string) {
	var found wireFound
	var some [32]int
	counts := append(some[:0], make([]int, plan.walks)...)
	out := b[:0]
	for rest := b; len(rest) > 0 && r.ok; {
		number, typ, tag := protowire.ConsumeTag(rest)
		if tag < 0 {
			r.ok = false
			break
		}
		size := protowire.ConsumeFieldValue(number, typ, rest[tag:])
		if size < 0 {
			r.ok = false
			break
		}
		field := rest[:tag+size]
		rest = rest[tag+size:]
		f, planned := plan.fields[number]
		switch {
		case !planned:
			out = append(out, field...)
		case f.sensitive:
			if f.HasPresence() || f.IsList() || !zero(typ, field[tag:]) {
				found.own = append(found.own, f)
			}
		default:
			if isUntyped(f.Message()) {
				r.ok = r.ok && !holdsHidden(field[tag:], f.Message(), f.names)
				out = append(out, field...)
				break
			}
			out = r.walk(out, f, field, tag, place{at, f, -1}, &counts[f.order], &found)
		}
	}
	return out, found.paths(at)
}

// walk appends a field that holds a message, redacted.
func (r *wireRedactor) walk(out []byte, f wireField, field []byte, tag int, at place, count *int, found *wireFound) []byte {
	if f.IsMap() || !f.IsList() && *count > 0 {
		r.ok = false
		return out
	}
	if f.IsList() {
		at.index = *count
	}
	*count++
	content, n := protowire.ConsumeBytes(field[tag:])
	if n < 0 {
		r.ok = false
		return out
	}
	content, paths := r.message(wirePlanOf(f.Message(), r.shown), content, &at)
	if len(paths) > 0 {
		for len(found.below) <= f.order {
			found.below = append(found.below, nil)
		}
		found.below[f.order] = append(found.below[f.order], paths...)
	}
	// Never past what has been read: the content did not become longer.
	out = append(out, field[:tag]...)
	out = protowire.AppendVarint(out, uint64(len(content)))
	return append(out, content...)
}

func (f *wireFound) paths(at *place) []string {
	if f.own == nil && f.below == nil {
		return nil
	}
	slices.SortFunc(f.own, func(a, b wireField) int { return a.order - b.order })
	var r redactor
	last := -1 // a list is one path
	for _, own := range f.own {
		if own.order != last {
			r.found(step(at.path(), string(own.Name())))
		}
		last = own.order
	}
	return append(r.paths, slices.Concat(f.below...)...)
}

// zero reports whether a scalar without presence is as good as absent.
func zero(typ protowire.Type, value []byte) bool {
	if typ == protowire.BytesType {
		return len(value) == 1 // its length, 0
	}
	return !slices.ContainsFunc(value, func(b byte) bool { return b != 0 })
}
