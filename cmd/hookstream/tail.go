package main

import (
	"context"
	"time"

	"github.com/hookstream/hookstream/client"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// tailCommand follows the log, or consumes a subscription, through Subscribe.
type tailCommand struct {
	connection
	plainOutput
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
	follow, err := c.follower(time.Now())
	if err != nil {
		return err
	}
	place, err := openCursorFile(c.CursorFile)
	if err != nil {
		return err
	}
	defer place.close()
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	follow.conn, follow.place, follow.printer, follow.say = conn, place, c.printer(p), p.say
	if c.Subscription == "" {
		warnOfUnknown(ctx, p, conn, c.Source, c.Type)
	}
	follow.sync = func() error { return syncFile(p.stdout) }
	return c.explain(ctx, follow.run(ctx))
}

// printer prints events in the form that was asked for.
func (c *tailCommand) printer(p *program) deliveryPrinter {
	if c.json() {
		return &jsonPrinter{out: newBuffered(p.stdout)}
	}
	return &linePrinter{out: newBuffered(p.stdout), style: style(p.colourful(p.stdout) && !c.NoColor), width: columns(p.stdout)}
}

// follower answers one of what was asked for, without what it prints to.
func (c *tailCommand) follower(now time.Time) (*follower, error) {
	if c.Count < 0 {
		return nil, misused("--count must not be negative")
	}
	f := &follower{count: c.Count, options: client.StreamOptions{View: views[c.View], ClientID: "hookstream tail"}}
	if c.Subscription != "" {
		return f, c.consume(f)
	}
	selector := &hookstreamv1.EventSelector{
		Sources: c.Source, Types: c.Type, Environments: c.Environment, Filter: c.Filter,
	}
	if _, err := c.conditions(selector); err != nil {
		return nil, err
	}
	from, err := parsePosition("--from", c.From, now)
	if err != nil {
		return nil, err
	}
	f.options.Selector, f.options.Start = selector, from.start()
	if c.OnExpired == "skip" {
		f.options.OnGap = func(*hookstreamv1.Gap) error { return nil } // it is told, as all are
	}
	f.options.Stop, err = stopAt(c.Until, now)
	return f, err
}

// consume has a subscription followed, which has the selector and keeps the place.
func (c *tailCommand) consume(f *follower) error {
	if len(c.Type)+len(c.Source)+len(c.Environment) > 0 || c.given() || c.Filter != "" || c.From != "latest" ||
		c.Until != "" || c.CursorFile != "" || c.OnExpired != "fail" {
		return misused("--subscription has events and a place of its own: of the flags for those, only --count goes with it")
	}
	f.subscription = subscriptionName(c.Subscription)
	return nil
}

var views = map[string]hookstreamv1.EventView{
	"metadata": hookstreamv1.EventView_EVENT_VIEW_METADATA,
	"typed":    hookstreamv1.EventView_EVENT_VIEW_TYPED,
	"raw":      hookstreamv1.EventView_EVENT_VIEW_RAW,
	"full":     hookstreamv1.EventView_EVENT_VIEW_FULL,
}
