package listing

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.einride.tech/aip/filtering"
	expr "google.golang.org/genproto/googleapis/api/expr/v1alpha1"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// literal answers a value as text: what it means depends on the field.
func literal(e *expr.Expr) (string, bool) {
	if names := path(e); names != nil {
		return strings.Join(names, "."), true
	}
	switch v := e.GetConstExpr().GetConstantKind().(type) {
	case *expr.Constant_StringValue:
		return v.StringValue, true
	case *expr.Constant_Int64Value:
		return strconv.FormatInt(v.Int64Value, 10), true
	case *expr.Constant_DoubleValue:
		return strconv.FormatFloat(v.DoubleValue, 'g', -1, 64), true
	default:
		return "", false
	}
}

var errOnlyHas = errors.New("only `:` looks into it")

// compare compiles a comparison of a field with a value. What is not there
// compares as false, with != too.
func (f field) compare(op filtering.TokenType, value string) (test, error) {
	fd := f.kind()
	switch {
	case f.many() && op != filtering.TokenTypeHas:
		return nil, errOnlyHas
	case f.many() && fd.IsMap():
		f.key, f.in = value, true
		if fd.MapKey().Kind() != protoreflect.StringKind {
			return nil, errors.New("it cannot be looked into")
		}
		return f.has, nil
	case f.many():
		element, err := comparison(fd, filtering.TokenTypeEquals, value)
		return f.any(element), err
	}
	one, err := comparison(fd, op, value)
	if err != nil {
		return nil, err
	}
	return func(m protoreflect.Message) bool {
		v, ok := f.get(m)
		return ok && one(v)
	}, nil
}

// any says whether one of a list is as it should.
func (f field) any(element func(protoreflect.Value) bool) test {
	return func(m protoreflect.Message) bool {
		v, ok := f.get(m)
		if !ok {
			return false
		}
		for i := range v.List().Len() {
			if element(v.List().Get(i)) {
				return true
			}
		}
		return false
	}
}

// comparison compiles a comparison of single values.
func comparison(fd protoreflect.FieldDescriptor, op filtering.TokenType, value string) (func(protoreflect.Value) bool, error) {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return texts(op, value), nil
	case protoreflect.BoolKind:
		want, err := strconv.ParseBool(value)
		if err != nil || value != strconv.FormatBool(want) {
			return nil, errors.New("must be true or false")
		}
		return equal(op, protoreflect.ValueOfBool(want))
	case protoreflect.EnumKind:
		return enums(fd.Enum(), op, value)
	case protoreflect.MessageKind:
		return times(fd.Message(), op, value)
	case protoreflect.BytesKind, protoreflect.GroupKind:
		return nil, errors.New("cannot be compared")
	default:
		return numbers(op, value)
	}
}

// equal compares what has no order.
func equal(op filtering.TokenType, want protoreflect.Value) (func(protoreflect.Value) bool, error) {
	switch op {
	case filtering.TokenTypeEquals, filtering.TokenTypeHas:
		return want.Equal, nil
	case filtering.TokenTypeNotEquals:
		return func(v protoreflect.Value) bool { return !want.Equal(v) }, nil
	default:
		return nil, fmt.Errorf("%s does not apply to it", op)
	}
}

func enums(enum protoreflect.EnumDescriptor, op filtering.TokenType, value string) (func(protoreflect.Value) bool, error) {
	want := enum.Values().ByName(protoreflect.Name(value))
	if want == nil {
		var names []string
		for i := range enum.Values().Len() {
			names = append(names, string(enum.Values().Get(i).Name()))
		}
		return nil, fmt.Errorf("must be one of %s", strings.Join(names, ", "))
	}
	return equal(op, protoreflect.ValueOfEnum(want.Number()))
}

// texts compares texts byte for byte. With = and != a * stands for anything;
// `:` looks for a part.
func texts(op filtering.TokenType, value string) func(protoreflect.Value) bool {
	switch op {
	case filtering.TokenTypeHas:
		return func(v protoreflect.Value) bool { return strings.Contains(v.String(), value) }
	case filtering.TokenTypeEquals:
		return func(v protoreflect.Value) bool { return matches(value, v.String()) }
	case filtering.TokenTypeNotEquals:
		return func(v protoreflect.Value) bool { return !matches(value, v.String()) }
	default:
		return func(v protoreflect.Value) bool { return holds(op, cmp.Compare(v.String(), value)) }
	}
}

// matches says whether text is as the pattern, in which each * stands for any
// text. The leftmost place for each part leaves most for those that follow, so
// nothing is tried twice.
func matches(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, parts[0])
	for _, part := range parts[1 : len(parts)-1] {
		if ok {
			_, text, ok = strings.Cut(text, part)
		}
	}
	return ok && strings.HasSuffix(text, parts[len(parts)-1])
}

func numbers(op filtering.TokenType, value string) (func(protoreflect.Value) bool, error) {
	if want, err := strconv.ParseInt(value, 10, 64); err == nil {
		return func(v protoreflect.Value) bool {
			switch n := v.Interface().(type) {
			case int32:
				return holds(op, cmp.Compare(int64(n), want))
			case int64:
				return holds(op, cmp.Compare(n, want))
			default:
				return holds(op, cmp.Compare(number(v), float64(want)))
			}
		}, nil
	}
	want, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(want) {
		return nil, errors.New("must be a number")
	}
	return func(v protoreflect.Value) bool { return holds(op, cmp.Compare(number(v), want)) }, nil
}

func number(v protoreflect.Value) float64 {
	switch n := v.Interface().(type) {
	case int32:
		return float64(n)
	case int64:
		return float64(n)
	case uint32:
		return float64(n)
	case uint64:
		return float64(n)
	default:
		return v.Float()
	}
}

var (
	timestampName = (*timestamppb.Timestamp)(nil).ProtoReflect().Descriptor().FullName()
	durationName  = (*durationpb.Duration)(nil).ProtoReflect().Descriptor().FullName()
)

func times(md protoreflect.MessageDescriptor, op filtering.TokenType, value string) (func(protoreflect.Value) bool, error) {
	var seconds, nanos int64
	switch md.FullName() {
	case timestampName:
		t, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return nil, errors.New(`must be a quoted time, as "2026-11-28T09:00:00Z"`)
		}
		seconds, nanos = t.Unix(), int64(t.Nanosecond())
	case durationName:
		d, err := time.ParseDuration(value)
		if err != nil {
			return nil, errors.New(`must be a quoted duration, as "90s"`)
		}
		seconds, nanos = int64(d/time.Second), int64(d%time.Second)
	default:
		return nil, errors.New("name one of its fields, or ask with `:*` whether it is there")
	}
	return func(v protoreflect.Value) bool {
		s, n := instant(v.Message())
		return holds(op, cmp.Or(cmp.Compare(s, seconds), cmp.Compare(n, nanos)))
	}, nil
}

// instant answers the parts of a Timestamp or a Duration.
func instant(m protoreflect.Message) (seconds, nanos int64) {
	fields := m.Descriptor().Fields()
	return m.Get(fields.ByName("seconds")).Int(), m.Get(fields.ByName("nanos")).Int()
}

// holds says what a comparator makes of how two values compare.
func holds(op filtering.TokenType, c int) bool {
	switch op {
	case filtering.TokenTypeLessThan:
		return c < 0
	case filtering.TokenTypeLessEquals:
		return c <= 0
	case filtering.TokenTypeGreaterThan:
		return c > 0
	case filtering.TokenTypeGreaterEquals:
		return c >= 0
	case filtering.TokenTypeNotEquals:
		return c != 0
	default: // = and :
		return c == 0
	}
}
