package hub

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// enumConstants lets a filter say `Topic.SIGNATURE_PROOF`, or, where two
// providers have an enum of that name, `ignisign.Topic.SIGNATURE_PROOF`. The
// full names are there without our help. CEL sees an enum as a number.
func enumConstants() []cel.EnvOption {
	values, ambiguous := make(map[string]protoreflect.EnumNumber), make(map[string]bool)
	for _, enum := range enumsOf(eventFields.ByName("name").ContainingMessage()) {
		for i := range enum.Values().Len() {
			v := enum.Values().Get(i)
			for _, name := range shortNames(enum, v) {
				if n, ok := values[name]; ok && n != v.Number() {
					ambiguous[name] = true
				}
				values[name] = v.Number()
			}
		}
	}
	var out []cel.EnvOption
	for name, n := range values {
		if !ambiguous[name] {
			out = append(out, cel.Constant(name, types.IntType, types.Int(n)))
		}
	}
	return out
}

// shortNames answers `Topic.SIGNATURE_PROOF` and `ignisign.Topic.SIGNATURE_PROOF`
// for hookstream.ignisign.v1.Topic.TOPIC_SIGNATURE_PROOF.
func shortNames(enum protoreflect.EnumDescriptor, v protoreflect.EnumValueDescriptor) []string {
	prefix := upperSnake(string(enum.Name())) + "_"
	short := string(enum.Name()) + "." + strings.TrimPrefix(string(v.Name()), prefix)
	parts := strings.Split(string(enum.ParentFile().Package()), ".")
	if len(parts) < 2 || parts[len(parts)-2] == "hookstream" {
		return []string{short}
	}
	return []string{short, parts[len(parts)-2] + "." + short}
}

// upperSnake makes EVENT_NAME of EventName, as buf's lint wants prefixes.
func upperSnake(s string) string {
	var b strings.Builder
	for i, c := range s {
		if i > 0 && 'A' <= c && c <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(c)
	}
	return strings.ToUpper(b.String())
}

// enumsOf answers every enum of our own that can stand in a message, at any
// depth.
func enumsOf(m protoreflect.MessageDescriptor) []protoreflect.EnumDescriptor {
	seen := make(map[protoreflect.FullName]bool)
	var out []protoreflect.EnumDescriptor
	var visit func(protoreflect.MessageDescriptor)
	visit = func(m protoreflect.MessageDescriptor) {
		if seen[m.FullName()] || !strings.HasPrefix(string(m.FullName()), "hookstream.") {
			return
		}
		seen[m.FullName()] = true
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			if f.Message() != nil {
				visit(f.Message())
			}
			if e := f.Enum(); e != nil && !seen[e.FullName()] {
				seen[e.FullName()] = true
				out = append(out, e)
			}
		}
	}
	visit(m)
	return out
}
