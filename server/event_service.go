package server

import (
	"errors"
	"log/slog"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/history"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/subscription"
)

// EventServiceOptions are what an EventService is made of. Hub is required.
type EventServiceOptions struct {
	// Hub is what is read.
	Hub *hub.Hub
	// Subscriptions hand out the deliveries of durable subscriptions. nil: there
	// are none, and a stream of one is refused.
	Subscriptions *subscription.Manager
	// History answers which events are as somebody asks. nil: nobody can ask.
	History *history.Store
	// Recheck checks the proof of an event as it is kept. nil: nothing can be
	// checked.
	Recheck func(*hookstreamv1.Event) *hookstreamv1.VerifyEventResponse
	// Version of the gateway, as Opened shows it.
	Version string
	// Logger receives a line when a stream opens. nil: nothing.
	Logger *slog.Logger
}

// EventService is hookstream.v1.EventService: one file a method. Its errors are
// those of the domain until an interceptor makes statuses of them, and the
// server must use our codec: New does both.
type EventService struct {
	hookstreamv1.UnimplementedEventServiceServer

	hub           *hub.Hub
	subscriptions *subscription.Manager
	history       *history.Store
	recheck       func(*hookstreamv1.Event) *hookstreamv1.VerifyEventResponse
	version       string
	logger        *slog.Logger
	searchTime    time.Duration
	searches      chan struct{} // holds a token for each search of the content that runs
}

// NewEventService prepares the service. The hub's Run is the caller's.
func NewEventService(o EventServiceOptions) (*EventService, error) {
	if o.Hub == nil {
		return nil, errors.New("server: a hub is required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Recheck == nil {
		o.Recheck = func(*hookstreamv1.Event) *hookstreamv1.VerifyEventResponse {
			return &hookstreamv1.VerifyEventResponse{Outcome: hookstreamv1.VerifyEventResponse_OUTCOME_UNKNOWN, Reason: "source_gone"}
		}
	}
	return &EventService{
		hub: o.Hub, subscriptions: o.Subscriptions, history: o.History, recheck: o.Recheck, version: o.Version, logger: o.Logger,
		searchTime: searchTime, searches: make(chan struct{}, maxSearches),
	}, nil
}

// viewOf answers the view that is asked for.
func viewOf(v hookstreamv1.EventView) hookstreamv1.EventView {
	if v == hookstreamv1.EventView_EVENT_VIEW_UNSPECIFIED {
		return hookstreamv1.EventView_EVENT_VIEW_TYPED
	}
	return v
}
