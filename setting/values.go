package setting

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Values are those that a setting may have: Spans, Numbers, Sizes or a Choice.
type Values interface {
	// Bounds are for people: "1 s to 1 h".
	Bounds() string
	// Default is for people, and empty when there is none: "1 min".
	Default() string

	// preset answers what a field that is not set stands for; not valid: nothing.
	preset(fd protoreflect.FieldDescriptor) protoreflect.Value
	allow(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool
}

// Spans are durations. A Min of a nanosecond is anything above nothing.
type Spans struct{ Preset, Min, Max time.Duration }

// Bounds are for people.
func (s Spans) Bounds() string {
	if s.Min <= 1 {
		return "at most " + spanText(s.Max)
	}
	return spanText(s.Min) + " to " + spanText(s.Max)
}

// Default is for people.
func (s Spans) Default() string { return spanText(s.Preset) }

func (s Spans) preset(protoreflect.FieldDescriptor) protoreflect.Value {
	return protoreflect.ValueOfMessage(durationpb.New(s.Preset).ProtoReflect())
}

func (s Spans) allow(_ protoreflect.FieldDescriptor, v protoreflect.Value) bool {
	d, ok := v.Message().Interface().(*durationpb.Duration)
	return ok && d.CheckValid() == nil && d.AsDuration() >= s.Min && d.AsDuration() <= s.Max
}

func spanText(d time.Duration) string {
	for _, unit := range []struct {
		span time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if d >= unit.span && d%unit.span == 0 {
			return strconv.FormatInt(int64(d/unit.span), 10) + " " + unit.name
		}
	}
	return d.String()
}

// Numbers are whole ones or not, as the field is. 0 stands for one that is not set,
// and a Preset of 0 for none.
type Numbers struct{ Preset, Min, Max float64 }

// Bounds are for people.
func (n Numbers) Bounds() string { return boundsText(n.Min, n.Max, numberText) }

// Default is for people.
func (n Numbers) Default() string { return presetText(n.Preset, numberText) }

func (n Numbers) preset(fd protoreflect.FieldDescriptor) protoreflect.Value {
	return numberValue(fd, n.Preset)
}

func (n Numbers) allow(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
	x := numberOf(fd, v)
	return x >= n.Min && x <= n.Max // never of what is no number
}

// Sizes are numbers of bytes, as Numbers else.
type Sizes struct{ Preset, Min, Max float64 }

// Bounds are for people.
func (s Sizes) Bounds() string { return boundsText(s.Min, s.Max, sizeText) }

// Default is for people.
func (s Sizes) Default() string { return presetText(s.Preset, sizeText) }

func (s Sizes) preset(fd protoreflect.FieldDescriptor) protoreflect.Value {
	return Numbers(s).preset(fd)
}

func (s Sizes) allow(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
	return Numbers(s).allow(fd, v)
}

func boundsText(least, most float64, text func(float64) string) string {
	if least == 0 {
		return "at most " + text(most)
	}
	return text(least) + " to " + text(most)
}

func presetText(x float64, text func(float64) string) string {
	if x == 0 {
		return ""
	}
	return text(x)
}

// numberText has commas: 100,000.
func numberText(x float64) string {
	digits := strconv.FormatFloat(x, 'f', -1, 64)
	whole, part, found := strings.Cut(digits, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if found {
		return whole + "." + part
	}
	return whole
}

func sizeText(x float64) string {
	for _, unit := range []struct {
		bytes float64
		name  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if x >= unit.bytes && math.Mod(x, unit.bytes) == 0 {
			return numberText(x/unit.bytes) + " " + unit.name
		}
	}
	return numberText(x) + " B"
}

func numberOf(fd protoreflect.FieldDescriptor, v protoreflect.Value) float64 {
	switch fd.Kind() {
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return v.Float()
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return float64(v.Uint())
	}
	return float64(v.Int())
}

func numberValue(fd protoreflect.FieldDescriptor, x float64) protoreflect.Value {
	switch kind := fd.Kind(); {
	case x == 0:
		return protoreflect.Value{}
	case kind == protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(x)
	case kind == protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(x))
	case kind == protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(x))
	}
	panic(fmt.Sprintf("setting: %s is no number that is known here", fd.FullName()))
}

// A Choice is one of the values of an enum, but for the first, which stands for one
// that is not set.
type Choice struct{ Preset protoreflect.Enum }

// Bounds are for people.
func (c Choice) Bounds() string {
	var words []string
	values := c.Preset.Descriptor().Values()
	for i := 1; i < values.Len(); i++ {
		words = append(words, Word(values.Get(i)))
	}
	return strings.Join(words, " or ")
}

// Default is for people.
func (c Choice) Default() string {
	return Word(c.Preset.Descriptor().Values().ByNumber(c.Preset.Number()))
}

func (c Choice) preset(protoreflect.FieldDescriptor) protoreflect.Value {
	return protoreflect.ValueOfEnum(c.Preset.Number())
}

func (c Choice) allow(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
	return fd.Enum().Values().ByNumber(v.Enum()) != nil
}

// Word is the name of an enum's value without what all of them begin with.
func Word(v protoreflect.EnumValueDescriptor) string {
	first := string(v.Parent().(protoreflect.EnumDescriptor).Values().Get(0).Name())
	return strings.TrimPrefix(string(v.Name()), strings.TrimSuffix(first, "UNSPECIFIED"))
}
