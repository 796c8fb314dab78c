package server

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	language "github.com/hookstream/hookstream/history/query"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/replay"
)

// ReplayEvents begins a replay.
func (s *subscriptionService) ReplayEvents(ctx context.Context, req *hookstreamv1.ReplayEventsRequest) (*hookstreamv1.Replay, error) {
	if s.replays == nil {
		return nil, errHistory(errNoHistory)
	}
	begin := s.replays.Create
	if req.GetValidateOnly() {
		begin = s.replays.Draft
	}
	r, err := begin(ctx, replay.Request{
		Subscription: subscriptionID(req.GetParent()), ID: req.GetReplayId(),
		Filter: req.GetFilter(), Names: req.GetNames(), Rate: int(req.GetEventsPerSecond()),
	})
	if err != nil {
		return nil, badReplay(err)
	}
	return replayMessage(r, s.hub), nil
}

// badReplay says of an error which field of the request it is about.
func badReplay(err error) error {
	var filter *language.Error
	var named *replay.NamedError
	var v violations
	switch {
	case errors.As(err, &filter), errors.Is(err, replay.ErrBroad):
		return badFilter(err)
	case errors.As(err, &named) && named.Gone:
		return statusError(codes.NotFound, hookstreamv1.ErrorReason_ERROR_REASON_RESOURCE_NOT_FOUND, named.Error())
	case errors.As(err, &named):
		v.add("names", "%s", named)
		return v.err()
	}
	return err
}

// GetReplay answers a replay.
func (s *subscriptionService) GetReplay(ctx context.Context, req *hookstreamv1.GetReplayRequest) (*hookstreamv1.Replay, error) {
	return s.withReplay(ctx, req.GetName(), (*replay.Manager).Get)
}

// PauseReplay has a replay wait.
func (s *subscriptionService) PauseReplay(ctx context.Context, req *hookstreamv1.PauseReplayRequest) (*hookstreamv1.Replay, error) {
	return s.withReplay(ctx, req.GetName(), (*replay.Manager).Pause)
}

// ResumeReplay has a replay go on.
func (s *subscriptionService) ResumeReplay(ctx context.Context, req *hookstreamv1.ResumeReplayRequest) (*hookstreamv1.Replay, error) {
	return s.withReplay(ctx, req.GetName(), (*replay.Manager).Resume)
}

// CancelReplay ends a replay.
func (s *subscriptionService) CancelReplay(ctx context.Context, req *hookstreamv1.CancelReplayRequest) (*hookstreamv1.Replay, error) {
	return s.withReplay(ctx, req.GetName(), (*replay.Manager).Cancel)
}

// withReplay does something to the replay of a name.
func (s *subscriptionService) withReplay(ctx context.Context, name string, do func(*replay.Manager, context.Context, string, string) (*replay.Replay, error)) (*hookstreamv1.Replay, error) {
	if s.replays == nil {
		return nil, errHistory(errNoHistory)
	}
	r, err := do(s.replays, ctx, subscriptionID(name), name[strings.LastIndexByte(name, '/')+1:])
	if err != nil {
		return nil, err
	}
	return replayMessage(r, s.hub), nil
}

// ListReplays answers a page of the replays of a subscription, by their ids unless said
// otherwise.
func (s *subscriptionService) ListReplays(ctx context.Context, req *hookstreamv1.ListReplaysRequest) (*hookstreamv1.ListReplaysResponse, error) {
	if s.replays == nil {
		return nil, errHistory(errNoHistory)
	}
	found, err := s.replays.List(ctx, subscriptionID(req.GetParent()))
	if err != nil {
		return nil, err
	}
	all := make([]*hookstreamv1.Replay, 0, len(found))
	for _, r := range found {
		all = append(all, replayMessage(r, s.hub))
	}
	l := list[*hookstreamv1.Replay]{name: "replays/" + subscriptionID(req.GetParent()), key: (*hookstreamv1.Replay).GetName}
	items, next, err := l.page(all, req)
	if err != nil {
		return nil, err
	}
	return &hookstreamv1.ListReplaysResponse{Replays: items, NextPageToken: next}, nil
}

// replayStates are those of the API, by those of the domain.
var replayStates = map[replay.State]hookstreamv1.Replay_State{
	replay.Running:   hookstreamv1.Replay_STATE_RUNNING,
	replay.Paused:    hookstreamv1.Replay_STATE_PAUSED,
	replay.Succeeded: hookstreamv1.Replay_STATE_SUCCEEDED,
	replay.Cancelled: hookstreamv1.Replay_STATE_CANCELLED,
	replay.Failed:    hookstreamv1.Replay_STATE_FAILED,
}

func replayMessage(r *replay.Replay, h *hub.Hub) *hookstreamv1.Replay {
	out := &hookstreamv1.Replay{
		Name: r.Name(), Filter: r.Filter, EventsPerSecond: int32(r.Rate), State: replayStates[r.State], Reason: r.Reason,
		TotalEvents: r.Total, QueuedEvents: r.Queued, SettledEvents: r.Settled, UnselectedEvents: r.Unselected, MissedEvents: r.Missed,
		CreateTime: timestamp(r.CreateTime), UpdateTime: timestamp(r.UpdateTime),
	}
	for _, seq := range r.Events {
		out.Events = append(out.Events, event.Name(h.Incarnation(), seq))
	}
	return out
}
