package server

import (
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

func TestGetEvent(t *testing.T) {
	w := newEventWorld(t)
	w.put(t, "open", `{"eventId": "1", "signer": {"signatureLink": "secret"}}`)
	w.put(t, "closed", `{"eventId": "2", "signer": {"signatureLink": "secret"}}`)
	g := start(t, func(o *Options, _ *HTTPOptions) { o.Events = w.service })
	get := func(name string, view hookstreamv1.EventView) (*hookstreamv1.Event, error) {
		return g.events.GetEvent(t.Context(), &hookstreamv1.GetEventRequest{Name: name, View: view})
	}
	e, err := get(event.Name(7, 1), hookstreamv1.EventView_EVENT_VIEW_FULL)
	if err != nil || e.GetName() != event.Name(7, 1) || e.GetYousign().GetSigner().GetSignatureLink() != "secret" || len(e.GetRaw().GetBody()) == 0 {
		t.Errorf("FULL: %v, %v", e, err)
	}
	e, err = get(event.Name(7, 2), 0)
	if err != nil || e.GetYousign().GetEventId() != "2" || e.GetYousign().GetSigner().GetSignatureLink() != "" || len(e.GetRedactedFields()) != 1 || e.GetRaw() != nil {
		t.Errorf("TYPED without the switch: %v, %v", e, err)
	}
	for _, c := range []struct {
		name   string
		view   hookstreamv1.EventView
		code   codes.Code
		reason string
	}{
		{event.Name(7, 2), hookstreamv1.EventView_EVENT_VIEW_RAW, codes.FailedPrecondition, "SENSITIVE_FIELDS_WITHHELD"},
		{event.Name(7, 2), hookstreamv1.EventView_EVENT_VIEW_FULL, codes.FailedPrecondition, "SENSITIVE_FIELDS_WITHHELD"},
		{event.Name(7, 3), 0, codes.NotFound, "RESOURCE_NOT_FOUND"},
		{event.Name(8, 1), 0, codes.NotFound, "RESOURCE_NOT_FOUND"},
		{"events/made-up", 0, codes.NotFound, "RESOURCE_NOT_FOUND"},
		{"event/1", 0, codes.InvalidArgument, "REQUEST_INVALID"},
		{event.Name(7, 1), 99, codes.InvalidArgument, "REQUEST_INVALID"},
	} {
		_, err := get(c.name, c.view)
		wantStatus(t, err, c.code, c.reason)
	}
}
