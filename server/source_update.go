package server

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/source"
)

// UpdateSource changes the fields that the mask names.
func (s *sourceService) UpdateSource(ctx context.Context, req *hookstreamv1.UpdateSourceRequest) (*hookstreamv1.Source, error) {
	id, err := updatedID(req)
	if err != nil {
		return nil, err
	}
	etag := req.GetSource().GetEtag()
	change := func(src *hookstreamv1.Source) error { return s.change(src, req) }
	var updated *hookstreamv1.Source
	if req.GetValidateOnly() {
		updated, err = s.store.Preview(ctx, id, etag, change)
	} else {
		updated, err = s.store.Update(ctx, id, etag, change)
	}
	if err != nil {
		return nil, err
	}
	return s.store.Public(updated), nil
}

// updatedID answers the id in the request. The schema leaves source alone, for
// an update may hold only a part of one.
func updatedID(req *hookstreamv1.UpdateSourceRequest) (string, error) {
	name := &hookstreamv1.GetSourceRequest{Name: req.GetSource().GetName()}
	v := check(name).under("source")
	return source.ParseName(name.GetName()), v.err()
}

// change makes of src what the request wants, if that is a source.
func (s *sourceService) change(src *hookstreamv1.Source, req *hookstreamv1.UpdateSourceRequest) error {
	u := updateMasked(src, req.GetSource(), req.GetUpdateMask().GetPaths())
	written := func(field string) bool { return u.written[field] }
	u.violations = append(u.violations, s.checkGiven(src, written).under("source")...)
	if len(u.violations) > 0 {
		return u.violations.err()
	}
	s.credentials(src).Given(src, written)
	if v := check(src).under("source"); len(v) > 0 {
		return v.err()
	}
	return s.usable(src)
}
