package server

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// GetEvent answers one event.
func (s *EventService) GetEvent(ctx context.Context, req *hookstreamv1.GetEventRequest) (*hookstreamv1.Event, error) {
	if err := check(req).err(); err != nil {
		return nil, err
	}
	e, err := s.hub.Get(ctx, req.GetName(), viewOf(req.GetView()))
	return e, noEvent(req.GetName(), err)
}

// noEvent says of an error that there is no such event, if that is what it is.
func noEvent(name string, err error) error {
	if errors.Is(err, eventlog.ErrNotFound) {
		return statusError(codes.NotFound, hookstreamv1.ErrorReason_ERROR_REASON_RESOURCE_NOT_FOUND,
			fmt.Sprintf("there is no %s, or the log no longer holds it", name))
	}
	return err
}
