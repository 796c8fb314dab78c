package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/grpc"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

type eventShowCommand struct {
	connection
	output
	Name string `arg:"" help:"The event's name: events/… or what follows the slash."`
}

// Run shows what has become of an event.
func (c *eventShowCommand) Run(ctx context.Context, p *program) error {
	name := "events/" + strings.TrimPrefix(c.Name, "events/")
	return c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		client := hookstreamv1.NewEventServiceClient(conn)
		out, err := deliveriesOf(ctx, client, name)
		if err != nil {
			return err
		}
		if c.forProgram() {
			return c.write(p.stdout, out)
		}
		e, err := client.GetEvent(ctx, &hookstreamv1.GetEventRequest{Name: name, View: hookstreamv1.EventView_EVENT_VIEW_METADATA})
		if err != nil {
			return err
		}
		if err := p.printEvent(e); err != nil {
			return err
		}
		fmt.Fprintln(p.stdout)
		if len(out.Deliveries) == 0 {
			_, err := fmt.Fprintln(p.stderr, "there are no subscriptions")
			return err
		}
		return printDeliveries(p, out.Deliveries)
	})
}

// deliveriesOf goes through all pages.
func deliveriesOf(ctx context.Context, client hookstreamv1.EventServiceClient, name string) (*hookstreamv1.ListEventDeliveriesResponse, error) {
	req, out := &hookstreamv1.ListEventDeliveriesRequest{Parent: name}, new(hookstreamv1.ListEventDeliveriesResponse)
	for {
		page, err := client.ListEventDeliveries(ctx, req)
		if err != nil {
			return nil, err
		}
		out.Deliveries = append(out.Deliveries, page.Deliveries...)
		if req.PageToken = page.NextPageToken; req.PageToken == "" {
			return out, nil
		}
	}
}

func printDeliveries(p *program, all []*hookstreamv1.EventDelivery) error {
	rows := make([][]string, 0, len(all))
	for _, d := range all {
		attempts := "unknown"
		if d.Attempts != nil {
			attempts = strconv.Itoa(int(d.GetAttempts()))
		}
		rows = append(rows, []string{d.GetSubscription(), deliveryState(d), attempts, d.GetClientId(), d.GetReason()})
	}
	return writeTable(p.stdout, []string{"SUBSCRIPTION", "STATE", "ATTEMPTS", "CLIENT", "REASON"}, rows)
}

// deliveryState says a state in words, with the time that belongs to it.
func deliveryState(d *hookstreamv1.EventDelivery) string {
	text := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(d.GetState().String(), "STATE_")), "_", " ")
	switch {
	case d.GetAckDeadline() != nil:
		text += " until " + timeOf(d.GetAckDeadline())
	case d.GetParkTime() != nil && d.GetState() == hookstreamv1.EventDelivery_STATE_PARKED:
		text += " since " + timeOf(d.GetParkTime())
	}
	return text
}
