package server

import (
	"context"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/server/listing"
	"github.com/hookstream/hookstream/subscription"
)

const parkedSegment = "/parkedDeliveries/"

// ListParkedDeliveries answers a page of what was set aside.
func (s *subscriptionService) ListParkedDeliveries(ctx context.Context, req *hookstreamv1.ListParkedDeliveriesRequest) (*hookstreamv1.ListParkedDeliveriesResponse, error) {
	id, view := subscriptionID(req.GetParent()), req.GetView()
	if view == hookstreamv1.EventView_EVENT_VIEW_UNSPECIFIED {
		view = hookstreamv1.EventView_EVENT_VIEW_METADATA
	}
	if err := s.checkView(ctx, view, id); err != nil {
		return nil, err
	}
	q, err := parkedQuery(req)
	if err != nil {
		return nil, err
	}
	list := q.list("parkedDeliveries/" + id)
	token, err := parkedToken(list, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := pageSize(req)
	found, next, err := s.parkedPage(ctx, id, size, token, view, q)
	if err == nil && len(found) > 0 {
		// The token belongs to the whole page: a page that is too large for an
		// answer is read again, shorter.
		if fits := firstOf(found, size); len(fits) < len(found) {
			found, next, err = s.parkedPage(ctx, id, len(fits), token, view, q)
		}
	}
	if err != nil {
		return nil, err
	}
	if next != "" {
		next = pageToken(list, next)
	}
	return &hookstreamv1.ListParkedDeliveriesResponse{ParkedDeliveries: found, NextPageToken: next}, nil
}

// parkedQuery reads the filter and the order of a list of parked deliveries. They
// are read one by one and in the order they were parked: there is no other.
func parkedQuery(req *hookstreamv1.ListParkedDeliveriesRequest) (listQuery, error) {
	md := (*hookstreamv1.ParkedDelivery)(nil).ProtoReflect().Descriptor()
	q, err := parseQuery(listing.Schema{Message: md, Hidden: beyondMetadata}, req)
	if err != nil {
		return q, err
	}
	switch strings.Join(strings.Fields(req.GetOrderBy()), " ") {
	case "", "park_time", "park_time asc", "parkTime", "parkTime asc":
		return q, nil
	}
	var bad violations
	bad.add("order_by", "parked deliveries are listed by park_time only, the oldest first")
	return q, bad.err()
}

// beyondMetadata hides what the view METADATA of an event does not hold: some of
// it is withheld from callers, and filters look at no more than that view.
func beyondMetadata(fd protoreflect.FieldDescriptor) bool {
	if fd.Parent() != (*hookstreamv1.Event)(nil).ProtoReflect().Descriptor() {
		return false
	}
	return fd.ContainingOneof() != nil && fd.ContainingOneof().Name() == "payload" || fd.Name() == "raw" || fd.Name() == "proof" ||
		fd.Name() == "decode_state" || fd.Name() == "redacted_fields" || fd.Name() == "omitted_fields"
}

// parkedToken answers what the manager knows of a page token.
func parkedToken(list, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	last, ok := parsePageToken(list, token)
	if !ok {
		return "", errPageToken()
	}
	return last, nil
}

func (s *subscriptionService) parkedPage(ctx context.Context, id string, size int, token string, view hookstreamv1.EventView, q listQuery) ([]*hookstreamv1.ParkedDelivery, string, error) {
	parked, next, err := s.manager.FindParked(ctx, id, size, token, func(p subscription.ParkedDelivery) (bool, error) {
		if q.plain() {
			return true, nil
		}
		m, err := parkedMessage(id, p, hookstreamv1.EventView_EVENT_VIEW_METADATA)
		return err == nil && q.filter(m), err
	})
	if err != nil {
		return nil, "", err
	}
	out := make([]*hookstreamv1.ParkedDelivery, 0, len(parked))
	for _, p := range parked {
		m, err := parkedMessage(id, p, view)
		if err != nil {
			return nil, "", err
		}
		out = append(out, m)
	}
	return out, next, nil
}

func parkedMessage(id string, p subscription.ParkedDelivery, view hookstreamv1.EventView) (*hookstreamv1.ParkedDelivery, error) {
	out := &hookstreamv1.ParkedDelivery{
		Name: subscription.Name(id) + parkedSegment + p.ID, Attempts: int32(p.Attempts),
		Reason: p.Reason, ParkTime: timestamp(p.ParkTime), ClientId: p.ClientID,
	}
	if !p.Event.Readable() { // an operator should still see that it is there
		return out, nil
	}
	e, err := p.Event.Message(view)
	if err != nil {
		return nil, err
	}
	out.Event = e
	return out, nil
}

// checkView answers an error when the view holds what a source that the
// subscription covers does not include.
func (s *subscriptionService) checkView(ctx context.Context, view hookstreamv1.EventView, id string) error {
	sub, err := s.manager.Find(ctx, id)
	if err != nil {
		return err
	}
	return checkSubscriptionView(s.hub, view, sub)
}

// parkedRequest is what requests for parked deliveries have.
type parkedRequest interface {
	GetParent() string
	GetNames() []string
	GetAll() bool
}

// ReplayParkedDeliveries hands out again what was set aside.
func (s *subscriptionService) ReplayParkedDeliveries(ctx context.Context, req *hookstreamv1.ReplayParkedDeliveriesRequest) (*hookstreamv1.ReplayParkedDeliveriesResponse, error) {
	which, err := parkedSelection(req)
	if err != nil {
		return nil, err
	}
	n, err := s.manager.ReplayParked(ctx, subscriptionID(req.GetParent()), which, req.GetValidateOnly())
	if err != nil {
		return nil, err
	}
	return &hookstreamv1.ReplayParkedDeliveriesResponse{ReplayedCount: int64(n)}, nil
}

// PurgeParkedDeliveries forgets what was set aside.
func (s *subscriptionService) PurgeParkedDeliveries(ctx context.Context, req *hookstreamv1.PurgeParkedDeliveriesRequest) (*hookstreamv1.PurgeParkedDeliveriesResponse, error) {
	which, err := parkedSelection(req)
	if err != nil {
		return nil, err
	}
	n, err := s.manager.PurgeParked(ctx, subscriptionID(req.GetParent()), which, req.GetValidateOnly())
	if err != nil {
		return nil, err
	}
	return &hookstreamv1.PurgeParkedDeliveriesResponse{PurgedCount: int64(n)}, nil
}

// parkedSelection reads which ones are meant, all of the same subscription.
func parkedSelection(req parkedRequest) (which subscription.Selection, err error) {
	var bad violations
	which.All = req.GetAll()
	for _, name := range req.GetNames() {
		id, ok := strings.CutPrefix(name, req.GetParent()+parkedSegment)
		if !ok {
			bad.add("names", "%s is not of %s", name, req.GetParent())
		}
		which.IDs = append(which.IDs, id)
	}
	return which, bad.err()
}
