package server

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// VerifyEvent checks again what an event's origin was proved by.
func (s *EventService) VerifyEvent(ctx context.Context, req *hookstreamv1.VerifyEventRequest) (*hookstreamv1.VerifyEventResponse, error) {
	if err := check(req).err(); err != nil {
		return nil, err
	}
	e, err := s.hub.Kept(ctx, req.GetName())
	if err != nil {
		return nil, noEvent(req.GetName(), err)
	}
	return s.recheck(e), nil
}
