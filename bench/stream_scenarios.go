package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// streamScenarios are those of the way out.
func streamScenarios() []Scenario {
	return slices.Concat(fanoutScenarios(), liveScenarios(), latencyScenarios(), replayScenarios(), ackedScenarios(), idleScenarios())
}

var streamViews = []hookstreamv1.EventView{
	hookstreamv1.EventView_EVENT_VIEW_METADATA, hookstreamv1.EventView_EVENT_VIEW_TYPED, hookstreamv1.EventView_EVENT_VIEW_FULL,
}

func viewName(v hookstreamv1.EventView) string { return strings.TrimPrefix(v.String(), "EVENT_VIEW_") }

// quickShare is how many times less is done for a quick look.
const quickShare = 50

// some is n, or less for a quick look.
func (b *Bench) some(n int64) int64 {
	if b.Quick {
		return max(1, n/quickShare)
	}
	return n
}

// A streamGateway is a gateway with a source.
type streamGateway struct {
	*Gateway
	path string // to post to
}

// streamSource is the source that the events of the stream scenarios come from.
const streamSource = "bench"

// startStreamGateway runs a gateway on a fresh directory, with a source.
func (b *Bench) startStreamGateway(ctx context.Context, flags ...string) (streamGateway, error) {
	g, err := b.StartGateway(ctx, "", flags...)
	if err != nil {
		return streamGateway{}, err
	}
	path, err := g.Create(ctx, streamSource)
	return streamGateway{g, path}, err
}

// history asks for everything that the log holds.
func history(view hookstreamv1.EventView, types ...string) *hookstreamv1.SubscribeRequest {
	return &hookstreamv1.SubscribeRequest{
		View:     view,
		Start:    &hookstreamv1.SubscribeRequest_Earliest{Earliest: true},
		Stop:     &hookstreamv1.SubscribeRequest_AtHead{AtHead: true},
		Selector: &hookstreamv1.EventSelector{Types: types},
	}
}

// fromNowOn asks for what is published after the stream has opened.
func fromNowOn(view hookstreamv1.EventView) *hookstreamv1.SubscribeRequest {
	return &hookstreamv1.SubscribeRequest{View: view}
}

// deliveries are what the gateway sends of its history.
func (g streamGateway) deliveries(ctx context.Context, view hookstreamv1.EventView) (*hookstreamv1.DeliveryBatch, error) {
	conn, err := grpc.NewClient(g.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer conn.Close()
	stream, err := hookstreamv1.NewEventServiceClient(conn).Subscribe(ctx, history(view))
	if err != nil {
		return nil, fmt.Errorf("bench: subscribe: %w", err)
	}
	all := new(hookstreamv1.DeliveryBatch)
	for {
		frame, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("bench: subscribe: %w", err)
		}
		all.Deliveries = append(all.Deliveries, frame.GetBatch().GetDeliveries()...)
	}
}
