package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// parkedCommand groups what handles deliveries that were given up.
type parkedCommand struct {
	List   parkedListCommand   `cmd:"" help:"List what was given up, with the last reason."`
	Replay parkedReplayCommand `cmd:"" help:"Hand parked events out again, attempts counted anew."`
	Purge  parkedPurgeCommand  `cmd:"" help:"Forget parked events."`
}

type parkedListCommand struct {
	connection
	output
	choice
	subscriptionArgument
	Limit int    `help:"Show this many at most; 0 is no bound." default:"1000" placeholder:"N"`
	View  string `help:"How much of each event to get, with --output json: metadata, typed, raw, full." enum:"metadata,typed,raw,full" default:"metadata" placeholder:"VIEW"`
}

// Run lists parked deliveries.
func (c *parkedListCommand) Run(ctx context.Context, p *program) error {
	return c.withSubscriptions(ctx, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) error {
		all, more, err := c.list(ctx, client)
		if err != nil {
			return c.refused(err)
		}
		if more {
			p.say("there are more than %d", c.Limit)
		}
		switch {
		case c.forProgram():
			return c.write(p.stdout, &hookstreamv1.ListParkedDeliveriesResponse{ParkedDeliveries: all})
		case c.chosen() && len(all) == 0:
			p.say(noneFits)
			return nil
		}
		return p.printParked(all, c.wide())
	})
}

// list answers as many as were asked for, and whether there are more.
func (c *parkedListCommand) list(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) (all []*hookstreamv1.ParkedDelivery, more bool, err error) {
	seen := 0
	all, err = everyPage(func(token string) ([]*hookstreamv1.ParkedDelivery, string, error) {
		page, err := client.ListParkedDeliveries(ctx, &hookstreamv1.ListParkedDeliveriesRequest{
			Parent: c.name(), PageSize: pageItems, PageToken: token, View: views[c.View], Filter: c.Filter, OrderBy: c.OrderBy,
		})
		seen += len(page.GetParkedDeliveries())
		if c.Limit > 0 && seen > c.Limit {
			return page.GetParkedDeliveries(), "", err
		}
		return page.GetParkedDeliveries(), page.GetNextPageToken(), err
	})
	if more = c.Limit > 0 && len(all) > c.Limit; more {
		all = all[:c.Limit]
	}
	return all, more, err
}

func (p *program) printParked(all []*hookstreamv1.ParkedDelivery, wide bool) error {
	if len(all) == 0 {
		p.say("nothing is parked")
		return nil
	}
	var rows [][]string
	for _, d := range all {
		_, id, _ := strings.Cut(d.GetName(), parkedSegment)
		rows = append(rows, []string{
			id, d.GetEvent().GetType(), d.GetEvent().GetEntity(), strconv.Itoa(int(d.GetAttempts())),
			timeOf(d.GetParkTime()), d.GetClientId(), d.GetReason(),
		})
	}
	heading := []string{"ID", "TYPE", "ENTITY", "ATTEMPTS", "PARKED", "CLIENT", "REASON"}
	if wide {
		heading = append(heading, "EVENT", "SOURCE", "RECEIVED")
		for i, d := range all {
			rows[i] = append(rows[i], d.GetEvent().GetName(), d.GetEvent().GetSource(), timeOf(d.GetEvent().GetReceiveTime()))
		}
	}
	return writeTable(p.stdout, heading, rows)
}

const parkedSegment = "/parkedDeliveries/"

// parkedChoice says which parked deliveries are meant.
type parkedChoice struct {
	subscriptionArgument
	ID           []string `arg:"" optional:"" name:"id" help:"Ids as parked list prints them."`
	All          bool     `help:"All of them."`
	ValidateOnly bool     `help:"Say how many it would be, but do nothing."`
}

func (c parkedChoice) names() ([]string, error) {
	if c.All == (len(c.ID) > 0) {
		return nil, misused("give either ids or --all")
	}
	var names []string
	for _, id := range c.ID {
		_, short, cut := strings.Cut(id, parkedSegment)
		if !cut {
			short = id
		}
		names = append(names, c.name()+parkedSegment+short)
	}
	return names, nil
}

// told says how many it was, or would be.
func (c parkedChoice) told(p *program, done string, n int64) {
	if c.ValidateOnly {
		done = "would be " + done
	}
	p.say("%d %s", n, done)
}

type parkedReplayCommand struct {
	connection
	output
	parkedChoice
}

// Run hands parked deliveries out again.
func (c *parkedReplayCommand) Run(ctx context.Context, p *program) error {
	names, err := c.names()
	if err != nil {
		return err
	}
	return c.withSubscriptions(ctx, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) error {
		resp, err := client.ReplayParkedDeliveries(ctx, &hookstreamv1.ReplayParkedDeliveriesRequest{
			Parent: c.name(), Names: names, All: c.All, ValidateOnly: c.ValidateOnly,
		})
		if err != nil {
			return err
		}
		if c.forProgram() {
			return c.write(p.stdout, resp)
		}
		c.told(p, "handed out again", resp.GetReplayedCount())
		return nil
	})
}

type parkedPurgeCommand struct {
	connection
	output
	parkedChoice
	Yes bool `help:"Do not ask."`
}

// Run forgets parked deliveries, after asking when somebody is there to answer.
func (c *parkedPurgeCommand) Run(ctx context.Context, p *program) error {
	names, err := c.names()
	if err != nil {
		return err
	}
	if !c.Yes && !c.ValidateOnly {
		if err := p.confirm(fmt.Sprintf("forget parked events of %s? They are gone then, for good.", c.name())); err != nil {
			return err
		}
	}
	return c.withSubscriptions(ctx, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) error {
		resp, err := client.PurgeParkedDeliveries(ctx, &hookstreamv1.PurgeParkedDeliveriesRequest{
			Parent: c.name(), Names: names, All: c.All, ValidateOnly: c.ValidateOnly,
		})
		if err != nil {
			return err
		}
		if c.forProgram() {
			return c.write(p.stdout, resp)
		}
		c.told(p, "forgotten", resp.GetPurgedCount())
		return nil
	})
}
