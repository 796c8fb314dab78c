// Package hubfeed gives subscriptions their events from a hub.
package hubfeed

import (
	"context"
	"errors"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/server/hub"
	"github.com/hookstream/hookstream/subscription"
)

// New answers the events of a hub that runs.
func New(h *hub.Hub) subscription.Feed { return feed{h} }

// Event answers what the hub knows of an event that its feed answered.
func Event(e subscription.Event) *hub.Event { return e.(*hub.Event) }

type feed struct{ hub *hub.Hub }

func (f feed) At(ctx context.Context, seq uint64) (subscription.Event, error) {
	e, err := f.hub.At(ctx, seq)
	if err != nil {
		return nil, err
	}
	return e, nil
}

func (f feed) Of(rec event.Record) subscription.Event { return f.hub.Of(rec) }

func (f feed) Head() uint64 { return f.hub.Head() }

func (f feed) Compile(in *hookstreamv1.EventSelector) (subscription.Matcher, error) {
	s, err := f.hub.CompileSelector(in)
	var bad *hub.SelectorError
	if errors.As(err, &bad) {
		invalid := new(subscription.InvalidError)
		for _, v := range bad.Violations {
			invalid.Violations = append(invalid.Violations, subscription.Violation{Field: "selector." + v.Field, Description: v.Description})
		}
		return nil, invalid
	}
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, e subscription.Event) bool { return Event(e).Matches(ctx, s) }, nil
}
