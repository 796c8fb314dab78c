package lenient

import (
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	optionsv1 "github.com/hookstream/hookstream/gen/hookstream/options/v1"
)

var enums sync.Map // protoreflect.EnumDescriptor to map[string]protoreflect.EnumNumber

// EnumNumber answers the value of an enum that a sender spells so, 0 when there
// is none. desc is as generated, `yousignv1.Topic(0).Descriptor()`.
func EnumNumber(desc protoreflect.EnumDescriptor, wire string) protoreflect.EnumNumber {
	return spellings(desc)[wire]
}

// EnumWire answers how the sender spells a value of an enum, empty for a value
// that is unspecified or not known.
func EnumWire(desc protoreflect.EnumDescriptor, number protoreflect.EnumNumber) string {
	value := desc.Values().ByNumber(number)
	if value == nil || number == 0 {
		return ""
	}
	return wireOf(value)
}

// spellings answers the values of an enum by all that is sent for them. The
// value 0 is nobody's: it says that nothing fitted.
func spellings(desc protoreflect.EnumDescriptor) map[string]protoreflect.EnumNumber {
	if known, ok := enums.Load(desc); ok {
		return known.(map[string]protoreflect.EnumNumber)
	}
	known, _ := enums.LoadOrStore(desc, newSpellings(desc))
	return known.(map[string]protoreflect.EnumNumber)
}

func newSpellings(desc protoreflect.EnumDescriptor) map[string]protoreflect.EnumNumber {
	known := make(map[string]protoreflect.EnumNumber)
	add := func(text string, number protoreflect.EnumNumber) {
		if _, taken := known[text]; !taken && number != 0 {
			known[text] = number
		}
	}
	// Wire spellings before aliases: what is one value's spelling is never
	// another's alias.
	for i := range desc.Values().Len() {
		add(wireOf(desc.Values().Get(i)), desc.Values().Get(i).Number())
	}
	for i := range desc.Values().Len() {
		for _, alias := range valueFactsOf(desc.Values().Get(i)).GetAliases() {
			add(alias, desc.Values().Get(i).Number())
		}
	}
	return known
}

func wireOf(value protoreflect.EnumValueDescriptor) string {
	if wire := valueFactsOf(value).GetWire(); wire != "" {
		return wire
	}
	return strings.TrimPrefix(string(value.Name()), prefix(value.Parent().Name()))
}

// prefix answers what the names of an enum's values begin with: AppEnv, APP_ENV_.
func prefix(enum protoreflect.Name) string {
	var b strings.Builder
	for i, r := range string(enum) {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String()) + "_"
}

func valueFactsOf(value protoreflect.EnumValueDescriptor) *optionsv1.EnumValueFacts {
	facts, _ := proto.GetExtension(value.Options(), optionsv1.E_EnumValue).(*optionsv1.EnumValueFacts)
	return facts
}
