package main

import (
	"context"
	"strconv"
	"strings"

	"google.golang.org/grpc"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

type eventReplayCommand struct {
	connection
	output
	search
	Name         []string `arg:"" optional:"" help:"Names of events, as events list prints them, instead of a filter."`
	To           string   `help:"The subscription whose consumers are handed them: crm or subscriptions/crm." required:"" placeholder:"SUBSCRIPTION" variable:"none"`
	Rate         int32    `help:"Queue no more than this many a second, up to 100,000; 0: as fast as they are settled." placeholder:"N" variable:"none"`
	ID           string   `name:"id" help:"An id for the replay: with one, the same command begins no second." placeholder:"ID" variable:"none"`
	ValidateOnly bool     `help:"Say how many events it would be, but begin nothing."`
}

// Run begins a replay.
func (c *eventReplayCommand) Run(ctx context.Context, p *program) error {
	if (c.Filter != "") == (len(c.Name) > 0) {
		return misused("give either names of events or --filter; --filter 'type:*' is every event")
	}
	req := &hookstreamv1.ReplayEventsRequest{
		Parent: subscriptionName(c.To), ReplayId: c.ID, Filter: c.Filter, EventsPerSecond: c.Rate, ValidateOnly: c.ValidateOnly,
	}
	for _, name := range c.Name {
		req.Names = append(req.Names, "events/"+strings.TrimPrefix(name, "events/"))
	}
	return c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		r, err := hookstreamv1.NewSubscriptionServiceClient(conn).ReplayEvents(ctx, req)
		switch {
		case err != nil:
			return replayRefused(c.refused(err))
		case c.forProgram():
			return c.write(p.stdout, r)
		case c.ValidateOnly:
			p.say("%d events would be handed out again", r.GetTotalEvents())
			return nil
		}
		return p.printReplay(c.output, r)
	})
}

// replayHints say what can be done about the reasons of replays.
var replayHints = map[string]string{
	"RESOURCE_EXISTS":  "`hookstream subscriptions replays get` shows the replay that has the id",
	"TOO_MANY_REPLAYS": "`hookstream subscriptions replays list` shows them; `hookstream subscriptions replays cancel` ends one",
}

func replayRefused(err error) error {
	if st, ok := statusOf(err); ok && replayHints[reason(st)] != "" {
		return hinted(err, "%s", replayHints[reason(st)])
	}
	return err
}

// replaysCommand groups what looks after replays that were begun.
type replaysCommand struct {
	List   replayListCommand   `cmd:"" help:"List the replays of a subscription."`
	Get    replayGetCommand    `cmd:"" help:"Show a replay, and how far it is."`
	Pause  replayPauseCommand  `cmd:"" help:"Queue no more events of a replay until resume."`
	Resume replayResumeCommand `cmd:"" help:"Have a replay go on."`
	Cancel replayCancelCommand `cmd:"" help:"End a replay. What nobody was handed yet is handed out no more."`
}

type replayListCommand struct {
	connection
	output
	choice
	subscriptionArgument
}

// Run lists replays.
func (c *replayListCommand) Run(ctx context.Context, p *program) error {
	return c.withSubscriptions(ctx, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) error {
		all, err := everyPage(func(token string) ([]*hookstreamv1.Replay, string, error) {
			page, err := client.ListReplays(ctx, &hookstreamv1.ListReplaysRequest{
				Parent: c.name(), PageSize: pageItems, PageToken: token, Filter: c.Filter, OrderBy: c.OrderBy,
			})
			return page.GetReplays(), page.GetNextPageToken(), err
		})
		switch {
		case err != nil:
			return c.refused(err)
		case c.forProgram():
			return c.write(p.stdout, &hookstreamv1.ListReplaysResponse{Replays: all})
		case len(all) == 0 && c.chosen():
			p.say(noneFits)
			return nil
		case len(all) == 0:
			p.say("nothing is replayed; `hookstream events replay` begins")
			return nil
		}
		return p.printReplays(all, c.wide())
	})
}

func (p *program) printReplays(all []*hookstreamv1.Replay, wide bool) error {
	heading := []string{"ID", "STATE", "EVENTS", "QUEUED", "SETTLED", "BEGUN", "REASON"}
	if wide {
		heading = append(heading, "UNSELECTED", "MISSED", "RATE", "CHANGED", "FILTER")
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	rows := make([][]string, 0, len(all))
	for _, r := range all {
		_, id, _ := strings.Cut(r.GetName(), replaySegment)
		row := []string{
			id, replayStateOf(r), number(r.GetTotalEvents()), number(r.GetQueuedEvents()), number(r.GetSettledEvents()), timeOf(r.GetCreateTime()), r.GetReason(),
		}
		if wide {
			row = append(row, number(r.GetUnselectedEvents()), number(r.GetMissedEvents()), number(int64(r.GetEventsPerSecond())), timeOf(r.GetUpdateTime()), r.GetFilter())
		}
		rows = append(rows, row)
	}
	return writeTable(p.stdout, heading, rows)
}

const replaySegment = "/replays/"

// A replayArgument names a replay of a subscription.
type replayArgument struct {
	subscriptionArgument
	Replay string `arg:"" help:"The replay's id, as replays list prints it, or its name."`
}

func (a replayArgument) name() string {
	_, id, cut := strings.Cut(a.Replay, replaySegment)
	if !cut {
		id = a.Replay
	}
	return a.subscriptionArgument.name() + replaySegment + id
}

// onReplay calls f and shows what it answers.
func (a replayArgument) onReplay(ctx context.Context, p *program, c connection, o output, f func(context.Context, hookstreamv1.SubscriptionServiceClient) (*hookstreamv1.Replay, error)) error {
	return c.withSubscriptions(ctx, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) error {
		r, err := f(ctx, client)
		if err != nil {
			return err
		}
		return p.printReplay(o, r)
	})
}

type replayGetCommand struct {
	connection
	output
	replayArgument
}

// Run shows a replay.
func (c *replayGetCommand) Run(ctx context.Context, p *program) error {
	return c.onReplay(ctx, p, c.connection, c.output, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) (*hookstreamv1.Replay, error) {
		return client.GetReplay(ctx, &hookstreamv1.GetReplayRequest{Name: c.name()})
	})
}

type replayPauseCommand struct {
	connection
	output
	replayArgument
}

// Run has a replay wait.
func (c *replayPauseCommand) Run(ctx context.Context, p *program) error {
	return c.onReplay(ctx, p, c.connection, c.output, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) (*hookstreamv1.Replay, error) {
		return client.PauseReplay(ctx, &hookstreamv1.PauseReplayRequest{Name: c.name()})
	})
}

type replayResumeCommand struct {
	connection
	output
	replayArgument
}

// Run has a replay go on.
func (c *replayResumeCommand) Run(ctx context.Context, p *program) error {
	return c.onReplay(ctx, p, c.connection, c.output, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) (*hookstreamv1.Replay, error) {
		return client.ResumeReplay(ctx, &hookstreamv1.ResumeReplayRequest{Name: c.name()})
	})
}

type replayCancelCommand struct {
	connection
	output
	replayArgument
}

// Run ends a replay.
func (c *replayCancelCommand) Run(ctx context.Context, p *program) error {
	return c.onReplay(ctx, p, c.connection, c.output, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) (*hookstreamv1.Replay, error) {
		return client.CancelReplay(ctx, &hookstreamv1.CancelReplayRequest{Name: c.name()})
	})
}

// printReplay shows one replay.
func (p *program) printReplay(o output, r *hookstreamv1.Replay) error {
	if o.forProgram() {
		return o.write(p.stdout, r)
	}
	some := func(n int64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	return writeProperties(p.stdout,
		property{"name", r.GetName()},
		property{"state", replayStateOf(r)},
		property{"reason", r.GetReason()},
		property{"filter", r.GetFilter()},
		property{"events", strconv.FormatInt(r.GetTotalEvents(), 10)},
		property{"queued", strconv.FormatInt(r.GetQueuedEvents(), 10)},
		property{"settled", strconv.FormatInt(r.GetSettledEvents(), 10)},
		property{"not selected", some(r.GetUnselectedEvents())},
		property{"missed", some(r.GetMissedEvents())},
		property{"a second", some(int64(r.GetEventsPerSecond()))},
		property{"begun", timeOf(r.GetCreateTime())},
		property{"changed", timeOf(r.GetUpdateTime())},
	)
}

func replayStateOf(r *hookstreamv1.Replay) string { return wordOf(r.GetState().String(), "STATE_") }
