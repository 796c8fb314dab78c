package lenient

import (
	"math"
	"strconv"
	"time"

	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// free reports whether setting a field leaves all that is set as it is. Of a
// oneof the first one counts.
func (f *field) free(m protoreflect.Message, refill bool) bool {
	if f.union != nil {
		return m.WhichOneof(f.union) == nil
	}
	return !refill || !m.Has(f.desc) && (f.raw == nil || !m.Has(f.raw))
}

// set gives a field its value and reports whether the value fits.
func (f *filler) set(field *field, value gjson.Result) bool {
	switch {
	case field.list:
		return f.setList(field, value)
	case field.kind == kindEnum:
		return setEnum(f.m, field, value)
	}
	v, ok := f.value(field, value, nil)
	if ok {
		f.m.Set(field.desc, v)
	}
	return ok
}

func setEnum(m protoreflect.Message, field *field, value gjson.Result) bool {
	if value.Type != gjson.String {
		return false
	}
	number := field.enum[value.Str]
	if number != 0 {
		m.Set(field.desc, protoreflect.ValueOfEnum(number))
	}
	if field.raw != nil {
		m.Set(field.raw, protoreflect.ValueOfString(clean(value.Str)))
	}
	return number != 0 || field.raw != nil
}

func (f *filler) setList(field *field, value gjson.Result) bool {
	if !value.IsArray() {
		return false
	}
	if field.kind == kindEnum {
		return setEnums(f.m, field, value)
	}
	list := f.m.NewField(field.desc).List()
	fits := true
	value.ForEach(func(_, e gjson.Result) bool {
		var v protoreflect.Value
		if v, fits = f.value(field, e, list); fits {
			list.Append(v)
		}
		return fits
	})
	if fits && list.Len() > 0 {
		f.m.Set(field.desc, protoreflect.ValueOfList(list))
	}
	return fits
}

// setEnums fills the values and the texts beside them, index by index.
func setEnums(m protoreflect.Message, field *field, value gjson.Result) bool {
	if field.raw == nil {
		return false
	}
	numbers, texts := m.NewField(field.desc).List(), m.NewField(field.raw).List()
	fits := true
	value.ForEach(func(_, e gjson.Result) bool {
		if fits = e.Type == gjson.String; fits {
			numbers.Append(protoreflect.ValueOfEnum(field.enum[e.Str]))
			texts.Append(protoreflect.ValueOfString(clean(e.Str)))
		}
		return fits
	})
	if fits && texts.Len() > 0 {
		m.Set(field.desc, protoreflect.ValueOfList(numbers))
		m.Set(field.raw, protoreflect.ValueOfList(texts))
	}
	return fits
}

// value turns one JSON value into a value for a field, or, when list is not nil,
// for an element of it.
func (f *filler) value(field *field, value gjson.Result, list protoreflect.List) (protoreflect.Value, bool) {
	none := protoreflect.Value{}
	switch field.kind {
	case kindString:
		if value.Type != gjson.String {
			return none, false
		}
		return protoreflect.ValueOfString(clean(value.Str)), true
	case kindBool:
		return protoreflect.ValueOfBool(value.Type == gjson.True), value.IsBool()
	case kindTimestamp:
		t, ok := timestamp(value)
		return protoreflect.ValueOfMessage(t.ProtoReflect()), ok
	case kindValue:
		return protoreflect.ValueOfMessage(toValue(value, f.depth+1).ProtoReflect()), true
	case kindStruct:
		if !value.IsObject() || f.depth >= maxStructDepth {
			return none, false
		}
		return protoreflect.ValueOfMessage(toStruct(value, f.depth+1).ProtoReflect()), true
	case kindList:
		if !value.IsArray() || f.depth >= maxStructDepth {
			return none, false
		}
		return protoreflect.ValueOfMessage(toList(value, f.depth+1).ProtoReflect()), true
	case kindMessage:
		if !value.IsObject() || f.depth >= maxStructDepth {
			return none, false
		}
		v := f.empty(field, list)
		return v, f.message(field, value, v.Message())
	}
	return number(field.kind, value)
}

func (f *filler) empty(field *field, list protoreflect.List) protoreflect.Value {
	if list != nil {
		return list.NewElement()
	}
	return f.m.NewField(field.desc)
}

// message fills a message within this one.
func (f *filler) message(field *field, object gjson.Result, m protoreflect.Message) bool {
	inner := filler{plan: field.plan(), m: m, depth: f.depth + 1}
	inner.fill(object)
	if inner.result.Lost {
		return false
	}
	f.result.Rest = f.result.Rest || inner.result.Rest
	return true
}

func timestamp(value gjson.Result) (*timestamppb.Timestamp, bool) {
	if value.Type != gjson.String {
		return nil, false
	}
	t, err := time.Parse(time.RFC3339Nano, value.Str)
	if err != nil {
		return nil, false
	}
	stamp := timestamppb.New(t)
	return stamp, stamp.IsValid()
}

func number(kind kind, value gjson.Result) (protoreflect.Value, bool) {
	none := protoreflect.Value{}
	if value.Type != gjson.Number {
		return none, false
	}
	switch kind {
	case kindDouble:
		return protoreflect.ValueOfFloat64(value.Num), !math.IsInf(value.Num, 0)
	case kindFloat:
		// Only when nothing is lost by it.
		return protoreflect.ValueOfFloat32(float32(value.Num)), float64(float32(value.Num)) == value.Num
	case kindInt32:
		n, ok := signed(value, 32)
		return protoreflect.ValueOfInt32(int32(n)), ok
	case kindInt64:
		n, ok := signed(value, 64)
		return protoreflect.ValueOfInt64(n), ok
	case kindUint32:
		n, ok := unsigned(value, 32)
		return protoreflect.ValueOfUint32(uint32(n)), ok
	case kindUint64:
		n, ok := unsigned(value, 64)
		return protoreflect.ValueOfUint64(n), ok
	}
	return none, false
}

// maxExact is the largest number up to which a float64 tells all integers apart.
const maxExact = 1 << 53

// signed reads 42, and 42.0 and 4.2e1 as far as a float64 is exact.
func signed(value gjson.Result, size int) (int64, bool) {
	if n, err := strconv.ParseInt(value.Raw, 10, size); err == nil {
		return n, true
	}
	if value.Num != math.Trunc(value.Num) || math.Abs(value.Num) > maxExact {
		return 0, false
	}
	n := int64(value.Num)
	return n, size == 64 || n >= math.MinInt32 && n <= math.MaxInt32
}

// unsigned is signed for numbers that are not negative.
func unsigned(value gjson.Result, size int) (uint64, bool) {
	if n, err := strconv.ParseUint(value.Raw, 10, size); err == nil {
		return n, true
	}
	n, ok := signed(value, 64)
	return uint64(n), ok && n >= 0 && (size == 64 || n <= math.MaxUint32)
}
