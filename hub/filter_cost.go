package hub

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

// What one evaluation may take is bounded in two ways, because CEL adds a call to
// its bill only after the call: no single call is long, and the bill is kept for
// every filter that has more than plain comparisons. A body of 1 MiB is a normal
// event, and its sender chooses what is in it.
const (
	// maxPattern bounds the instructions of a compiled pattern: `{30}` repeats them.
	maxPattern = 1000
	// maxMatching bounds the bytes that are looked through times the instructions
	// of the pattern, which is what a match takes at worst: some 20 ms.
	maxMatching = 1 << 20
)

// sizes are how many instructions the patterns of one filter have.
type sizes map[string]int

// compilePattern answers a pattern that is not too large, and keeps its size.
func (z sizes) compilePattern(text string) (*regexp.Regexp, error) {
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	z[text] = len(program.Inst)
	if z[text] > maxPattern {
		return nil, fmt.Errorf("a pattern of %d steps, at most %d are allowed: repeat less", z[text], maxPattern)
	}
	return regexp.Compile(text)
}

var errLongMatch = errors.New("the text is too long for the pattern")

// boundMatches puts a match in the place of CEL's that refuses what would take
// long.
func (z sizes) boundMatches(overload string) *interpreter.RegexOptimization {
	return &interpreter.RegexOptimization{
		Function: overloads.Matches, OverloadID: overload, RegexIndex: 1,
		Factory: func(call interpreter.InterpretableCall, text string) (interpreter.InterpretableCall, error) {
			re, err := z.compilePattern(text)
			if err != nil {
				return nil, err
			}
			size := uint64(z[text])
			match := func(args ...ref.Val) ref.Val {
				if args[0].Type() != types.StringType {
					return types.MaybeNoSuchOverloadErr(args[0])
				}
				if weight(args[0], maxWeight)*size > maxMatching {
					return types.WrapErr(errLongMatch)
				}
				return types.Bool(anyName(args[0], re.MatchString))
			}
			return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), match), nil
		},
	}
}

// constantPatterns reports whether all patterns are constants: another could be
// the sender's.
func constantPatterns(e ast.Expr) bool {
	out := true
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != overloads.Matches {
			return
		}
		args := e.AsCall().Args()
		out = out && args[len(args)-1].Kind() == ast.LiteralKind // of the member and of the function alike
	}))
	return out
}

// constantMessages reports whether all messages that an expression makes are made
// of constants. Into others a sender's content would be copied, or decoded, for
// each of them.
func constantMessages(checked *ast.AST) bool {
	out := true
	ast.PreOrderVisit(checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.StructKind {
			return
		}
		ast.PreOrderVisit(e, ast.NewExprVisitor(func(part ast.Expr) {
			out = out && (part.Kind() != ast.IdentKind || isConstant(checked, part))
		}))
	}))
	return out
}

// isConstant reports whether a name is that of a value of an enum.
func isConstant(checked *ast.AST, e ast.Expr) bool {
	ref, ok := checked.ReferenceMap()[e.ID()]
	return ok && ref.Value != nil
}

// plainCalls cost about nothing, however large the event.
var plainCalls = map[string]bool{
	operators.LogicalAnd: true, operators.LogicalOr: true, operators.LogicalNot: true, operators.Conditional: true,
	operators.Negate: true, operators.Subtract: true, operators.Multiply: true, operators.Divide: true, operators.Modulo: true,
	operators.Less: true, operators.LessEquals: true, operators.Greater: true, operators.GreaterEquals: true,
	operators.Index: true, operators.NotStrictlyFalse: true,
	overloads.StartsWith: true, overloads.EndsWith: true,
}

// plainSearches is how many texts may be searched without a bill: each is looked
// through whole.
const plainSearches = 8

// plain reports whether an expression is made of comparisons only, so that no bill
// need be kept: that would triple what it takes.
func plain(checked *ast.AST) bool {
	out, searches := true, 0
	ast.PreOrderVisit(checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.ComprehensionKind, ast.MapKind, ast.StructKind:
			out = false
		case ast.CallKind:
			call := e.AsCall()
			switch name := call.FunctionName(); name {
			case operators.Equals, operators.NotEquals:
				out = out && (isScalar(checked, call.Args()[0]) || isScalar(checked, call.Args()[1]))
			case operators.In:
				out = out && call.Args()[1].Kind() == ast.ListKind && isScalar(checked, call.Args()[0])
			case overloads.Contains:
				searches++
			default:
				out = out && plainCalls[name]
			}
		}
	}))
	return out && searches <= plainSearches
}

// isScalar reports whether an expression's value holds no others.
func isScalar(checked *ast.AST, e ast.Expr) bool {
	switch checked.GetType(e.ID()).Kind() {
	case types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.StringKind, types.BytesKind,
		types.TimestampKind, types.DurationKind, types.NullTypeKind:
		return true
	}
	return false
}

// bill says what calls cost whose price depends on what the sender sent.
type bill struct{ patterns sizes }

func (b bill) CallCost(function, _ string, args []ref.Val, _ ref.Val) *uint64 {
	cost := uint64(1)
	switch function {
	case operators.Equals, operators.NotEquals:
		if isText(args[0]) && isText(args[1]) {
			cost += min(weight(args[0], maxWeight), weight(args[1], maxWeight)) / 100
		} else {
			cost += compared(args[0], args[1]) / 2
		}
	case operators.In:
		cost += weight(args[1], maxWeight) / 10
	case overloads.Size:
		if isText(args[0]) { // that of others is known
			cost += weight(args[0], maxWeight) / 50
		}
	case operators.Add:
		if both := weight(args[0], maxWeight) + weight(args[1], maxWeight); isText(args[0]) {
			cost += both / 10
		} else {
			cost += both / 2 // who goes through it asks each list that it was made of
		}
	case overloads.StartsWith, overloads.EndsWith:
		cost += weight(args[0], maxWeight) / 1000
	case overloads.Contains:
		cost += weight(args[0], maxWeight) / 100
	case overloads.TypeConvertInt, overloads.TypeConvertUint, overloads.TypeConvertDouble, overloads.TypeConvertBool,
		overloads.TypeConvertString, overloads.TypeConvertBytes, overloads.TypeConvertTimestamp, overloads.TypeConvertDuration:
		cost += weight(args[0], maxWeight) / 10 // an error quotes all of it
	case overloads.Matches:
		text, _ := args[1].(types.String)
		cost += weight(args[0], maxWeight) * uint64(b.patterns[string(text)]) / 32
	default:
		if len(args) == 2 && isTimeZone(args) {
			return new(uint64(costOfZone))
		}
		return nil // what CEL takes
	}
	return &cost
}

// maxCompared bounds what is compared in one call, by its weight: some 10 ms.
const maxCompared = 32 << 10

var errLongComparison = errors.New("what is compared is too large")

// boundComparison puts comparisons in the place of CEL's that refuse what would take
// long: what a sender put into a body may be put into lists by the thousand.
func boundComparison(i interpreter.Interpretable) (interpreter.Interpretable, error) {
	call, ok := i.(interpreter.InterpretableCall)
	if !ok || len(call.Args()) != 2 {
		return i, nil
	}
	var compare func(a, b ref.Val) ref.Val
	switch call.Function() {
	case operators.Equals:
		compare = types.Equal
	case operators.NotEquals:
		compare = func(a, b ref.Val) ref.Val { return types.Bool(types.Equal(a, b) != types.True) }
	case operators.In:
		compare = in
	default:
		return i, nil
	}
	bounded := func(args ...ref.Val) ref.Val {
		if !mayCompare(args[0], args[1], call.Function()) {
			return types.WrapErr(errLongComparison)
		}
		return compare(args[0], args[1])
	}
	return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), bounded), nil
}

func in(value, all ref.Val) ref.Val {
	if container, ok := all.(traits.Container); ok {
		return container.Contains(value)
	}
	return types.ValOrErr(all, "no such overload")
}

func mayCompare(a, b ref.Val, function string) bool {
	switch {
	case !isAggregate(b):
		return true // told by its kind, or as fast as memory is
	case function != operators.In:
		return compared(a, b) <= maxCompared
	case isAggregate(a):
		return weight(b, maxCompared) <= maxCompared
	}
	return true // as many steps as there are elements
}

// isAggregate reports whether a value may hold others.
func isAggregate(v ref.Val) bool {
	switch v.Type().TypeName() {
	case "bool", "int", "uint", "double", "string", "bytes", "null_type", "type", "google.protobuf.Timestamp", "google.protobuf.Duration":
		return false
	}
	return true
}

func isText(v ref.Val) bool { return v.Type() == types.StringType || v.Type() == types.BytesType }

// costOfZone is what it takes to find a time zone, which is read from a file.
const costOfZone = 1000

// isTimeZone reports whether a part of a time is asked for in a time zone.
func isTimeZone(args []ref.Val) bool {
	_, isTime := args[0].(types.Timestamp)
	_, isText := args[1].(types.String)
	return isTime && isText
}
