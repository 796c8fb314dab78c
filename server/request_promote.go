package server

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/request"
)

// ReverifyRequests checks requests with the secrets of today.
func (s *requestService) ReverifyRequests(ctx context.Context, req *hookstreamv1.ReverifyRequestsRequest) (*hookstreamv1.ReverifyRequestsResponse, error) {
	if err := check(req).err(); err != nil {
		return nil, err
	}
	out := new(hookstreamv1.ReverifyRequestsResponse)
	next, err := s.each(ctx, "reverify", req, time.Time{}, func(r *request.Request, v *hookstreamv1.RequestVerdict) {
		switch v.GetOutcome() {
		case hookstreamv1.RequestVerdict_OUTCOME_NOT_GENUINE:
			out.NotGenuineRequests++
			s.requests.Examine(ctx, r, v)
		case hookstreamv1.RequestVerdict_OUTCOME_UNKNOWN, hookstreamv1.RequestVerdict_OUTCOME_PENDING:
			out.UnknownRequests++
		default:
			out.GenuineRequests++
		}
		out.Verdicts = append(out.Verdicts, v)
	})
	out.NextPageToken = next
	return out, err
}

// PromoteRequests publishes what is genuine by the secrets of today.
func (s *requestService) PromoteRequests(ctx context.Context, req *hookstreamv1.PromoteRequestsRequest) (*hookstreamv1.PromoteRequestsResponse, error) {
	if err := check(req).err(); err != nil {
		return nil, err
	}
	out := new(hookstreamv1.PromoteRequestsResponse)
	var at time.Time
	if !req.GetValidateOnly() {
		at = time.Now()
	}
	next, err := s.each(ctx, "promote", req, at, func(_ *request.Request, v *hookstreamv1.RequestVerdict) {
		switch v.GetOutcome() {
		case hookstreamv1.RequestVerdict_OUTCOME_PUBLISHED, hookstreamv1.RequestVerdict_OUTCOME_GENUINE:
			out.PublishedRequests++
		case hookstreamv1.RequestVerdict_OUTCOME_DUPLICATE:
			out.DuplicateRequests++
		case hookstreamv1.RequestVerdict_OUTCOME_PENDING:
			out.PendingRequests++
		default:
			out.LeftRequests++
		}
		out.Verdicts = append(out.Verdicts, v)
	})
	out.NextPageToken = next
	if !req.GetValidateOnly() {
		s.logger.InfoContext(ctx, "requests that had been refused were promoted",
			"published", out.PublishedRequests, "duplicates", out.DuplicateRequests, "pending", out.PendingRequests, "left", out.LeftRequests)
	}
	return out, err
}

// each looks again at a page of requests in the order of arrival. What cannot be stored
// ends it, so that none overtakes another: the same call goes on there.
func (s *requestService) each(ctx context.Context, list string, req filtered, at time.Time, tell func(*request.Request, *hookstreamv1.RequestVerdict)) (next string, err error) {
	store, err := s.open(ctx)
	if err != nil {
		return "", err
	}
	p, err := newRequestPage(list, req, byArrival)
	if err != nil {
		return "", err
	}
	if err := s.requests.CatchUp(ctx); err != nil {
		return "", err
	}
	found := p.of(store.List())
	bytes := 0
	for i := range found {
		if i == p.size || bytes > maxPageBytes {
			return p.tokenAfter(&found[i-1]), nil
		}
		if err := ctx.Err(); err != nil {
			return "", err
		}
		r, err := store.Get(ctx, found[i].ID)
		switch {
		case errors.Is(err, request.ErrNotFound): // another has its place by now
			continue
		case err != nil:
			return "", errors.Join(eventlog.ErrUnavailable, err)
		}
		v, err := s.requests.Again(ctx, r, at)
		if err != nil {
			return "", err
		}
		v.Request = requestPrefix + r.ID
		tell(r, v)
		bytes += proto.Size(v)
	}
	return "", nil
}
