package hub

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/env"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// enums are the names that filters may use for values of enums. CEL sees an enum
// as a number.
type enums struct {
	values map[string]protoreflect.EnumNumber
	// of are the enums that a name stands for a value of: two where two providers
	// have a value of that name and number.
	of map[string][]protoreflect.FullName
	// ambiguous names stand for different numbers: with the names to say instead.
	ambiguous map[string][]string
	// catalog has the short names, for hints.
	catalog *env.Catalog
}

// knownEnums lets a filter say `Topic.SIGNATURE_PROOF`, or, where two providers
// have an enum of that name, `ignisign.Topic.SIGNATURE_PROOF`, or the full name of
// the enum before either. `TOPIC_SIGNATURE_PROOF`, as the schema and JSON have it,
// will do as well in each of them.
func knownEnums() *enums {
	es := &enums{
		values: make(map[string]protoreflect.EnumNumber), of: make(map[string][]protoreflect.FullName),
		ambiguous: make(map[string][]string), catalog: env.NewCatalog(),
	}
	longer := make(map[string][]string)
	var short []string
	for _, enum := range enumsOf(eventFields.ByName("name").ContainingMessage()) {
		for i := range enum.Values().Len() {
			v := enum.Values().Get(i)
			names := enumPrefixes(enum)
			for _, value := range slices.Compact([]string{shortValue(v), string(v.Name())}) {
				for _, prefix := range names {
					es.add(prefix+value, v)
				}
				longer[names[0]+value] = append(longer[names[0]+value], names[1]+value)
			}
			for _, prefix := range names[:2] {
				short = append(short, prefix+shortValue(v))
			}
		}
	}
	for name := range es.ambiguous {
		delete(es.values, name)
		es.ambiguous[name] = longer[name]
	}
	for _, name := range short {
		if _, ok := es.values[name]; ok {
			es.catalog.Add(&env.CatalogSymbol{Name: name})
		}
	}
	return es
}

func (es *enums) add(name string, v protoreflect.EnumValueDescriptor) {
	enum := v.Parent().FullName()
	if slices.Contains(es.of[name], enum) {
		return // a value without a prefix is called the same, short or not
	}
	if n, ok := es.values[name]; ok && n != v.Number() {
		es.ambiguous[name] = nil
	}
	es.values[name] = v.Number()
	es.of[name] = append(es.of[name], enum)
}

// enumName finds what may be the short name of a value in a filter.
var enumName = regexp.MustCompile(`(?:^|[^\w.])([A-Z]\w*\.[A-Z][A-Z0-9_]*)\b`)

// hint says what to write for the names in a filter that two providers have.
func (es *enums) hint(text string) string {
	var out strings.Builder
	said := make(map[string]bool)
	for _, found := range enumName.FindAllStringSubmatch(text, -1) {
		if instead := es.ambiguous[found[1]]; len(instead) > 0 && !said[found[1]] {
			said[found[1]] = true
			fmt.Fprintf(&out, "; for %s say %s", found[1], strings.Join(instead, " or "))
		}
	}
	return out.String()
}

// undeclared finds the name in what CEL says of one that it does not know.
var undeclared = regexp.MustCompile(`^undeclared reference to '([^']*)'`)

// maxIssues is how many mistakes of one filter are told.
const maxIssues = 10

// issueViolations shows what the compiler says, with line and column, and hints for
// the first name that it does not know: to look for what is like it takes a while.
func (es *enums) issueViolations(issues *cel.Issues, text string) []Violation {
	var out []Violation
	hinted := false
	for _, e := range issues.Errors()[:min(len(issues.Errors()), maxIssues)] {
		message := e.Message
		if found := undeclared.FindStringSubmatch(message); found != nil && !hinted {
			hinted = true
			message += es.like(wholeName(found[1], text)) + es.hint(text)
		}
		out = append(out, filterViolation("line %d, column %d: %s", max(e.Location.Line(), 1), e.Location.Column()+1, message)...)
	}
	return out
}

// chains are the names in an expression, with what is selected of them.
var chains = regexp.MustCompile(`[A-Za-z_]\w*(?:\.\w+)*`)

// wholeName answers a name of which CEL told only the beginning.
func wholeName(begin, text string) string {
	for _, name := range chains.FindAllString(text, -1) {
		if name == begin || strings.HasPrefix(name, begin+".") {
			return name
		}
	}
	return begin
}

// like answers a hint at the names that are like one that nobody knows.
func (es *enums) like(name string) string {
	var names []string
	for _, symbol := range es.catalog.Find(name) {
		names = append(names, "'"+symbol.Name+"'")
	}
	if len(names) == 0 {
		return ""
	}
	return " (did you mean " + strings.Join(names, " or ") + "?)"
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

// enumPrefixes answers what may stand before the value of an enum: `Topic.`,
// `ignisign.Topic.` and `hookstream.ignisign.v1.Topic.`. Of an enum of no provider's
// the first two are the same. One within a message is called by its own name.
func enumPrefixes(enum protoreflect.EnumDescriptor) []string {
	short := string(enum.Name()) + "."
	middle := short
	parts := strings.Split(string(enum.ParentFile().Package()), ".")
	if len(parts) > 2 && parts[len(parts)-2] != "hookstream" {
		middle = parts[len(parts)-2] + "." + short
	}
	return []string{short, middle, string(enum.FullName()) + "."}
}

// shortValue is the name of a value without that of its enum.
func shortValue(v protoreflect.EnumValueDescriptor) string {
	return strings.TrimPrefix(string(v.Name()), upperSnake(string(v.Parent().Name()))+"_")
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
