package hub

import (
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/overloads"
)

// maxNesting bounds how deep lists, maps, messages, loops and types of types lie in
// one another. The type of each is made of those within, and CEL writes them out at
// every step of its check: an expression of 600 bytes took minutes. A `map` is two
// levels, a loop and the list that it makes.
const maxNesting = 12

// nesting is how deep what has a type of its own lies in one another in an
// expression.
func nesting(e ast.Expr) int {
	deepest, own := 0, 0
	within := func(parts ...ast.Expr) {
		for _, part := range parts {
			deepest = max(deepest, nesting(part))
		}
	}
	switch e.Kind() {
	case ast.SelectKind:
		within(e.AsSelect().Operand())
	case ast.CallKind:
		call := e.AsCall()
		if call.FunctionName() == overloads.TypeConvertType {
			own = 1
		}
		if call.IsMemberFunction() {
			within(call.Target())
		}
		within(call.Args()...)
	case ast.ListKind:
		own = 1
		within(e.AsList().Elements()...)
	case ast.MapKind:
		own = 1
		for _, entry := range e.AsMap().Entries() {
			within(entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
	case ast.StructKind:
		own = 1
		for _, field := range e.AsStruct().Fields() {
			within(field.AsStructField().Value())
		}
	case ast.ComprehensionKind:
		own = 1
		loop := e.AsComprehension()
		within(loop.IterRange(), loop.AccuInit(), loop.LoopCondition(), loop.LoopStep(), loop.Result())
	}
	return deepest + own
}
