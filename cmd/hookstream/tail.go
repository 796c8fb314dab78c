package main

import (
	"context"
	"errors"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// tailCommand follows the log, or consumes a subscription, through Subscribe.
type tailCommand struct {
	connection
	output
	Subscription string   `help:"Be a consumer of this durable subscription, and acknowledge what was printed." placeholder:"ID" group:"Which events"`
	Type         []string `help:"Pattern of types: signature_request.*, *.done; may be repeated." placeholder:"PATTERN" group:"Which events"`
	Source       []string `help:"Only of this source; may be repeated." placeholder:"ID" group:"Which events"`
	Environment  []string `help:"Only of this environment of the sender: sandbox, PRODUCTION; may be repeated." placeholder:"NAME" group:"Which events"`
	typedFlags
	Filter     string `help:"CEL expression over event: 'event.topic == \"signer\"'." placeholder:"CEL" group:"Which events"`
	From       string `help:"Where to start: latest, earliest, a cursor, an RFC 3339 time, or how long ago (1h)." default:"latest" placeholder:"POSITION" group:"From where to where"`
	Until      string `help:"Where to stop: head (what there is now), an RFC 3339 time, or how long from now (10m). Follows on unless given." placeholder:"POSITION" group:"From where to where"`
	Count      int    `help:"Stop after this many events; 0 is no bound." default:"0" placeholder:"N" group:"From where to where"`
	CursorFile string `help:"Remember the position here and go on from it next time; --from then counts for the first time only." placeholder:"FILE" group:"From where to where"`
	OnExpired  string `help:"What to do when the log no longer holds the position: fail, or skip to the oldest event that is left." enum:"fail,skip" default:"fail" placeholder:"fail|skip" group:"From where to where"`
	View       string `help:"How much of each event to get: metadata, typed, raw, full." enum:"metadata,typed,raw,full" default:"typed" placeholder:"VIEW"`
	NoColor    bool   `help:"No colours, as with $NO_COLOR."`
}

// Run follows until the stop is reached, --count events were printed or ctx
// ends, which is no error: it is how people stop following.
func (c *tailCommand) Run(ctx context.Context, p *program) error {
	req, err := c.request(time.Now())
	if err != nil {
		return err
	}
	place, err := openCursorFile(c.CursorFile)
	if err != nil {
		return err
	}
	defer place.close()
	cursor, err := place.load()
	if err != nil {
		return err
	}
	if cursor != "" {
		req.Start = &hookstreamv1.SubscribeRequest_AfterCursor{AfterCursor: cursor}
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()

	follow := &follower{
		events:  hookstreamv1.NewEventServiceClient(conn),
		acks:    hookstreamv1.NewSubscriptionServiceClient(conn),
		request: req,
		count:   c.Count,
		place:   place,
		printer: c.printer(p),
		sync:    func() error { return syncFile(p.stdout) },
		say:     p.say,
	}
	err = follow.run(ctx)
	if ctx.Err() != nil && !errors.As(err, new(stopped)) {
		err = nil
	}
	return errors.Join(c.explain(ctx, err), follow.keepPlace())
}

// printer prints events in the form that was asked for.
func (c *tailCommand) printer(p *program) deliveryPrinter {
	if c.json() {
		return &jsonPrinter{out: newBuffered(p.stdout)}
	}
	return &linePrinter{out: newBuffered(p.stdout), style: style(p.colourful(p.stdout) && !c.NoColor), width: columns(p.stdout)}
}

func (c *tailCommand) request(now time.Time) (*hookstreamv1.SubscribeRequest, error) {
	if c.Count < 0 {
		return nil, misused("--count must not be negative")
	}
	if c.Subscription != "" {
		return c.consume()
	}
	selector := &hookstreamv1.EventSelector{
		Sources: c.Source, Types: c.Type, Environments: c.Environment, Filter: c.Filter,
	}
	if _, err := c.conditions(selector); err != nil {
		return nil, err
	}
	req := &hookstreamv1.SubscribeRequest{
		Selector:        selector,
		View:            views[c.View],
		OnCursorExpired: expiredPolicies[c.OnExpired],
		ClientId:        "hookstream tail",
	}
	if err := startAt(req, c.From, now); err != nil {
		return nil, err
	}
	return req, stopAt(req, c.Until, now)
}

// consume is the request for a subscription, which has the selector and keeps
// the place.
func (c *tailCommand) consume() (*hookstreamv1.SubscribeRequest, error) {
	if len(c.Type)+len(c.Source)+len(c.Environment) > 0 || c.given() || c.Filter != "" || c.From != "latest" ||
		c.Until != "" || c.CursorFile != "" || c.OnExpired != "fail" {
		return nil, misused("--subscription has events and a place of its own: of the flags for those, only --count goes with it")
	}
	return &hookstreamv1.SubscribeRequest{
		Subscription: subscriptionName(c.Subscription),
		View:         views[c.View],
		// What would not be printed is left to other consumers.
		FlowControl: &hookstreamv1.FlowControl{MaxOutstandingEvents: int32(min(c.Count, 100_000))},
		ClientId:    "hookstream tail",
	}, nil
}

var views = map[string]hookstreamv1.EventView{
	"metadata": hookstreamv1.EventView_EVENT_VIEW_METADATA,
	"typed":    hookstreamv1.EventView_EVENT_VIEW_TYPED,
	"raw":      hookstreamv1.EventView_EVENT_VIEW_RAW,
	"full":     hookstreamv1.EventView_EVENT_VIEW_FULL,
}

var expiredPolicies = map[string]hookstreamv1.CursorExpiredPolicy{
	"fail": hookstreamv1.CursorExpiredPolicy_CURSOR_EXPIRED_POLICY_FAIL,
	"skip": hookstreamv1.CursorExpiredPolicy_CURSOR_EXPIRED_POLICY_SKIP_TO_EARLIEST,
}
