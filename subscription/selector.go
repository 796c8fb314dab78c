package subscription

import (
	"context"
	"errors"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
)

// matcher says whether a selector selects an event of the same hub. It may be
// called from many goroutines at once. When ctx ends it may say no to anything.
type matcher func(ctx context.Context, e *hub.Event) bool

// compiler makes matchers of selectors; nil selects everything. The error is an
// *InvalidError whose fields begin with `selector.`.
type compiler func(*hookstreamv1.EventSelector) (matcher, error)

// compileOn answers how selectors become matchers for the events of a hub.
func compileOn(h *hub.Hub) compiler {
	return func(in *hookstreamv1.EventSelector) (matcher, error) {
		s, err := h.CompileSelector(in)
		var bad *hub.SelectorError
		if errors.As(err, &bad) {
			invalid := new(InvalidError)
			for _, v := range bad.Violations {
				invalid.Violations = append(invalid.Violations, Violation{Field: "selector." + v.Field, Description: v.Description})
			}
			return nil, invalid
		}
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, e *hub.Event) bool { return e.Matches(ctx, s) }, nil
	}
}
