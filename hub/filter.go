package hub

import (
	"context"
	"fmt"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

const (
	// maxFilterBytes bounds the text of a filter.
	maxFilterBytes = 4096
	// maxFilterCost bounds what one evaluation may cost, in CEL's own unit, by
	// estimate and, but for plain comparisons, while it runs. About a millisecond.
	maxFilterCost = 100_000
	// maxFilters bounds how many compiled filters are remembered.
	maxFilters = 1024
)

// filter is a compiled CEL expression over `event`.
type filter struct {
	program cel.Program
	// plain says that an evaluation cannot take long; others are bounded while
	// they run.
	plain bool
	// payload says that the expression can see the payload, so that the body must
	// be decoded.
	payload bool
}

// filters compiles each distinct text once, for all streams.
type filters struct {
	env   *cel.Env
	enums *enums

	// mu guards known, and is not held while a text is compiled.
	mu    sync.Mutex
	known map[string]*filter
	// compiling is held by who compiles: whatever many callers send, one processor is
	// busy with it.
	compiling sync.Mutex
}

func newFilters() (*filters, error) {
	env, err := filterEnv()
	if err != nil {
		return nil, err
	}
	return &filters{env: env.env, enums: env.enums, known: make(map[string]*filter)}, nil
}

type environment struct {
	env   *cel.Env
	enums *enums
}

// filterEnv is the same for all hubs and takes a while to make.
var filterEnv = sync.OnceValues(func() (*environment, error) {
	enums := knownEnums()
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, fmt.Errorf("hub: filters: %w", err)
	}
	opts := []cel.EnvOption{
		cel.CustomTypeAdapter(celTypes{registry, enums}), cel.CustomTypeProvider(celTypes{registry, enums}),
		cel.Types(new(hookstreamv1.Event)),
		cel.Container("hookstream.v1"),
		cel.Variable("event", cel.ObjectType("hookstream.v1.Event")),
	}
	env, err := cel.NewEnv(opts...)
	if err != nil {
		return nil, fmt.Errorf("hub: filters: %w", err)
	}
	return &environment{env, enums}, nil
})

// get answers the compiled filter, or what is wrong with its text.
func (fs *filters) get(text string) (*filter, []Violation) {
	if f := fs.compiled(text); f != nil {
		return f, nil
	}
	if len(text) > maxFilterBytes {
		return nil, filterViolation("is %d bytes long, at most %d are allowed", len(text), maxFilterBytes)
	}
	fs.compiling.Lock()
	defer fs.compiling.Unlock()
	if f := fs.compiled(text); f != nil {
		return f, nil // by somebody else meanwhile
	}
	f, bad := fs.compile(text)
	if bad == nil {
		fs.keep(text, f)
	}
	return f, bad
}

func (fs *filters) compiled(text string) *filter {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.known[text]
}

func (fs *filters) keep(text string, f *filter) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if len(fs.known) >= maxFilters {
		clear(fs.known)
	}
	fs.known[text] = f
}

func (fs *filters) compile(text string) (*filter, []Violation) {
	parsed, issues := fs.env.Parse(text)
	if issues.Err() != nil {
		return nil, fs.enums.issueViolations(issues, text)
	}
	if nesting(parsed.NativeRep().Expr()) > maxNesting {
		return nil, filterViolation("nests lists, maps, messages and loops more than %d deep", maxNesting)
	}
	checked, issues := fs.env.Check(parsed)
	if issues.Err() != nil {
		return nil, fs.enums.issueViolations(issues, text)
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		return nil, filterViolation("yields %s, want bool", checked.OutputType())
	}
	if bad := fs.enums.mixed(checked.NativeRep()); bad != nil {
		return nil, bad
	}
	seen := inspect(checked.NativeRep().Expr())
	if seen.raw {
		return nil, filterViolation("event.raw is not there to be filtered by")
	}
	if !constantPatterns(checked.NativeRep().Expr()) {
		return nil, filterViolation("a pattern must be a constant text")
	}
	if !constantMessages(checked.NativeRep()) {
		return nil, filterViolation("a message may be made of constants only: compare its fields")
	}
	if bad := fs.affordable(checked); bad != nil {
		return nil, bad
	}
	f := &filter{plain: plain(checked.NativeRep()), payload: seen.payload}
	var err error
	if f.program, err = fs.env.Program(checked, programOptions(checked.NativeRep(), f.plain)...); err != nil {
		return nil, filterViolation("%v", err)
	}
	return f, nil
}

func programOptions(checked *ast.AST, plain bool) []cel.ProgramOption {
	patterns := make(sizes)
	opts := []cel.ProgramOption{
		cel.EvalOptions(cel.OptOptimize),
		cel.CustomDecorator(boundComparison),
		cel.CustomDecoratorV2(comparedNames(checked).decorate),
		cel.OptimizeRegex(patterns.boundMatches(overloads.Matches), patterns.boundMatches(overloads.MatchesString)),
	}
	if !plain {
		opts = append(opts, cel.CostTracking(bill{patterns}), cel.CostLimit(maxFilterCost), cel.InterruptCheckFrequency(100))
	}
	return opts
}

func filterViolation(format string, args ...any) []Violation {
	return []Violation{{fieldFilter, fmt.Sprintf(format, args...)}}
}

func (fs *filters) affordable(checked *cel.Ast) []Violation {
	estimate, err := fs.env.EstimateCost(checked, supposed{})
	if err != nil {
		return filterViolation("%v", err)
	}
	if estimate.Max > maxFilterCost {
		return filterViolation("could cost %d, at most %d is allowed: nest fewer loops", estimate.Max, maxFilterCost)
	}
	return nil
}

// supposed is what the fields of events are taken to hold, at most, when the cost
// of a filter is estimated. A larger event may cost more, which the bill of an
// evaluation bounds.
type supposed struct{}

func (supposed) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	switch n.Type().Kind() {
	case types.StringKind, types.BytesKind:
		return &cost.SizeEstimate{Max: 256}
	case types.ListKind, types.MapKind, types.DynKind, types.StructKind:
		return &cost.SizeEstimate{Max: 50}
	}
	return nil
}

func (supposed) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// inspected is what an expression touches.
type inspected struct{ raw, payload bool }

// plainFields are the fields that are there without decoding the body.
var plainFields = map[string]bool{
	"name": true, "source": true, "provider": true, "environment": true, "topic": true, "action": true,
	"type": true, "entity": true, "provider_event_id": true, "occur_time": true, "receive_time": true,
	"verification": true, "possible_duplicate_of": true, "trace_parent": true, "provider_attempt": true,
}

func inspect(e ast.Expr) inspected {
	var out inspected
	uses, selects := 0, 0
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			if e.AsIdent() == "event" {
				uses++
			}
		case ast.SelectKind:
			if of := e.AsSelect().Operand(); of.Kind() == ast.IdentKind && of.AsIdent() == "event" {
				selects++
				field := e.AsSelect().FieldName()
				out.raw = out.raw || field == "raw"
				out.payload = out.payload || !plainFields[field]
			}
		}
	}))
	out.payload = out.payload || uses > selects // the event as a whole
	return out
}

// variables of an evaluation.
type variables struct {
	event *hookstreamv1.Event
	names *event.Names
}

// namesVariable is not to be written in an expression.
const namesVariable = "@names"

func (v variables) ResolveName(name string) (any, bool) {
	if name == namesVariable {
		return v.names, true
	}
	return v.event, name == "event"
}
func (variables) Parent() cel.Activation { return nil }

// matches evaluates the filter. An evaluation that fails does not match.
func (f *filter) matches(ctx context.Context, m *hookstreamv1.Event, names *event.Names) (bool, error) {
	eval := f.program.Eval
	if !f.plain {
		eval = func(in any) (ref.Val, *cel.EvalDetails, error) { return f.program.ContextEval(ctx, in) }
	}
	out, _, err := eval(variables{m, names})
	if err != nil {
		return false, err
	}
	return out == types.True, nil
}
