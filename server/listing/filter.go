package listing

import (
	"errors"
	"strings"

	"go.einride.tech/aip/filtering"
	expr "google.golang.org/genproto/googleapis/api/expr/v1alpha1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxDepth is how deep the parentheses of a filter may go: the parser calls
// itself, and reads what might be a call twice.
const maxDepth = 16

// Filter says whether an item is wanted.
type Filter func(proto.Message) bool

type test func(protoreflect.Message) bool

// Filter compiles a filter. An empty one wants everything. The error is an
// *Error. How long a text may be is for the caller to say.
func (s Schema) Filter(text string) (Filter, error) {
	if strings.TrimSpace(text) == "" {
		return func(proto.Message) bool { return true }, nil
	}
	if at := tooDeep(text); at >= 0 {
		return nil, errorAt(text, at, "parentheses within more than %d others", maxDepth)
	}
	c := compiler{schema: s, text: text, lead: strings.Index(text, strings.TrimSpace(text))}
	var parser filtering.Parser
	parser.Init(text)
	parsed, err := parser.Parse()
	if err != nil {
		return nil, c.parseError(err)
	}
	c.places = parsed.GetSourceInfo().GetPositions()
	t, err := c.test(parsed.GetExpr())
	if err != nil {
		return nil, err
	}
	return func(m proto.Message) bool { return t(m.ProtoReflect()) }, nil
}

// tooDeep answers where the parentheses go too deep, or -1. Those within quotes
// count: a text of that many is not worth a second reader of quotes.
func tooDeep(text string) int {
	depth := 0
	for i, r := range text {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth > maxDepth {
			return i
		}
	}
	return -1
}

// compiler makes tests of a parsed filter.
type compiler struct {
	schema Schema
	text   string
	lead   int // what the parser cut off before the first character
	places map[int64]int32
}

func (c compiler) errorAt(e *expr.Expr, format string, args ...any) error {
	return errorAt(c.text, c.lead+int(c.places[e.GetId()]), format, args...)
}

// parseError answers the innermost of what the parser wraps: the others say
// which rule of the grammar it was in.
func (c compiler) parseError(err error) error {
	var inner interface {
		error
		Position() filtering.Position
		Message() string
	}
	message, offset := err.Error(), 0
	for errors.As(err, &inner) {
		message, offset = inner.Message(), int(inner.Position().Offset)
		err = errors.Unwrap(inner)
	}
	if err != nil {
		message = err.Error()
	}
	if message == "EOF" {
		message, offset = "it ends too early", len(c.text)
	}
	return errorAt(c.text, c.lead+offset, "%s; a text that is not one word is quoted", message)
}

// test compiles what is true or false.
func (c compiler) test(e *expr.Expr) (test, error) {
	call := e.GetCallExpr()
	if call == nil {
		return nil, c.errorAt(e, "a text alone is no condition: say which field, as in `name = \"…\"`")
	}
	args := call.GetArgs()
	switch name := call.GetFunction(); {
	case name == filtering.FunctionNot && len(args) == 1:
		inner, err := c.test(args[0])
		return func(m protoreflect.Message) bool { return !inner(m) }, err
	case name == filtering.FunctionOr && len(args) == 2:
		return c.both(args, func(a, b bool) bool { return a || b })
	case (name == filtering.FunctionAnd || name == filtering.FunctionFuzzyAnd) && len(args) == 2:
		return c.both(args, func(a, b bool) bool { return a && b })
	case filtering.TokenType(name).IsComparator() && len(args) == 2:
		return c.restriction(e, filtering.TokenType(name), args[0], args[1])
	default:
		return nil, c.errorAt(e, "there are no functions")
	}
}

func (c compiler) both(args []*expr.Expr, join func(a, b bool) bool) (test, error) {
	left, err := c.test(args[0])
	if err != nil {
		return nil, err
	}
	right, err := c.test(args[1])
	return func(m protoreflect.Message) bool { return join(left(m), right(m)) }, err
}

// restriction compiles a field, a comparator and a value.
func (c compiler) restriction(e *expr.Expr, op filtering.TokenType, left, right *expr.Expr) (test, error) {
	names := path(left)
	if names == nil {
		return nil, c.errorAt(left, "the left side is not a field")
	}
	f, err := c.schema.field(names)
	if err != nil {
		return nil, c.errorAt(left, "%v", err)
	}
	value, ok := literal(right)
	if !ok {
		return nil, c.errorAt(right, "the right side is not a value")
	}
	if op == filtering.TokenTypeHas && value == "*" {
		return f.has, nil
	}
	t, err := f.compare(op, value)
	if err != nil {
		return nil, c.errorAt(e, "%s: %v", strings.Join(names, "."), err)
	}
	return t, nil
}

// path answers the names of a field, or nil when e is something else.
func path(e *expr.Expr) []string {
	switch e.GetExprKind().(type) {
	case *expr.Expr_IdentExpr:
		return []string{e.GetIdentExpr().GetName()}
	case *expr.Expr_SelectExpr:
		operand := path(e.GetSelectExpr().GetOperand())
		if operand == nil {
			return nil
		}
		return append(operand, e.GetSelectExpr().GetField())
	default:
		return nil
	}
}
