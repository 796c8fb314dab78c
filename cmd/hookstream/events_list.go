package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A search says which events are meant. It does not come from the environment: a
// filter of tail and of subscriptions is another language.
type search struct {
	Filter string `help:"Only events that fit: words key:value, which must all hold, of source, provider, environment, topic, action, type, entity, id, verification, after, before; words without a key are looked for in the content, and cel: takes the rest as an expression. - negates a word, a comma separates alternatives, * stands for anything." placeholder:"FILTER" variable:"none"`
}

// refused says of what is wrong with a filter that it is the flag's.
func (s search) refused(err error) error {
	return filterRefused(err, `as: --filter 'source:billing type:signer.* -verification:failed after:2h'`)
}

// filterRefused says of what is wrong with a filter that it is the flag's.
func filterRefused(err error, hint string) error {
	st, ok := statusOf(err)
	if !ok || reason(st) != "REQUEST_INVALID" {
		return err
	}
	for _, line := range violations(st) {
		if strings.HasPrefix(line, "filter: ") {
			return usageError{hinted(errors.New("--"+line), "%s", hint)}
		}
	}
	return err
}

type eventListCommand struct {
	connection
	output
	search
	Limit  int    `help:"The most events to show; 0 for all." default:"50" placeholder:"N"`
	Oldest bool   `help:"The oldest first."`
	View   string `help:"How much of each event to get: metadata, typed, raw, full." enum:"metadata,typed,raw,full" default:"metadata" placeholder:"VIEW"`
}

// Run lists events.
func (c *eventListCommand) Run(ctx context.Context, p *program) error {
	if c.Limit < 0 {
		return usageError{errors.New("--limit must not be negative")}
	}
	return c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		found, err := c.find(ctx, hookstreamv1.NewEventServiceClient(conn), func(upTo string) {
			fmt.Fprintf(p.stderr, "looked up to %s, going on\n", upTo)
		})
		if err != nil {
			return c.refused(err)
		}
		if n := found.GetUnindexedEvents(); n > 0 {
			fmt.Fprintf(p.stderr, "the newest %d events are not listed yet\n", n)
		}
		if c.forProgram() {
			return c.write(p.stdout, found)
		}
		if len(found.Events) == 0 {
			_, err := fmt.Fprintln(p.stderr, "no event fits")
			return err
		}
		return c.print(p, found.Events)
	})
}

// find goes through pages until there are enough, and says how far it has looked where
// that takes long.
func (c *eventListCommand) find(ctx context.Context, client hookstreamv1.EventServiceClient, looked func(upTo string)) (*hookstreamv1.ListEventsResponse, error) {
	req := &hookstreamv1.ListEventsRequest{Filter: c.Filter, View: views[c.View]}
	if c.Oldest {
		req.OrderBy = "publish_time"
	}
	out := new(hookstreamv1.ListEventsResponse)
	for {
		req.PageSize = pageItems
		if c.Limit > 0 {
			req.PageSize = int32(min(c.Limit-len(out.Events), pageItems))
		}
		page, err := client.ListEvents(ctx, req)
		if err != nil {
			return nil, err
		}
		out.Events = append(out.Events, page.Events...)
		out.UnindexedEvents = page.UnindexedEvents
		if page.SearchTime != nil && page.NextPageToken != "" {
			looked(timeOf(page.SearchTime))
		}
		if req.PageToken = page.NextPageToken; req.PageToken == "" || c.Limit > 0 && len(out.Events) >= c.Limit {
			return out, nil
		}
	}
}

func (c *eventListCommand) print(p *program, events []*hookstreamv1.Event) error {
	heading := []string{"RECEIVED", "NAME", "TYPE", "SOURCE", "ENTITY"}
	if c.wide() {
		heading = append(heading, "VERIFICATION", "ENVIRONMENT", "ID")
	}
	rows := make([][]string, 0, len(events))
	for _, e := range events {
		row := []string{timeOf(e.GetReceiveTime()), e.GetName(), e.GetType(), e.GetSource(), e.GetEntity()}
		if c.wide() {
			row = append(row, verificationOf(e.GetVerification()), e.GetEnvironment(), e.GetProviderEventId())
		}
		rows = append(rows, row)
	}
	return writeTable(p.stdout, heading, rows)
}

type eventCountCommand struct {
	connection
	output
	search
}

// Run counts events.
func (c *eventCountCommand) Run(ctx context.Context, p *program) error {
	return c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		out, err := hookstreamv1.NewEventServiceClient(conn).CountEvents(ctx, &hookstreamv1.CountEventsRequest{Filter: c.Filter})
		if err != nil {
			return c.refused(err)
		}
		if c.forProgram() {
			return c.write(p.stdout, out)
		}
		rows := make([][]string, 0, len(out.Hours)+1)
		sum := new(hookstreamv1.CountEventsResponse_HourlyCount)
		for _, h := range out.Hours {
			rows = append(rows, countRow(timeOf(h.GetStartTime()), h))
			sum.VerifiedEvents += h.VerifiedEvents
			sum.FailedEvents += h.FailedEvents
			sum.OtherEvents += h.OtherEvents
		}
		return writeTable(p.stdout, []string{"HOUR", "EVENTS", "VERIFIED", "FAILED", "OTHER"}, slices.Concat(rows, [][]string{countRow("all", sum)}))
	})
}

func countRow(name string, h *hookstreamv1.CountEventsResponse_HourlyCount) []string {
	row := []string{name}
	for _, n := range []int64{h.VerifiedEvents + h.FailedEvents + h.OtherEvents, h.VerifiedEvents, h.FailedEvents, h.OtherEvents} {
		row = append(row, strconv.FormatInt(n, 10))
	}
	return row
}
