package hub

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// enums are the short names that filters may use for values of enums.
type enums struct {
	// of are the enums that a name stands for a value of: two where two providers
	// have a value of that name and number.
	of map[string][]protoreflect.FullName
	// ambiguous names stand for different numbers: with the names to say instead.
	ambiguous map[string][]string
	constants []cel.EnvOption
}

// knownEnums lets a filter say `Topic.SIGNATURE_PROOF`, or, where two providers
// have an enum of that name, `ignisign.Topic.SIGNATURE_PROOF`. The full names are
// there without our help. CEL sees an enum as a number.
func knownEnums() *enums {
	es := &enums{of: make(map[string][]protoreflect.FullName), ambiguous: make(map[string][]string)}
	values := make(map[string]protoreflect.EnumNumber)
	longer := make(map[string][]string)
	for _, enum := range enumsOf(eventFields.ByName("name").ContainingMessage()) {
		for i := range enum.Values().Len() {
			v := enum.Values().Get(i)
			names := shortNames(enum, v)
			for _, name := range names {
				if n, ok := values[name]; ok && n != v.Number() {
					es.ambiguous[name] = nil
				}
				values[name] = v.Number()
				es.of[name] = append(es.of[name], enum.FullName())
			}
			longer[names[0]] = append(longer[names[0]], names[len(names)-1])
			es.of[string(enum.FullName())+"."+string(v.Name())] = []protoreflect.FullName{enum.FullName()}
		}
	}
	for name, n := range values {
		if _, ok := es.ambiguous[name]; ok {
			es.ambiguous[name] = longer[name]
			continue
		}
		es.constants = append(es.constants, cel.Constant(name, types.IntType, types.Int(n)))
	}
	return es
}

// enumName finds what may be the short name of a value in a filter.
var enumName = regexp.MustCompile(`(?:^|[^\w.])([A-Z]\w*\.[A-Z][A-Z0-9_]*)\b`)

// hint says what to write for the names in a filter that two providers have.
func (es *enums) hint(text string) string {
	var out strings.Builder
	for _, found := range enumName.FindAllStringSubmatch(text, -1) {
		if instead := es.ambiguous[found[1]]; len(instead) > 0 {
			fmt.Fprintf(&out, "; for %s say %s", found[1], strings.Join(instead, " or "))
		}
	}
	return out.String()
}

// mixed answers what is wrong with comparisons of a field with a value of another
// enum: numbers compare, but mean something else.
func (es *enums) mixed(checked *ast.AST) (bad []Violation) {
	ast.PreOrderVisit(checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || !comparisons[e.AsCall().FunctionName()] || len(e.AsCall().Args()) != 2 {
			return
		}
		var sides [2][]operand
		for i, arg := range e.AsCall().Args() {
			sides[i] = es.operands(checked, arg)
		}
		for _, a := range sides[0] {
			for _, b := range sides[1] {
				if !slices.ContainsFunc(a.enums, func(name protoreflect.FullName) bool { return slices.Contains(b.enums, name) }) {
					bad = append(bad, filterViolation("%s is no value of %s", b.what, a.what)...)
				}
			}
		}
	}))
	return bad
}

var comparisons = map[string]bool{"_==_": true, "_!=_": true, "_<_": true, "_<=_": true, "_>_": true, "_>=_": true, "@in": true}

// An operand of a comparison is a value of an enum, of one of several.
type operand struct {
	what  string
	enums []protoreflect.FullName
}

// operands answers those of an expression that are values of enums: of a list its
// elements.
func (es *enums) operands(checked *ast.AST, e ast.Expr) []operand {
	if ref := checked.ReferenceMap()[e.ID()]; ref != nil && ref.Name != "" {
		if enums := es.of[ref.Name]; enums != nil {
			return []operand{{ref.Name, enums}}
		}
	}
	switch e.Kind() {
	case ast.ListKind:
		var out []operand
		for _, element := range e.AsList().Elements() {
			out = append(out, es.operands(checked, element)...)
		}
		return out
	case ast.SelectKind:
		of := checked.GetType(e.AsSelect().Operand().ID()).TypeName()
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(of))
		if err != nil {
			return nil
		}
		m, _ := found.(protoreflect.MessageDescriptor)
		if m == nil {
			return nil
		}
		if f := m.Fields().ByName(protoreflect.Name(e.AsSelect().FieldName())); f != nil && f.Enum() != nil {
			return []operand{{string(f.Name()), []protoreflect.FullName{f.Enum().FullName()}}}
		}
	}
	return nil
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
