package main

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// subscriptionSettings are what an owner chooses. A nil pointer stands for a flag
// that was not given.
type subscriptionSettings struct {
	Description *string           `help:"What it is for, for people." placeholder:"TEXT"`
	Label       map[string]string `help:"A label of your own; may be repeated." placeholder:"KEY=VALUE"`
	Type        []string          `help:"Pattern of types: signature_request.*, *.done; may be repeated." placeholder:"PATTERN" group:"Which events"`
	Source      []string          `help:"Only of this source; may be repeated." placeholder:"ID" group:"Which events"`
	Environment []string          `help:"Only of this environment of the sender; may be repeated." placeholder:"NAME" group:"Which events"`
	typedFlags
	Filter               *string `help:"CEL expression over event: 'event.topic == \"signer\"'." placeholder:"CEL" group:"Which events"`
	AckDeadline          *span   `help:"How long a consumer has to acknowledge a delivery: 1s to 1h; 1m unless said otherwise." placeholder:"DURATION" group:"Delivery"`
	MaxAttempts          *int32  `help:"How often an event is handed out before it is parked: 1 to 1000; 10 unless said otherwise." placeholder:"N" group:"Delivery"`
	BackoffMin           *span   `help:"Wait after the first failed attempt, doubled with each further one; 1s unless said otherwise, 0s for none." placeholder:"DURATION" group:"Delivery"`
	BackoffMax           *span   `help:"Longest wait between two attempts; 10m unless said otherwise." placeholder:"DURATION" group:"Delivery"`
	MaxOutstandingEvents *int32  `help:"Most deliveries in force on all gateways together; 1000 unless said otherwise." placeholder:"N" group:"Delivery"`
	MaxOutstandingBytes  *size   `help:"Most bytes of events in force on each gateway; 64MiB unless said otherwise." placeholder:"SIZE" group:"Delivery"`
}

// apply copies what was given and names the fields.
func (s subscriptionSettings) apply(sub *hookstreamv1.Subscription) (paths []string, err error) {
	set(&paths, "description", &sub.Description, s.Description)
	set(&paths, "max_attempts", &sub.MaxAttempts, s.MaxAttempts)
	set(&paths, "max_outstanding_events", &sub.MaxOutstandingEvents, s.MaxOutstandingEvents)
	set(&paths, "max_outstanding_bytes", (*size)(&sub.MaxOutstandingBytes), s.MaxOutstandingBytes)
	setSpan(&paths, "ack_deadline", &sub.AckDeadline, s.AckDeadline)
	setSpan(&paths, "backoff_min", &sub.BackoffMin, s.BackoffMin)
	setSpan(&paths, "backoff_max", &sub.BackoffMax, s.BackoffMax)
	if sub.Labels = s.Label; len(s.Label) > 0 {
		paths = append(paths, "labels")
	}
	selected, err := s.applySelector(sub)
	return append(paths, selected...), err
}

func (s subscriptionSettings) applySelector(sub *hookstreamv1.Subscription) (paths []string, err error) {
	selector := &hookstreamv1.EventSelector{Types: s.Type, Sources: s.Source, Environments: s.Environment}
	for path, given := range map[string]bool{
		"selector.types": len(s.Type) > 0, "selector.sources": len(s.Source) > 0, "selector.environments": len(s.Environment) > 0,
	} {
		if given {
			paths = append(paths, path)
		}
	}
	set(&paths, "selector.filter", &selector.Filter, s.Filter)
	typed, err := s.conditions(selector)
	paths = append(paths, typed...)
	if len(paths) > 0 {
		sub.Selector = selector
	}
	return paths, err
}

func setSpan(paths *[]string, path string, field **durationpb.Duration, flag *span) {
	if flag != nil {
		*field = durationpb.New(time.Duration(*flag))
		*paths = append(*paths, path)
	}
}

var orderings = map[string]hookstreamv1.Ordering{
	"unordered": hookstreamv1.Ordering_ORDERING_UNORDERED,
	"by-entity": hookstreamv1.Ordering_ORDERING_BY_ENTITY,
}
