package hub

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"github.com/hookstream/hookstream/event"
)

// What a filter compares with an event's type, topic or action holds when it holds
// for any name that a sender has for it, as patterns over types do: both select the
// same events when they are written alike.

// nameCalls are, by their ids, the calls that compare a name of an event.
type nameCalls map[int64]comparedName

// A comparedName is an argument of a comparison, and the field that it is.
type comparedName struct {
	arg   int
	field string
}

var nameFields = map[string]bool{"type": true, "topic": true, "action": true}

// nameTests are what compares a text with others, each for two texts.
var nameTests = map[string]func(name, with string) bool{
	operators.Equals:     isName,
	operators.NotEquals:  isName, // and turned round
	operators.In:         isName, // for each element
	overloads.StartsWith: strings.HasPrefix,
	overloads.EndsWith:   strings.HasSuffix,
	overloads.Contains:   strings.Contains,
	overloads.Matches:    nil, // the pattern is compiled: see boundMatches
}

// isName reports whether a name is meant by a text. Types without an action had a
// dot at their end once, as patterns have it.
func isName(name, text string) bool {
	bare, dotted := strings.CutSuffix(text, ".")
	return name == text || dotted && bare != "" && name == bare
}

// comparedNames finds the calls in an expression that compare `event.type`,
// `event.topic` or `event.action` with something else.
func comparedNames(checked *ast.AST) nameCalls {
	out := make(nameCalls)
	ast.PreOrderVisit(checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		call := e.AsCall()
		if _, ok := nameTests[call.FunctionName()]; !ok {
			return
		}
		args := call.Args()
		if call.IsMemberFunction() {
			args = append([]ast.Expr{call.Target()}, args...)
		}
		if field := nameField(args[0]); field != "" {
			out[e.ID()] = comparedName{0, field}
			return
		}
		either := call.FunctionName() == operators.Equals || call.FunctionName() == operators.NotEquals
		if field := nameField(args[len(args)-1]); either && field != "" {
			out[e.ID()] = comparedName{1, field}
		}
	}))
	return out
}

// nameField answers which of an event's names an expression is, empty for none.
func nameField(e ast.Expr) string {
	if e.Kind() != ast.SelectKind || e.AsSelect().IsTestOnly() || !nameFields[e.AsSelect().FieldName()] {
		return ""
	}
	if of := e.AsSelect().Operand(); of.Kind() != ast.IdentKind || of.AsIdent() != "event" {
		return ""
	}
	return e.AsSelect().FieldName()
}

// decorate puts comparisons of all names in the place of CEL's.
func (c nameCalls) decorate(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := i.(interpreter.InterpretableCall)
	if !ok {
		return i, nil
	}
	name, ok := c[call.ID()]
	if !ok || len(call.Args()) != 2 {
		return i, nil
	}
	args := slices.Clone(call.Args())
	args[name.arg] = allNames{args[name.arg], name.field}
	// Without its overload's name CEL puts nothing else in a call's place, but for a
	// pattern, which boundMatches does.
	overload, compare := "", nameTest(call.Function(), name.arg)
	switch call.Function() {
	case overloads.Matches:
		overload, compare = call.OverloadID(), nil
	case operators.In:
		compare = nameAmong(args[1])
	}
	return interpreter.NewCall(call.ID(), call.Function(), overload, args, compare), nil
}

// nameTest makes a comparison with a text of what allNames answers, which is the
// argument arg.
func nameTest(function string, arg int) functions.FunctionOp {
	test, found := nameTests[function], types.Bool(function != operators.NotEquals)
	return func(args ...ref.Val) ref.Val {
		text, ok := args[1-arg].(types.String)
		if ok && anyName(args[arg], func(name string) bool { return test(name, string(text)) }) {
			return found
		}
		return !found
	}
}

// nameAmong makes a look-up in a list, or among the keys of a map, of what allNames
// answers. One that is constant is a set.
func nameAmong(all interpreter.InterpretableV2) functions.FunctionOp {
	set := constantNames(all)
	return func(args ...ref.Val) ref.Val {
		if set != nil {
			return types.Bool(anyName(args[0], func(name string) bool { return set[name] }))
		}
		container, ok := args[1].(traits.Container)
		if !ok {
			return types.MaybeNoSuchOverloadErr(args[1])
		}
		has := func(name string) bool { return container.Contains(types.String(name)) == types.True }
		return types.Bool(anyName(args[0], func(name string) bool { return has(name) || name != "" && has(name+".") }))
	}
}

// constantNames answers the texts in a list that is constant, each also as a name
// that it means; nil for any other list.
func constantNames(e interpreter.InterpretableV2) map[string]bool {
	constant, ok := e.(interpreter.InterpretableConst)
	if !ok {
		return nil
	}
	list, ok := constant.Value().(traits.Lister)
	if !ok {
		return nil
	}
	set := make(map[string]bool)
	for it := list.Iterator(); it.HasNext() == types.True; {
		if text, ok := it.Next().(types.String); ok {
			set[string(text)] = true
			if bare := strings.TrimSuffix(string(text), "."); bare != "" {
				set[bare] = true
			}
		}
	}
	return set
}

// A named is a text that is a name, with the others that there are for the same.
type named struct {
	types.String
	all []string
}

// anyName reports whether a test holds for a text, or for another name there is for
// it.
func anyName(v ref.Val, test func(name string) bool) bool {
	switch v := v.(type) {
	case named:
		return slices.ContainsFunc(v.all, test)
	case types.String:
		return test(string(v))
	}
	return false
}

// allNames evaluates a name of an event, and knows its others.
type allNames struct {
	interpreter.InterpretableV2
	field string
}

// Exec answers a named when there are others.
func (n allNames) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	own := n.InterpretableV2.Exec(frame)
	if found, ok := frame.ResolveName(namesVariable); ok {
		if names, _ := found.(*event.Names); names != nil {
			return n.among(names, own)
		}
	}
	return own
}

// Eval is Exec for who has no frame.
func (n allNames) Eval(vars interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(vars, n.Exec)
}

func (n allNames) among(names *event.Names, own ref.Val) ref.Val {
	all := names.Types
	switch n.field {
	case "topic":
		all = names.Topics
	case "action":
		all = names.Actions
	}
	// A loop may have called something else `event`.
	if text, ok := own.(types.String); ok && len(all) > 0 && all[0] == string(text) {
		return named{text, all}
	}
	return own
}
