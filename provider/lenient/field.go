package lenient

import (
	"math"
	"strconv"

	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// set writes a field and reports whether the value fits. If not, nothing is
// written.
func (f *filler) set(field *field, value gjson.Result) bool {
	start := len(f.b)
	fits := f.write(field, value)
	if !fits {
		f.b = f.b[:start]
	}
	return fits
}

func (f *filler) write(field *field, value gjson.Result) bool {
	if field.kind == kindEnum {
		return f.enum(field, value)
	}
	fits := f.value(field, value)
	if fits {
		f.choose(field)
	}
	return fits
}

// choose notes that a oneof has its field.
func (f *filler) choose(field *field) {
	if field.union >= 0 {
		f.chosen.set(field.union)
	}
}

func (f *filler) enum(field *field, value gjson.Result) bool {
	if value.Type != gjson.String {
		return false
	}
	number := field.enum[value.Str]
	if number != 0 {
		f.choose(field)
		f.b = appendVarint(f.b, field.number, uint64(number))
	}
	if field.raw != 0 {
		f.b = appendText(f.b, field.raw, value.Str)
	}
	return number != 0 || field.raw != 0
}

// list writes the elements one by one, numbers too: readers take them unpacked
// as well as packed, and hardly any event has some. So do enums, beside their
// texts. An element that does not fit goes to the rest, in a list under the key as
// sent: it is no reason to take their types from the others.
func (f *filler) list(name string, field *field, value gjson.Result) {
	if !value.IsArray() || field.kind == kindEnum && field.raw == 0 {
		f.keep(name, value)
		return
	}
	var odd *structpb.ListValue
	value.ForEach(func(_, e gjson.Result) bool {
		start := len(f.b)
		if f.value(field, e) {
			return true
		}
		f.b = f.b[:start]
		if odd == nil {
			odd = new(structpb.ListValue)
		}
		b := builder{}
		odd.Values = append(odd.Values, b.value(e, f.depth+2))
		f.result = f.result.And(b.result)
		return true
	})
	if odd != nil {
		f.keepMade(name, structpb.NewListValue(odd))
	}
}

// value writes one JSON value as a field, or as an element of one, and reports
// whether it fits. If not, the caller takes back what was written.
func (f *filler) value(field *field, value gjson.Result) bool {
	switch field.kind {
	case kindString:
		if field.digits && value.Type == gjson.Number {
			f.b = appendText(f.b, field.number, Digits(value))
			return isInteger(value.Raw)
		}
		f.b = appendText(f.b, field.number, value.Str)
		return value.Type == gjson.String
	case kindBool:
		f.b = appendBool(f.b, field.number, value.Type == gjson.True)
		return value.IsBool()
	case kindEnum:
		return f.enumElement(field, value)
	case kindTimestamp:
		return f.timestamp(field, value)
	case kindValue:
		var b builder
		f.b = appendMessage(f.b, field.number, b.value(value, f.depth+1))
		f.result = f.result.And(b.result)
		return true
	case kindStruct, kindList, kindMessage:
		return f.nested(field, value)
	}
	return f.numeric(field, value)
}

// enumElement writes an element of two lists, of values and of texts. They are of
// the same length: a value that is not known is 0.
func (f *filler) enumElement(field *field, value gjson.Result) bool {
	if value.Type != gjson.String {
		return false
	}
	f.b = appendVarint(f.b, field.number, uint64(field.enum[value.Str]))
	f.b = appendText(f.b, field.raw, value.Str)
	return true
}

// nested writes what takes an object, or an array, of this depth.
func (f *filler) nested(field *field, value gjson.Result) bool {
	if value.IsArray() != (field.kind == kindList) || value.Type != gjson.JSON || f.depth >= maxStructDepth {
		return false
	}
	var b builder
	switch field.kind {
	case kindStruct:
		f.b = appendMessage(f.b, field.number, b.object(value, f.depth+1))
	case kindList:
		f.b = appendMessage(f.b, field.number, b.list(value, f.depth+1))
	default:
		return f.message(field, value)
	}
	f.result = f.result.And(b.result)
	return true
}

// message writes a message within this one.
func (f *filler) message(field *field, object gjson.Result) bool {
	b, start := begin(f.b, field.number)
	inner := filler{plan: field.plan(), b: b, depth: f.depth + 1}
	inner.fill(object)
	f.b = end(inner.b, start)
	if inner.result.Lost {
		return false
	}
	f.result = f.result.And(inner.result)
	return true
}

func (f *filler) timestamp(field *field, value gjson.Result) bool {
	t, ok := Time(value)
	if !ok {
		return false
	}
	f.b = appendTimestamp(f.b, field.number, timestamppb.New(t))
	return true
}

func (f *filler) numeric(field *field, value gjson.Result) bool {
	if value.Type != gjson.Number {
		return false
	}
	n, ok := number(field.kind, value)
	if ok {
		f.b = appendNumber(f.b, field.number, field.encoding, n)
	}
	return ok
}

// number answers a number as 64 bits: those of an integer, or those of a float of
// the kind's size.
func number(kind kind, value gjson.Result) (uint64, bool) {
	switch kind {
	case kindDouble:
		return math.Float64bits(value.Num), exact(value)
	case kindFloat:
		// Only when nothing is lost by it.
		return uint64(math.Float32bits(float32(value.Num))), float64(float32(value.Num)) == value.Num && exact(value)
	case kindInt32:
		n, ok := signed(value, 32)
		return uint64(n), ok
	case kindInt64:
		n, ok := signed(value, 64)
		return uint64(n), ok
	case kindUint32:
		return unsigned(value, 32)
	case kindUint64:
		return unsigned(value, 64)
	}
	return 0, false
}

// maxExact is the largest number up to which a float64 tells all integers apart.
const maxExact = 1 << 53

// signed reads 42, and 42.0 and 4.2e1 as far as a float64 is exact.
func signed(value gjson.Result, size int) (int64, bool) {
	if n, err := strconv.ParseInt(value.Raw, 10, size); err == nil {
		return n, true
	}
	if value.Num != math.Trunc(value.Num) || math.Abs(value.Num) > maxExact || !exact(value) {
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
