package server

import (
	"cmp"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
)

// What a stream is given when it does not say.
const (
	defaultBatchEvents = 256
	defaultBatchBytes  = 256 << 10
	defaultHeartbeat   = 15 * time.Second
)

// Subscribe streams events, or the deliveries of a subscription.
func (s *EventService) Subscribe(req *hookstreamv1.SubscribeRequest, stream grpc.ServerStreamingServer[hookstreamv1.SubscribeResponse]) error {
	if req.GetSubscription() != "" {
		return s.subscribeTo(req, stream)
	}
	r, err := s.parseSubscribe(req)
	if err != nil {
		return err
	}
	s.logger.InfoContext(stream.Context(), "stream opened",
		"stream", r.Opened.GetStreamId(), "client", req.GetClientId(), "view", strings.TrimPrefix(r.View.String(), "EVENT_VIEW_"))
	return s.hub.Stream(stream.Context(), r, func(f hub.Frame) error { return stream.SendMsg(response(f)) })
}

// parseSubscribe makes the hub's request of ours, or says everything that is
// wrong with it.
func (s *EventService) parseSubscribe(req *hookstreamv1.SubscribeRequest) (hub.Request, error) {
	p := subscribeParser{violations: check(req), req: req}
	p.onlyDurable("flow_control.max_outstanding_events", req.GetFlowControl().GetMaxOutstandingEvents() != 0)
	p.onlyDurable("flow_control.max_outstanding_bytes", req.GetFlowControl().GetMaxOutstandingBytes() != 0)
	p.time("at_time", req.GetAtTime())
	p.time("until_time", req.GetUntilTime())
	r := hub.Request{
		Selector: p.selector(s.hub), View: viewOf(req.GetView()),
		Start: p.start(), Stop: stopOf(req),
		SkipExpired: req.GetOnCursorExpired() == hookstreamv1.CursorExpiredPolicy_CURSOR_EXPIRED_POLICY_SKIP_TO_EARLIEST,
	}
	if err := p.err(); err != nil {
		return hub.Request{}, err
	}
	s.grant(&r, req)
	return r, nil
}

// subscribeParser collects what is wrong with a request. When that is one kind
// of thing, the error has that thing's reason.
type subscribeParser struct {
	violations
	req         *hookstreamv1.SubscribeRequest
	badCursor   int
	badSelector *hub.SelectorError
}

func (p *subscribeParser) err() error {
	var ofSelector int
	if p.badSelector != nil {
		ofSelector = len(p.badSelector.Violations)
	}
	switch n := len(p.violations); {
	case n > 0 && n == ofSelector:
		return p.badSelector
	case n > 0 && n == p.badCursor:
		return statusError(codes.InvalidArgument, hookstreamv1.ErrorReason_ERROR_REASON_CURSOR_INVALID,
			"after_cursor: "+p.violations[0].GetDescription(), &errdetails.BadRequest{FieldViolations: p.violations})
	}
	return p.violations.err()
}

// onlyDurable refuses what a stream that settles nothing cannot keep.
func (p *subscribeParser) onlyDurable(field string, set bool) {
	if set {
		p.add(field, "is only for the stream of a subscription")
	}
}

func (p *subscribeParser) time(field string, t *timestamppb.Timestamp) {
	if t != nil && t.CheckValid() != nil {
		p.add(field, "is not a time between the years 1 and 9999")
	}
}

func (p *subscribeParser) selector(h *hub.Hub) *hub.Selector {
	s, err := h.CompileSelector(p.req.GetSelector())
	if errors.As(err, &p.badSelector) {
		for _, v := range p.badSelector.Violations {
			p.add("selector."+v.Field, "%s", v.Description)
		}
	}
	return s
}

func (p *subscribeParser) start() (start hub.Start) {
	switch in := p.req.GetStart().(type) {
	case *hookstreamv1.SubscribeRequest_Earliest:
		start.Earliest = true
	case *hookstreamv1.SubscribeRequest_AfterCursor:
		c, err := event.ParseCursor(in.AfterCursor)
		if err != nil {
			p.add("after_cursor", "was not made by this software, or was altered")
			p.badCursor++
		}
		start.After = &c
	case *hookstreamv1.SubscribeRequest_AtTime:
		start.At = new(in.AtTime.AsTime())
	}
	return start
}

func stopOf(req *hookstreamv1.SubscribeRequest) (stop hub.Stop) {
	switch in := req.GetStop().(type) {
	case *hookstreamv1.SubscribeRequest_AtHead:
		stop.AtHead = true
	case *hookstreamv1.SubscribeRequest_UntilTime:
		stop.Until = new(in.UntilTime.AsTime())
	}
	return stop
}

// grant decides what the stream is given, and says so in its first frame.
func (s *EventService) grant(r *hub.Request, req *hookstreamv1.SubscribeRequest) {
	flow := req.GetFlowControl()
	r.BatchEvents = int(cmp.Or(flow.GetMaxBatchEvents(), defaultBatchEvents))
	r.BatchBytes = int(cmp.Or(flow.GetMaxBatchBytes(), defaultBatchBytes))
	r.BatchWait = flow.GetMaxBatchWait().AsDuration()
	r.Heartbeat = cmp.Or(req.GetHeartbeatInterval().AsDuration(), defaultHeartbeat)
	r.Opened = &hookstreamv1.Opened{
		FlowControl: &hookstreamv1.FlowControl{
			MaxBatchEvents: int32(r.BatchEvents), MaxBatchBytes: int32(r.BatchBytes), MaxBatchWait: durationpb.New(r.BatchWait),
		},
		HeartbeatInterval: durationpb.New(r.Heartbeat),
		View:              r.View,
		StreamId:          newStreamID(),
		GatewayVersion:    s.version,
	}
}

func newStreamID() string { return strings.ToLower(rand.Text()[:16]) }
