package server

import (
	"cmp"
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/subscription"
)

// subscribeTo streams the deliveries of a subscription. Whatever ends the stream,
// what it held is given back when this returns.
func (s *EventService) subscribeTo(req *hookstreamv1.SubscribeRequest, stream grpc.ServerStreamingServer[hookstreamv1.SubscribeResponse]) error {
	if err := checkDurable(req); err != nil {
		return err
	}
	if s.subscriptions == nil {
		return status.Error(codes.Unimplemented, "this gateway has no subscriptions")
	}
	sub, err := s.subscriptions.Find(stream.Context(), subscriptionID(req.GetSubscription()))
	if err != nil {
		return err
	}
	if err := checkSubscriptionView(s.hub, viewOf(req.GetView()), sub); err != nil {
		return err
	}
	c := newConsumer(stream.Context(), req)
	c.opened = s.openedTo(sub, c)
	c.send = stream.SendMsg
	s.logger.InfoContext(stream.Context(), "stream opened", "stream", c.opened.GetStreamId(), "client", req.GetClientId(),
		"subscription", sub.ID, "view", strings.TrimPrefix(c.view.String(), "EVENT_VIEW_"))
	return s.subscriptions.Attach(stream.Context(), sub.ID, c.options, c.frame)
}

// checkDurable says everything that is wrong with a request for a subscription.
func checkDurable(req *hookstreamv1.SubscribeRequest) error {
	v := check(req)
	for _, f := range []struct {
		field string
		set   bool
	}{
		{"selector", req.GetSelector() != nil},
		{"start", req.GetStart() != nil},
		{"stop", req.GetStop() != nil},
		{"on_cursor_expired", req.GetOnCursorExpired() != 0},
	} {
		if f.set {
			v.add(f.field, "must not be set with subscription, which has the selector and keeps the place")
		}
	}
	return v.err()
}

// checkSubscriptionView answers an error when the view holds what a source that
// the subscription covers does not include.
func checkSubscriptionView(h *hub.Hub, view hookstreamv1.EventView, sub *subscription.Subscription) error {
	if view != hookstreamv1.EventView_EVENT_VIEW_RAW && view != hookstreamv1.EventView_EVENT_VIEW_FULL {
		return nil // and spare every pull a compilation
	}
	selector, err := h.CompileSelector(sub.Selector)
	if err != nil {
		return err
	}
	return h.CheckView(view, selector)
}

// consumer is one stream of a subscription.
type consumer struct {
	options subscription.ConsumerOptions
	view    hookstreamv1.EventView
	opened  *hookstreamv1.Opened // nil once it is sent
	send    func(any) error
}

func newConsumer(ctx context.Context, req *hookstreamv1.SubscribeRequest) *consumer {
	flow := req.GetFlowControl()
	return &consumer{
		view: viewOf(req.GetView()),
		options: subscription.ConsumerOptions{
			ClientID: req.GetClientId(), Address: peerOf(ctx),
			MaxEvents:   int(flow.GetMaxOutstandingEvents()),
			MaxBytes:    flow.GetMaxOutstandingBytes(),
			BatchEvents: int(cmp.Or(flow.GetMaxBatchEvents(), defaultBatchEvents)),
			BatchBytes:  int(cmp.Or(flow.GetMaxBatchBytes(), defaultBatchBytes)),
			BatchWait:   flow.GetMaxBatchWait().AsDuration(),
			Heartbeat:   cmp.Or(req.GetHeartbeatInterval().AsDuration(), defaultHeartbeat),
		},
	}
}

// openedTo says what a stream of the subscription is given.
func (s *EventService) openedTo(sub *subscription.Subscription, c *consumer) *hookstreamv1.Opened {
	o := c.options
	events, size := sub.MaxOutstandingEvents, sub.MaxOutstandingBytes
	if o.MaxEvents > 0 {
		events = min(events, o.MaxEvents)
	}
	if o.MaxBytes > 0 {
		size = min(size, o.MaxBytes)
	}
	return &hookstreamv1.Opened{
		FlowControl: &hookstreamv1.FlowControl{
			MaxBatchEvents: int32(o.BatchEvents), MaxBatchBytes: int32(o.BatchBytes), MaxBatchWait: durationpb.New(o.BatchWait),
			MaxOutstandingEvents: int32(events), MaxOutstandingBytes: size,
		},
		HeartbeatInterval: durationpb.New(o.Heartbeat),
		View:              c.view,
		StreamId:          newStreamID(),
		GatewayVersion:    s.version,
		Subscription:      subscriptionMessage(sub),
	}
}

// frame sends what the subscription has for the stream, Opened before anything
// else.
func (c *consumer) frame(f subscription.Frame) error {
	quiet := len(f.Deliveries) == 0 && f.Draining <= 0 && f.Gap.Missed <= 0
	if c.opened != nil {
		c.opened.Phase = phases[f.Phase]
		if err := c.send(openedResponse(c.opened)); err != nil || quiet {
			c.opened = nil
			return err
		}
		c.opened = nil
	}
	if f.Draining > 0 {
		return c.send(drainingResponse(f.Draining))
	}
	if f.Gap.Missed > 0 {
		return c.send(gapResponse(f.Gap))
	}
	if quiet {
		return c.send(heartbeatResponse(f.Phase))
	}
	return c.deliver(f.Deliveries)
}

func openedResponse(m *hookstreamv1.Opened) *hookstreamv1.SubscribeResponse {
	return &hookstreamv1.SubscribeResponse{Frame: &hookstreamv1.SubscribeResponse_Opened{Opened: m}}
}

func gapResponse(g subscription.Gap) *hookstreamv1.SubscribeResponse {
	return &hookstreamv1.SubscribeResponse{Frame: &hookstreamv1.SubscribeResponse_Gap{Gap: gapMessage(g)}}
}

func gapMessage(g subscription.Gap) *hookstreamv1.Gap {
	m := &hookstreamv1.Gap{MissedEvents: g.Missed}
	if !g.Resume.IsZero() {
		m.ResumeTime = timestamp(g.Resume)
	}
	return m
}

func drainingResponse(grace time.Duration) *hookstreamv1.SubscribeResponse {
	return &hookstreamv1.SubscribeResponse{Frame: &hookstreamv1.SubscribeResponse_Draining{
		Draining: &hookstreamv1.Draining{GracePeriod: durationpb.New(grace)},
	}}
}

func heartbeatResponse(phase subscription.Phase) *hookstreamv1.SubscribeResponse {
	return &hookstreamv1.SubscribeResponse{Frame: &hookstreamv1.SubscribeResponse_Heartbeat{
		Heartbeat: &hookstreamv1.Heartbeat{SendTime: timestamppb.Now(), Phase: phases[phase]},
	}}
}

// deliver sends deliveries in as few responses as the bound on a batch allows:
// they were counted by the size in which they are kept, and some views are
// larger.
func (c *consumer) deliver(all []subscription.Delivery) error {
	for len(all) > 0 {
		b := newDeliveryBatch(all, c.view, c.options.BatchBytes)
		if err := c.send(b.response()); err != nil {
			return err
		}
		all = all[b.len():]
	}
	return nil
}
