package server

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/history"
)

// CountEvents counts the events that are as a filter says.
func (s *EventService) CountEvents(ctx context.Context, req *hookstreamv1.CountEventsRequest) (*hookstreamv1.CountEventsResponse, error) {
	if s.history == nil {
		return nil, errHistory(errNoHistory)
	}
	if err := check(req).err(); err != nil {
		return nil, err
	}
	filter, err := history.ParseFilter(req.GetFilter(), time.Now(), s.hub.Incarnation())
	if err != nil {
		return nil, badFilter(err)
	}
	if !filter.Exact() {
		var v violations
		v.add("filter", "entity and id are counted by the whole id alone: not with a kind, a * or a -")
		return nil, v.err()
	}
	if err := filter.Locate(ctx, s.hub.Position); err != nil {
		return nil, err
	}
	out := &hookstreamv1.CountEventsResponse{UnindexedEvents: s.catchUp(ctx)}
	counts, err := s.history.CountByHour(filter)
	if err != nil {
		return nil, errHistory(err)
	}
	for _, c := range counts {
		h := &hookstreamv1.CountEventsResponse_HourlyCount{StartTime: timestamppb.New(c.Start)}
		for state, n := range c.States {
			switch hookstreamv1.Verification_State(state) {
			case hookstreamv1.Verification_STATE_VERIFIED, hookstreamv1.Verification_STATE_VERIFIED_AFTER_AMBIGUOUS_ATTEMPT:
				h.VerifiedEvents += n
			case hookstreamv1.Verification_STATE_FAILED:
				h.FailedEvents += n
			default:
				h.OtherEvents += n
			}
			out.TotalEvents += n
		}
		out.Hours = append(out.Hours, h)
	}
	return out, nil
}
